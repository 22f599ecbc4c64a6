import {
  blocksOf,
  elementCount,
  expandWeight,
  type Graph,
  type GroupBlock,
  type Grouping,
  inferShapes,
  isIdentityPermutation,
  type NodeOf,
} from '@dgconv/core';
import type { FormCosts } from './form-costs.js';
import type { GroupOrders } from './group-orders.js';

/** Predicted time of a convolution whose blocks run one beside the other, in multiply-adds of a dense one. */
export function blocksTime(blocks: readonly GroupBlock[], taps: number, costs: FormCosts): number {
  return blocks.reduce((sum, { inputs, outputs }) => {
    const size = Math.min(inputs.length, outputs.length);
    return size === 0 ? sum : sum + costs.convolution(inputs.length * outputs.length, taps, size);
  }, 0);
}

/** Predicted time of the same convolution with zeros where nothing is connected. */
export function denseTime({ channelsIn, channelsOut }: Grouping, taps: number, costs: FormCosts): number {
  return costs.convolution(channelsIn * channelsOut, taps, Math.min(channelsIn, channelsOut));
}

/** Whether the groups with their moves are predicted to be faster than a dense convolution with zeros; by node. */
export function worthMoving(
  graph: Graph,
  costs: FormCosts,
): (node: NodeOf<'conv2d'>, grouping: Grouping, orders: GroupOrders) => boolean {
  const shapes = inferShapes(graph);
  const pixelsOf = (value: string): number => elementCount(shapes.get(value)!.slice(1, 3));
  return (node, grouping, orders) => {
    const taps = pixelsOf(node.id) * elementCount(node.attrs.kernelSize);
    const moves = [
      ...(isIdentityPermutation(orders.inputs) ? [] : [pixelsOf(node.inputs[0]!) * grouping.channelsIn]),
      ...(isIdentityPermutation(orders.outputs) ? [] : [pixelsOf(node.id) * grouping.channelsOut]),
    ];
    const moved = costs.start(moves.length) + moves.reduce((sum, values) => sum + costs.move(values), 0);
    return blocksTime(blocksOf(grouping) ?? [], taps, costs) + moved < denseTime(grouping, taps, costs);
  };
}

/** The same convolution with zeros where nothing is connected. */
export function asDense(node: NodeOf<'conv2d'>): NodeOf<'conv2d'> {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return node;
  const { channelsIn, channelsOut } = connectivity;
  return {
    ...node,
    attrs: { ...node.attrs, connectivity: { kind: 'dense', channelsIn, channelsOut, groups: 1 } },
    weights: { ...node.weights, kernel: expandWeight(node.weights.kernel, connectivity) },
  };
}
