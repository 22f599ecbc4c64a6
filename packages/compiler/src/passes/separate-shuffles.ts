import {
  type Grouping,
  invertPermutation,
  isIdentityPermutation,
  type NodeOf,
  type Permutation,
  reorderGrouping,
  reorderWeight,
  takeWeight,
} from '@dgconv/core';
import { type AnyOrderOf, contiguousOrders, type GroupOrders } from './group-orders.js';
import { graphPass, type Pass } from './pass.js';
import { type RewriteContext, rewriteNodes } from './rewrite.js';

/**
 * Where the groups of a convolution are still not runs of channels, the channels are moved by a `take` before or after it: only on
 * the side that needs it, on both where neither is in order. Inputs that classes share (CondenseNet) are gathered anyway; of their
 * outputs the classes become runs.
 *
 * before: `y = conv2d x {equal 0 2 | 1 3 → 0 1 | 2 3}` · after: `x' = take x 0 2 1 3` `y = conv2d x' {equal 0 1 | 2 3}`
 * @param anyOrder - sides that the target gathers and scatters itself.
 */
export function separateShuffles(anyOrder: AnyOrderOf): Pass {
  return graphPass('separate-shuffles', (graph) =>
    rewriteNodes(graph, (node, context) => {
      if (node.op !== 'conv2d') return context.emit(node);
      const { connectivity } = node.attrs;
      if (connectivity.kind === 'masked' || connectivity.kind === 'learned') {
        throw new Error(`internal: the groups of ${node.id} are not known yet`);
      }
      const orders = contiguousOrders(connectivity, anyOrder(node));
      return orders === undefined ? context.emit(node) : emitShuffled(node, connectivity, orders, context);
    }),
  );
}

function emitShuffled(
  node: NodeOf<'conv2d'>,
  grouping: Grouping,
  orders: GroupOrders,
  { emit, freshId }: RewriteContext,
): string {
  const move = (value: string, base: string, indices: Permutation): string =>
    isIdentityPermutation(indices)
      ? value
      : emit({
          id: freshId(base),
          op: 'take',
          inputs: [value],
          attrs: { axis: 3, indices },
          weights: {},
          origin: node.origin,
        });
  const [input, residual] = node.inputs as [string, string?];
  const vector = (name: 'bias' | 'preScale' | 'preShift', order: Permutation): Partial<typeof node.weights> => {
    const weight = node.weights[name];
    return weight === undefined ? {} : { [name]: takeWeight(weight, 0, order, order.length) };
  };
  const convolution = emit({
    ...node,
    inputs: [
      move(input, `${node.id}.input-order`, orders.inputs),
      ...(residual === undefined ? [] : [move(residual, `${node.id}.residual-order`, orders.outputs)]),
    ],
    attrs: { ...node.attrs, connectivity: reorderGrouping(grouping, orders.outputs, orders.inputs) },
    weights: {
      ...node.weights,
      kernel: reorderWeight(node.weights.kernel, grouping, orders.outputs, orders.inputs),
      ...vector('bias', orders.outputs),
      ...vector('preScale', orders.inputs),
      ...vector('preShift', orders.inputs),
    },
  });
  return move(convolution, `${node.id}.output-order`, invertPermutation(orders.outputs));
}
