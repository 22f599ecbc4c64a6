import {
  blocksOf,
  type GroupBlock,
  type Grouping,
  identityPermutation,
  isIdentityPermutation,
  type NodeOf,
  type Permutation,
} from '@dgconv/core';

/** Orders of the inputs and outputs of a convolution. */
export interface GroupOrders {
  readonly inputs: Permutation;
  readonly outputs: Permutation;
}

/** Sides of a convolution whose channels may lie in any order, because the target gathers or scatters them itself. */
export interface AnyOrder {
  readonly inputs: boolean;
  readonly outputs: boolean;
}

/** What a target can read or write in any order. */
export type AnyOrderOf = (node: NodeOf<'conv2d'>) => AnyOrder;

/**
 * Orders of the two sides under which the groups are runs, as few moved as possible; undefined if they are runs, or have no need to
 * be: inputs that classes share are gathered anyway.
 */
export function contiguousOrders(grouping: Grouping, anyOrder: AnyOrder): GroupOrders | undefined {
  if (grouping.kind === 'dense' || grouping.kind === 'unstructured') return undefined;
  const { channelsIn, channelsOut } = grouping;
  const blocks = blocksOf(grouping)!;
  const sides = {
    inputs: grouping.kind !== 'shared-inputs' && !anyOrder.inputs,
    outputs: grouping.kind !== 'shared-outputs' && !anyOrder.outputs,
  };
  const inputRuns = sides.inputs ? runOrder(blocks, 'inputs') : undefined;
  const outputRuns = sides.outputs ? runOrder(blocks, 'outputs') : undefined;
  const order = inputRuns ?? outputRuns ?? identityPermutation(blocks.length);
  const flat = (side: 'inputs' | 'outputs', channels: number): Permutation =>
    sides[side] ? order.flatMap((block) => blocks[block]![side]) : identityPermutation(channels);
  const orders = { inputs: flat('inputs', channelsIn), outputs: flat('outputs', channelsOut) };
  return isIdentityPermutation(orders.inputs) && isIdentityPermutation(orders.outputs) ? undefined : orders;
}

/** The blocks by their first channel, if each is a run of channels; blocks without channels come last. */
function runOrder(blocks: readonly GroupBlock[], side: 'inputs' | 'outputs'): readonly number[] | undefined {
  const first = (block: number): number => blocks[block]![side][0] ?? Infinity;
  const order = blocks.map((_, block) => block).sort((a, b) => (first(a) === first(b) ? a - b : first(a) - first(b)));
  return isIdentityPermutation(order.flatMap((block) => blocks[block]![side])) ? order : undefined;
}
