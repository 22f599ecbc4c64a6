import { compactWeight, hardGrouping } from '@dgconv/core';
import type { Pass } from './pass.js';
import { rewriteNodes } from './rewrite.js';

/**
 * Fixes what training decided: a learned convolution becomes one with the grouping that its gates, assignments or mask say, its
 * kernel a view of the connected pairs of the dense one.
 *
 * before: `conv2d x {learned dgconv} kernel=w gates=g` · after: `conv2d x {equal G=8} kernel=compact(w)`
 */
export const hardenGates: Pass = {
  name: 'harden-gates',
  run: (model) => ({
    weights: model.weights,
    graph: rewriteNodes(model.graph, (node, { emit }) => {
      if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'learned') return emit(node);
      const grouping = hardGrouping(node, model.weights);
      const { kernel, bias, preScale, preShift } = node.weights;
      return emit({
        ...node,
        attrs: { ...node.attrs, connectivity: grouping },
        weights: {
          kernel: compactWeight(kernel, grouping),
          ...(bias === undefined ? {} : { bias }),
          ...(preScale === undefined ? {} : { preScale }),
          ...(preShift === undefined ? {} : { preShift }),
        },
      });
    }),
  }),
};
