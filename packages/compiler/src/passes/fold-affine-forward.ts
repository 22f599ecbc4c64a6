import {
  addWeights,
  contractInputsWeight,
  expandWeight,
  fillWeight,
  type Node,
  type NodeOf,
  scaleOutputsWeight,
  scaleWeight,
  supportsOf,
  takeWeight,
  type Weight,
} from '@dgconv/core';
import { graphPass } from './pass.js';
import { mergedOrigin, rewriteNodes, usesOf } from './rewrite.js';

/**
 * An affine that could not go into the layer before it goes into the convolution or dense layer after it, if that is its only
 * reader: the scale into the kernel's columns, the shift into the bias. Before a zero-padded convolution it stays, because at the
 * border that would see the shift's image of 0 instead of 0; so it does before groups of several channels, whose compact kernel
 * has no columns.
 *
 * before: `a = affine x` `y = conv2d a kernel=w` · after: `y = conv2d x kernel=scale(w, axis 1) bias=contract-inputs(w, shift)`
 */
export const foldAffineForward = graphPass('fold-affine-forward', (graph) => {
  const uses = usesOf(graph);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  return rewriteNodes(graph, (node, { emit }) => {
    if (node.op !== 'conv2d' && node.op !== 'dense') return emit(node);
    const affine = byId.get(node.inputs[0]!);
    if (affine?.op !== 'affine' || uses.only(affine.id) === undefined) return emit(node);
    const folded = node.op === 'conv2d' ? intoConvolution(node, affine) : intoDense(node, affine);
    if (folded === undefined) return emit(node);
    const inputs = [affine.inputs[0]!, ...node.inputs.slice(1)];
    return emit({ ...folded, inputs, origin: mergedOrigin(affine, node) } as Node);
  });
});

function intoDense(node: NodeOf<'dense'>, { weights }: NodeOf<'affine'>): NodeOf<'dense'> {
  const { kernel, bias } = node.weights;
  return {
    ...node,
    weights: {
      kernel: scaleWeight(kernel, 1, weights.scale),
      bias: withShift(bias, node.attrs.channelsOut, kernel, weights.shift),
    },
  };
}

function intoConvolution(node: NodeOf<'conv2d'>, { weights }: NodeOf<'affine'>): NodeOf<'conv2d'> | undefined {
  const { connectivity, padding, pre } = node.attrs;
  if (pre !== 'none' || [padding.top, padding.bottom, padding.left, padding.right].some((pixels) => pixels > 0)) {
    return undefined;
  }
  const { kernel, bias, ...others } = node.weights;
  if (connectivity.kind === 'dense') {
    return {
      ...node,
      weights: {
        ...others,
        kernel: scaleWeight(kernel, 1, weights.scale),
        bias: withShift(bias, connectivity.channelsOut, kernel, weights.shift),
      },
    };
  }
  if (connectivity.kind !== 'equal' || connectivity.groups !== connectivity.channelsIn) return undefined;
  // One input an output: scaling it is scaling the output's kernel.
  const inputOf = supportsOf(connectivity).map(([input]) => input!);
  const by = takeWeight(weights.scale, 0, inputOf, connectivity.channelsIn);
  return {
    ...node,
    weights: {
      ...others,
      kernel: scaleOutputsWeight(kernel, connectivity, by),
      bias: withShift(bias, connectivity.channelsOut, expandWeight(kernel, connectivity), weights.shift),
    },
  };
}

/** A bias with what the shift contributes through a dense kernel. */
function withShift(bias: Weight | undefined, channelsOut: number, kernel: Weight, shift: Weight): Weight {
  return addWeights(bias ?? fillWeight([channelsOut], 0), contractInputsWeight(kernel, shift));
}
