import {
  CompactKernel,
  ExpandKernel,
  GateSums,
  type CompactKernelAttrs,
  type GateSumsAttrs,
} from '../../ops/compact-kernel.js';
import { areFloats, kernel, type Named } from '../kernel.js';
import type { PairsParams } from '../operations.js';
import { orderOf, pairingOf } from './orders.js';

const pairsOf = ([height, width, , channelsOut]: readonly number[], attrs: CompactKernelAttrs): PairsParams => ({
  taps: height! * width!,
  channelsIn: attrs.channelsIn,
  channelsOut: channelsOut!,
  groups: attrs.groups,
});

const listsOf = ({ groups, inputOrder, outputOrder, inputGroups }: CompactKernelAttrs) => [
  orderOf(inputOrder),
  orderOf(outputOrder),
  pairingOf(inputGroups, groups),
];

/** Between a DGConv's dense kernel and the pairs that its gates connect. */
export const gateKernels = [
  kernel<Named<'kernel'>, CompactKernelAttrs>(CompactKernel, ({ inputs: { kernel: dense }, attrs, backend, plain }) => {
    if (!areFloats(dense)) return plain();
    const [height, width, channelsIn, channelsOut] = dense.shape as [number, number, number, number];
    const shape = [height, width, channelsIn / attrs.groups, channelsOut];
    const buffers = [backend.floats(dense), ...listsOf(attrs)];
    return backend.compute('compactKernel', pairsOf(dense.shape, attrs), shape, buffers);
  }),
  kernel<Named<'compact'>, CompactKernelAttrs>(ExpandKernel, ({ inputs: { compact }, attrs, backend, plain }) => {
    if (!areFloats(compact)) return plain();
    const shape = compact.shape.with(2, attrs.channelsIn);
    const buffers = [backend.floats(compact), ...listsOf(attrs)];
    return backend.compute('expandKernel', pairsOf(compact.shape, attrs), shape, buffers);
  }),
  kernel<Named<'left' | 'right'>, GateSumsAttrs>(GateSums, ({ inputs: { left, right }, attrs, backend, plain }) => {
    if (!areFloats(left, right)) return plain();
    const [height, width, groupIn, channelsOut] = left.shape as [number, number, number, number];
    const digits = attrs.inputDigits.length;
    const params = { taps: height * width, channelsOut, groups: attrs.groups, groupIn, digits };
    return backend.compute(
      'gateSums',
      params,
      [digits + 1],
      [
        backend.floats(left),
        backend.floats(right),
        Int32Array.from(attrs.inputDigits.flat()),
        Int32Array.from(attrs.outputDigits.flat()),
      ],
    );
  }),
];
