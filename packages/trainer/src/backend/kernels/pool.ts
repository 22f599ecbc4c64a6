import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../../tf.js';
import { areFloats, kernel, type Named, type NamedKernel } from '../kernel.js';
import type { PoolParams } from '../operations.js';

type Attrs = Pick<tfc.MaxPoolAttrs, 'filterSize' | 'strides' | 'pad' | 'dimRoundingMode'>;

function poolOf(
  shape: readonly number[],
  attrs: Attrs,
  maximum: boolean,
): { params: PoolParams; outShape: number[]; isNative: boolean } {
  const info = tf.backend_util.computePool2DInfo(
    shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  const params = {
    maximum: Number(maximum),
    batch: info.batchSize,
    channels: info.inChannels,
    inputHeight: info.inHeight,
    inputWidth: info.inWidth,
    outputHeight: info.outHeight,
    outputWidth: info.outWidth,
    filterHeight: info.filterHeight,
    filterWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    padTop: info.padInfo.top,
    padLeft: info.padInfo.left,
  };
  // A window that lies on padding alone has no maximum and no average.
  const covers = (input: number, output: number, filter: number, stride: number, pad: number) =>
    pad < filter && (output - 1) * stride - pad < input;
  const isNative =
    !info.outShape.includes(0) &&
    covers(info.inHeight, info.outHeight, info.filterHeight, info.strideHeight, info.padInfo.top) &&
    covers(info.inWidth, info.outWidth, info.filterWidth, info.strideWidth, info.padInfo.left);
  return { params, outShape: info.outShape, isNative };
}

const forward = (name: string, maximum: boolean): NamedKernel =>
  kernel<Named<'x'>, Attrs>(name, ({ inputs: { x }, attrs, backend, plain }) => {
    const { params, outShape, isNative } = poolOf(x.shape, attrs, maximum);
    if (!isNative || !areFloats(x)) return plain();
    return backend.compute('pool', params, outShape, [backend.floats(x)]);
  });

/** Maximum and average pooling. */
export const poolKernels: readonly NamedKernel[] = [
  forward(tf.MaxPool, true),
  forward(tf.AvgPool, false),
  kernel<Named<'dy' | 'input' | 'output'>, Attrs>(
    tf.MaxPoolGrad,
    ({ inputs: { dy, input, output }, attrs, backend, plain }) => {
      const { params, isNative } = poolOf(input.shape, attrs, true);
      if (!isNative || !areFloats(dy, input, output)) return plain();
      const buffers = [input, output, dy].map((tensor) => backend.floats(tensor));
      return backend.compute('poolGradient', params, input.shape, buffers);
    },
  ),
  kernel<Named<'dy' | 'input'>, Attrs>(tf.AvgPoolGrad, ({ inputs: { dy, input }, attrs, backend, plain }) => {
    const { params, isNative } = poolOf(input.shape, attrs, false);
    if (!isNative || !areFloats(dy, input)) return plain();
    const buffers = [input, dy, dy].map((tensor) => backend.floats(tensor));
    return backend.compute('poolGradient', params, input.shape, buffers);
  }),
];
