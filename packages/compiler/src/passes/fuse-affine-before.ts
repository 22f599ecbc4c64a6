import { graphPass } from './pass.js';
import { mergedOrigin, rewriteNodes, usesOf } from './rewrite.js';

/**
 * An affine and a ReLU that only a convolution reads become its `pre`, computed on load (CondenseNet: each layer of a dense block
 * has its own batch norm of the same concatenation).
 *
 * before: `a = affine x` `r = relu a` `y = conv2d r` · after: `y = conv2d x pre=affine-relu`
 */
export const fuseAffineBefore = graphPass('fuse-affine-before', (graph) => {
  const uses = usesOf(graph);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  return rewriteNodes(graph, (node, { emit }) => {
    if (node.op !== 'conv2d' || node.attrs.pre !== 'none') return emit(node);
    const relu = byId.get(node.inputs[0]!);
    if (relu?.op !== 'activation' || relu.attrs.activation.function !== 'relu' || uses.only(relu.id) === undefined) {
      return emit(node);
    }
    const affine = byId.get(relu.inputs[0]!);
    if (affine?.op !== 'affine' || uses.only(affine.id) === undefined) return emit(node);
    return emit({
      ...node,
      inputs: [affine.inputs[0]!, ...node.inputs.slice(1)],
      attrs: { ...node.attrs, pre: 'affine-relu' },
      weights: { ...node.weights, preScale: affine.weights.scale, preShift: affine.weights.shift },
      origin: mergedOrigin(affine, relu, node),
    });
  });
});
