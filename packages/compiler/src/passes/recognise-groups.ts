import { compactWeight, recogniseGrouping } from '@dgconv/core';
import { graphPass } from './pass.js';
import { rewriteNodes } from './rewrite.js';

/**
 * Says what each mask is: a masked convolution becomes one with the grouping that its mask has, its kernel a view of the connected
 * pairs of the dense one.
 *
 * before: `conv2d x {masked} kernel=w` · after: `conv2d x {unequal, 5 blocks} kernel=compact(w)`
 */
export const recogniseGroups = graphPass('recognise-groups', (graph) =>
  rewriteNodes(graph, (node, { emit }) => {
    if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'masked') return emit(node);
    const connectivity = recogniseGrouping(node.attrs.connectivity.mask);
    return emit({
      ...node,
      attrs: { ...node.attrs, connectivity },
      weights: { ...node.weights, kernel: compactWeight(node.weights.kernel, connectivity) },
    });
  }),
);
