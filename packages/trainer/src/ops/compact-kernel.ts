import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { registerPlainKernel } from './plain-kernel.js';

/** Kernel: `{ kernel [kh, kw, I, O] }`, {@link CompactKernelAttrs} → `[kh, kw, I/G, O]`, columns by position. */
export const CompactKernel = 'CompactKernel';
/** Kernel: `{ compact [kh, kw, I/G, O] }`, {@link CompactKernelAttrs} → `[kh, kw, I, O]`, zeros outside the groups. */
export const ExpandKernel = 'ExpandKernel';
/**
 * Kernel: `{ left, right [kh, kw, I/G, O] }`, {@link GateSumsAttrs} → `[n + 1]`: for each digit the sum of `left·right` over the
 * pairs whose digits differ, then the sum over all pairs.
 */
export const GateSums = 'GateSums';

/** Which pairs of a dense kernel a compact one holds: position p of the columns is output channel `outputOrder[p]`. */
export interface CompactKernelAttrs {
  readonly groups: number;
  readonly channelsIn: number;
  readonly inputOrder: readonly number[] | null;
  readonly outputOrder: readonly number[] | null;
  /** Input group that each output group is paired with; null: its own. */
  readonly inputGroups: readonly number[] | null;
}

export interface GateSumsAttrs {
  readonly groups: number;
  /** `[n][I/G]` */
  readonly inputDigits: readonly (readonly number[])[];
  /** `[n][O/G]` */
  readonly outputDigits: readonly (readonly number[])[];
}

/** The connected pairs of a dense kernel `[kh, kw, I, O]` as a grouped filter `[kh, kw, I/G, O]`. */
export function compactKernel(kernel: tfc.Tensor4D, attrs: CompactKernelAttrs): tfc.Tensor4D {
  return tf.engine().runKernel(CompactKernel, { kernel }, attrs as unknown as tfc.NamedAttrMap);
}

/** The inverse of {@link compactKernel}, with zeros at the other pairs. */
export function expandKernel(compact: tfc.Tensor4D, attrs: CompactKernelAttrs): tfc.Tensor4D {
  return tf.engine().runKernel(ExpandKernel, { compact }, attrs as unknown as tfc.NamedAttrMap);
}

/** Sums of `left·right` for the gates that are on, and over everything: see {@link GateSums}. */
export function gateSums(left: tfc.Tensor4D, right: tfc.Tensor4D, attrs: GateSumsAttrs): tfc.Tensor1D {
  return tf.engine().runKernel(GateSums, { left, right }, attrs as unknown as tfc.NamedAttrMap);
}

tf.registerGradient({
  kernelName: CompactKernel,
  gradFunc: (dy, _saved, attrs) => ({
    kernel: () => expandKernel(dy as tfc.Tensor4D, attrs as unknown as CompactKernelAttrs),
  }),
});

/** Calls `visit` with the index of each pair in the dense and in the compact kernel of one tap. */
function forEachPair(
  channelsOut: number,
  { groups, channelsIn, inputOrder, outputOrder, inputGroups }: CompactKernelAttrs,
  visit: (dense: number, compact: number) => void,
): void {
  const groupIn = channelsIn / groups;
  const groupOut = channelsOut / groups;
  for (let position = 0; position < channelsOut; position++) {
    const group = Math.floor(position / groupOut);
    const first = (inputGroups ? inputGroups[group]! : group) * groupIn;
    const output = outputOrder ? outputOrder[position]! : position;
    for (let i = 0; i < groupIn; i++) {
      const input = inputOrder ? inputOrder[first + i]! : first + i;
      visit(input * channelsOut + output, i * channelsOut + position);
    }
  }
}

registerPlainKernel<{ kernel: tfc.TensorInfo }, CompactKernelAttrs>(CompactKernel, (inputs, attrs, { read, write }) => {
  const dense = read(inputs.kernel);
  const [height, width, channelsIn, channelsOut] = inputs.kernel.shape as [number, number, number, number];
  const shape = [height, width, channelsIn / attrs.groups, channelsOut];
  const compact = new Float32Array(dense.length / attrs.groups);
  const denseTap = channelsIn * channelsOut;
  const compactTap = denseTap / attrs.groups;
  forEachPair(channelsOut, attrs, (from, to) => {
    for (let tap = 0; tap < height * width; tap++) compact[tap * compactTap + to] = dense[tap * denseTap + from]!;
  });
  return write(compact, shape);
});

registerPlainKernel<{ compact: tfc.TensorInfo }, CompactKernelAttrs>(ExpandKernel, (inputs, attrs, { read, write }) => {
  const compact = read(inputs.compact);
  const [height, width, , channelsOut] = inputs.compact.shape as [number, number, number, number];
  const dense = new Float32Array(compact.length * attrs.groups);
  const denseTap = attrs.channelsIn * channelsOut;
  const compactTap = denseTap / attrs.groups;
  forEachPair(channelsOut, attrs, (to, from) => {
    for (let tap = 0; tap < height * width; tap++) dense[tap * denseTap + to] = compact[tap * compactTap + from]!;
  });
  return write(dense, [height, width, attrs.channelsIn, channelsOut]);
});

registerPlainKernel<{ left: tfc.TensorInfo; right: tfc.TensorInfo }, GateSumsAttrs>(
  GateSums,
  (inputs, { groups, inputDigits, outputDigits }, { read, write }) => {
    const left = read(inputs.left);
    const right = read(inputs.right);
    const [height, width, groupIn, channelsOut] = inputs.left.shape as [number, number, number, number];
    const groupOut = channelsOut / groups;
    const sums = new Float64Array(inputDigits.length + 1);
    for (let row = 0; row < height * width * groupIn; row++) {
      const i = row % groupIn;
      for (let position = 0; position < channelsOut; position++) {
        const value = left[row * channelsOut + position]! * right[row * channelsOut + position]!;
        const o = position % groupOut;
        for (let digit = 0; digit < inputDigits.length; digit++) {
          if (inputDigits[digit]![i] !== outputDigits[digit]![o]) sums[digit]! += value;
        }
        sums[inputDigits.length]! += value;
      }
    }
    return write(Float32Array.from(sums), [sums.length]);
  },
);
