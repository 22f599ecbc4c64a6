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

const pairIndices = new WeakMap<CompactKernelAttrs, Int32Array>();

/** Place in a dense tap `[I, O]` of each value of a compact tap `[I/G, O]`; kept for as long as the attributes are. */
function pairIndex(attrs: CompactKernelAttrs, channelsOut: number): Int32Array {
  const known = pairIndices.get(attrs);
  if (known?.length === (attrs.channelsIn / attrs.groups) * channelsOut) return known;
  const { groups, channelsIn, inputOrder, outputOrder, inputGroups } = attrs;
  const groupIn = channelsIn / groups;
  const groupOut = channelsOut / groups;
  const index = new Int32Array(groupIn * channelsOut);
  for (let position = 0; position < channelsOut; position++) {
    const group = Math.floor(position / groupOut);
    const first = (inputGroups ? inputGroups[group]! : group) * groupIn;
    const output = outputOrder ? outputOrder[position]! : position;
    for (let i = 0; i < groupIn; i++) {
      const input = inputOrder ? inputOrder[first + i]! : first + i;
      index[i * channelsOut + position] = input * channelsOut + output;
    }
  }
  pairIndices.set(attrs, index);
  return index;
}

registerPlainKernel<{ kernel: tfc.TensorInfo }, CompactKernelAttrs>(CompactKernel, (inputs, attrs, { read, write }) => {
  const dense = read(inputs.kernel);
  const [height, width, channelsIn, channelsOut] = inputs.kernel.shape as [number, number, number, number];
  const index = pairIndex(attrs, channelsOut);
  const compact = new Float32Array(dense.length / attrs.groups);
  const denseTap = channelsIn * channelsOut;
  for (let tap = 0; tap < height * width; tap++) {
    const from = tap * denseTap;
    const to = tap * index.length;
    for (let k = 0; k < index.length; k++) compact[to + k] = dense[from + index[k]!]!;
  }
  return write(compact, [height, width, channelsIn / attrs.groups, channelsOut]);
});

registerPlainKernel<{ compact: tfc.TensorInfo }, CompactKernelAttrs>(ExpandKernel, (inputs, attrs, { read, write }) => {
  const compact = read(inputs.compact);
  const [height, width, , channelsOut] = inputs.compact.shape as [number, number, number, number];
  const index = pairIndex(attrs, channelsOut);
  const dense = new Float32Array(compact.length * attrs.groups);
  const denseTap = attrs.channelsIn * channelsOut;
  for (let tap = 0; tap < height * width; tap++) {
    const from = tap * index.length;
    const to = tap * denseTap;
    for (let k = 0; k < index.length; k++) dense[to + index[k]!] = compact[from + k]!;
  }
  return write(dense, [height, width, attrs.channelsIn, channelsOut]);
});

registerPlainKernel<{ left: tfc.TensorInfo; right: tfc.TensorInfo }, GateSumsAttrs>(
  GateSums,
  (inputs, { groups, inputDigits, outputDigits }, { read, write }) => {
    const left = read(inputs.left);
    const right = read(inputs.right);
    const [height, width, groupIn, channelsOut] = inputs.left.shape as [number, number, number, number];
    const groupOut = channelsOut / groups;
    // Products summed over the groups first: digits are the same in every group.
    const products = new Float64Array(groupIn * groupOut);
    for (let row = 0; row < height * width * groupIn; row++) {
      const first = (row % groupIn) * groupOut;
      for (let group = 0; group < groups; group++) {
        const at = row * channelsOut + group * groupOut;
        for (let o = 0; o < groupOut; o++) products[first + o]! += left[at + o]! * right[at + o]!;
      }
    }
    const sums = new Float32Array(inputDigits.length + 1);
    for (let digit = 0; digit <= inputDigits.length; digit++) {
      const ofInput = inputDigits[digit];
      const ofOutput = outputDigits[digit];
      let sum = 0;
      for (let i = 0; i < groupIn; i++) {
        for (let o = 0; o < groupOut; o++) {
          if (!ofInput || ofInput[i] !== ofOutput![o]) sum += products[i * groupOut + o]!;
        }
      }
      sums[digit] = sum;
    }
    return write(sums, [sums.length]);
  },
);
