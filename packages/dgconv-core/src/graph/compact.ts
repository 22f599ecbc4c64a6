import type { Grouping } from '../grouping/grouping.js';
import { invertPermutation, type Permutation } from '../grouping/permutation.js';
import { connectionsOf, supportsOf } from '../grouping/supports.js';
import type { Shape } from './shape.js';

/** Values of a tensor; arithmetic makes float64, moving data keeps what it got. */
export type Floats = Float32Array | Float64Array;

const emptyLike = (values: Floats, length: number): Floats =>
  values instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);

/**
 * Shape of the compact kernel of a grouping: `[C_out, n, kh, kw]` where all outputs have n inputs, else `[pairs, kh, kw]`.
 * @param kernelSize - height and width in pixels.
 */
export function compactShape(grouping: Grouping, kernelSize: readonly [number, number]): Shape {
  if (grouping.kind === 'dense' || grouping.kind === 'equal')
    return [grouping.channelsOut, grouping.channelsIn / grouping.groups, ...kernelSize];
  const supports = supportsOf(grouping);
  const count = supports[0]!.length;
  return supports.every((support) => support.length === count)
    ? [grouping.channelsOut, count, ...kernelSize]
    : [connectionsOf(grouping), ...kernelSize];
}

/**
 * First pair of each output in the compact kernel and their total at the end, `[C_out + 1]`, counted in pairs.
 */
export function compactOffsets(grouping: Grouping): Int32Array {
  const offsets = new Int32Array(grouping.channelsOut + 1);
  supportsOf(grouping).forEach((support, output) => (offsets[output + 1] = offsets[output]! + support.length));
  return offsets;
}

/** `[C_out, C_in, …patch]` → compact; `patch` values a pair. */
export function compactKernel(dense: Floats, grouping: Grouping, patch: number): Floats {
  const result = emptyLike(dense, connectionsOf(grouping) * patch);
  let position = 0;
  supportsOf(grouping).forEach((support, output) => {
    const row = output * grouping.channelsIn;
    for (const input of support) {
      const start = (row + input) * patch;
      for (let k = 0; k < patch; k++) result[position++] = dense[start + k]!;
    }
  });
  return result;
}

/** Compact → `[C_out, C_in, …patch]` with zeros where nothing is connected. */
export function expandKernel(compact: Floats, grouping: Grouping, patch: number): Floats {
  const result = emptyLike(compact, grouping.channelsOut * grouping.channelsIn * patch);
  let position = 0;
  supportsOf(grouping).forEach((support, output) => {
    const row = output * grouping.channelsIn;
    for (const input of support) {
      const start = (row + input) * patch;
      for (let k = 0; k < patch; k++) result[start + k] = compact[position++]!;
    }
  });
  return result;
}

/** Compact kernel of `grouping` → compact kernel of `reorderGrouping(grouping, outputOrder, inputOrder)`. */
export function reorderKernel(
  compact: Floats,
  grouping: Grouping,
  outputOrder: Permutation,
  inputOrder: Permutation,
  patch: number,
): Floats {
  const result = emptyLike(compact, compact.length);
  const supports = supportsOf(grouping);
  const offsets = compactOffsets(grouping);
  const newInput = invertPermutation(inputOrder);
  // Outputs of one group share their support array, so each order of pairs is sorted once.
  const pairOrders = new Map<readonly number[], readonly number[]>();
  let position = 0;
  for (const output of outputOrder) {
    const support = supports[output]!;
    let order = pairOrders.get(support);
    if (order === undefined) {
      order = [...support.keys()].sort((left, right) => newInput[support[left]!]! - newInput[support[right]!]!);
      pairOrders.set(support, order);
    }
    for (const pair of order) {
      const start = (offsets[output]! + pair) * patch;
      for (let k = 0; k < patch; k++) result[position++] = compact[start + k]!;
    }
  }
  return result;
}

/** Each pair's patch times `by[output]`, in float64. */
export function scaleOutputs(compact: Floats, grouping: Grouping, by: Floats, patch: number): Float64Array {
  const result = new Float64Array(compact.length);
  const offsets = compactOffsets(grouping);
  for (let output = 0; output < grouping.channelsOut; output++) {
    const factor = by[output]!;
    for (let k = offsets[output]! * patch; k < offsets[output + 1]! * patch; k++) result[k] = compact[k]! * factor;
  }
  return result;
}
