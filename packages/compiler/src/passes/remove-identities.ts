import { inferShapes, isIdentityPermutation, type Node, sameShape, type Shape } from '@dgconv/core';
import { graphPass } from './pass.js';
import { rewriteNodes } from './rewrite.js';

/**
 * Removes what does nothing at inference: identity and dropout, an identity activation, a concat of one value, and slices, pads,
 * reshapes, transposes and takes that give their input back.
 *
 * before: `y = dropout x` … `z = relu y` · after: `z = relu x`
 */
export const removeIdentities = graphPass('remove-identities', (graph) => {
  const shapes = inferShapes(graph);
  return rewriteNodes(graph, (node, { emit }) => (isIdentity(node, shapes) ? node.inputs[0]! : emit(node)));
});

function isIdentity(node: Node, shapes: ReadonlyMap<string, Shape>): boolean {
  const inputShape = (): Shape => shapes.get(node.inputs[0]!)!;
  switch (node.op) {
    case 'identity':
    case 'dropout':
      return true;
    case 'activation':
      return node.attrs.activation.function === 'identity';
    case 'concat':
      return node.inputs.length === 1;
    case 'slice':
      return sameShape(node.attrs.sizes, inputShape());
    case 'pad':
      return [...node.attrs.before, ...node.attrs.after].every((pixels) => pixels === 0);
    case 'reshape':
      return sameShape(shapes.get(node.id)!, inputShape());
    case 'transpose':
      return isIdentityPermutation(node.attrs.permutation);
    case 'take':
      return (
        node.attrs.indices.length === inputShape().at(node.attrs.axis) && isIdentityPermutation(node.attrs.indices)
      );
    default:
      return false;
  }
}
