import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import {
  GroupedConv2D,
  GroupedConv2DInputGradient,
  GroupedConv2DFilterGradient,
  GroupedConv2DFilterGradients,
  type GroupedConv2DAttrs,
  type GroupedConv2DInputs,
  type GroupedConv2DInputGradientInputs,
  type GroupedConv2DInputGradientAttrs,
  type GroupedConv2DFilterGradientInputs,
  type GroupedConv2DFilterGradientAttrs,
  type GroupedConv2DFilterGradientsAttrs,
} from './grouped-conv-signatures.js';
import { registerPlainKernel } from './plain-kernel.js';
import { groupedConv, groupedConvFilterGradient, groupedConvInputGradient } from './grouped-conv-plain.js';

/** Rows and columns of a convolution's output. */
export function convOutputSize(
  [height, width]: readonly [number, number],
  [kernelHeight, kernelWidth]: readonly [number, number],
  { strides, padding, dilations }: Pick<GroupedConv2DAttrs, 'strides' | 'padding' | 'dilations'>,
): [number, number] {
  const size = (length: number, kernel: number, before: number, after: number, stride: number, dilation: number) =>
    Math.floor((length + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  return [
    size(height, kernelHeight, padding[0], padding[1], strides[0], dilations[0]),
    size(width, kernelWidth, padding[2], padding[3], strides[1], dilations[1]),
  ];
}

/** x `[N, H, W, I]`, filter `[kh, kw, I/G, O]` → `[N, H', W', O]`; differentiable in both. */
export function groupedConv2d(x: tfc.Tensor4D, filter: tfc.Tensor4D, attrs: GroupedConv2DAttrs): tfc.Tensor4D {
  return tf.engine().runKernel(GroupedConv2D, { x, filter }, attributes(attrs));
}

/** Gradient of {@link groupedConv2d} in x: dy `[N, H', W', O]` → `[N, H, W, I]`. */
export function groupedConv2dInputGradient(
  dy: tfc.Tensor4D,
  filter: tfc.Tensor4D,
  attrs: GroupedConv2DInputGradientAttrs,
): tfc.Tensor4D {
  return tf.engine().runKernel(GroupedConv2DInputGradient, { dy, filter }, attributes(attrs));
}

/** Gradient of {@link groupedConv2d} in the filter, or the same product between other pairs of groups: → `[kh, kw, I/G, O]`. */
export function groupedConv2dFilterGradient(
  x: tfc.Tensor4D,
  dy: tfc.Tensor4D,
  attrs: GroupedConv2DFilterGradientAttrs,
): tfc.Tensor4D {
  return tf.engine().runKernel(GroupedConv2DFilterGradient, { x, dy }, attributes(attrs));
}

/** One {@link groupedConv2dFilterGradient} for each pairing, in one pass over x and dy where the engine can. */
export function groupedConv2dFilterGradients(
  x: tfc.Tensor4D,
  dy: tfc.Tensor4D,
  attrs: GroupedConv2DFilterGradientsAttrs,
): tfc.Tensor4D[] {
  if (tf.getKernel(GroupedConv2DFilterGradients, tf.getBackend())) {
    return tf.engine().runKernel(GroupedConv2DFilterGradients, { x, dy }, attributes(attrs));
  }
  const { pairings, ...conv } = attrs;
  return pairings.map((inputGroups) => groupedConv2dFilterGradient(x, dy, { ...conv, inputGroups }));
}

/** tfjs's attribute type knows neither null nor readonly; kernels get the object as it is. */
function attributes(attrs: GroupedConv2DAttrs): tfc.NamedAttrMap {
  return attrs as unknown as tfc.NamedAttrMap;
}

tf.registerGradient({
  kernelName: GroupedConv2D,
  inputsToSave: ['x', 'filter'],
  gradFunc: (dy, saved, attrs) => {
    const [x, filter] = saved as [tfc.Tensor4D, tfc.Tensor4D];
    const conv = attrs as unknown as GroupedConv2DAttrs;
    const gradient = dy as tfc.Tensor4D;
    return {
      x: () => groupedConv2dInputGradient(gradient, filter, { ...conv, inputShape: x.shape }),
      filter: () => groupedConv2dFilterGradient(x, gradient, { ...conv, filterShape: filter.shape, inputGroups: null }),
    };
  },
});

tf.registerGradient({
  kernelName: GroupedConv2DInputGradient,
  inputsToSave: ['dy', 'filter'],
  // Linear in dy and in the filter: as a transposed convolution it is differentiated in turn.
  gradFunc: (upstream, saved, attrs) => {
    const [dy, filter] = saved as [tfc.Tensor4D, tfc.Tensor4D];
    const conv = attrs as unknown as GroupedConv2DAttrs;
    const gradient = upstream as tfc.Tensor4D;
    return {
      dy: () => groupedConv2d(gradient, filter, conv),
      filter: () =>
        groupedConv2dFilterGradient(gradient, dy, { ...conv, filterShape: filter.shape, inputGroups: null }),
    };
  },
});

registerPlainKernel<GroupedConv2DInputs<tfc.TensorInfo>, GroupedConv2DAttrs>(
  GroupedConv2D,
  ({ x, filter }, attrs, { read, write }) => {
    const [height, width] = convOutputSize([x.shape[1]!, x.shape[2]!], [filter.shape[0]!, filter.shape[1]!], attrs);
    const shape = [x.shape[0]!, height, width, filter.shape[3]!];
    return write(groupedConv(read(x), x.shape, read(filter), filter.shape, shape, attrs), shape);
  },
);

registerPlainKernel<GroupedConv2DInputGradientInputs<tfc.TensorInfo>, GroupedConv2DInputGradientAttrs>(
  GroupedConv2DInputGradient,
  ({ dy, filter }, attrs, { read, write }) =>
    write(groupedConvInputGradient(read(dy), dy.shape, read(filter), filter.shape, attrs), attrs.inputShape),
);

registerPlainKernel<GroupedConv2DFilterGradientInputs<tfc.TensorInfo>, GroupedConv2DFilterGradientAttrs>(
  GroupedConv2DFilterGradient,
  ({ x, dy }, attrs, { read, write }) =>
    write(groupedConvFilterGradient(read(x), x.shape, read(dy), dy.shape, attrs), attrs.filterShape),
);
