import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../../tf.js';
import { areFloats, kernel, type Named } from '../kernel.js';
import type { ConvParams } from '../operations.js';
import { finish, isFinishable } from './finish.js';

type Shape4 = [number, number, number, number];
type ConvInfo = tfc.backend_util.Conv2DInfo;
type Attrs = Pick<tfc.Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'> & {
  readonly dilations?: tfc.Conv2DAttrs['dilations'];
};

const none = new Int32Array(0);
const onlyGroup = new Int32Array(1);

function infoOf(inputShape: readonly number[], filterShape: readonly number[], attrs: Attrs): ConvInfo {
  return tf.backend_util.computeConv2DInfo(
    inputShape as Shape4,
    filterShape as Shape4,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    false,
    tf.backend_util.convertConv2DDataFormat(attrs.dataFormat),
  );
}

const isNative = (info: ConvInfo, ...tensors: readonly tfc.TensorInfo[]): boolean =>
  info.dataFormat === 'channelsLast' && areFloats(...tensors) && !info.outShape.includes(0);

function paramsOf(info: ConvInfo): ConvParams {
  return {
    batch: info.batchSize,
    inputHeight: info.inHeight,
    inputWidth: info.inWidth,
    inputChannels: info.inChannels,
    outputHeight: info.outHeight,
    outputWidth: info.outWidth,
    outputChannels: info.outChannels,
    filterHeight: info.filterHeight,
    filterWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    padTop: info.padInfo.top,
    padLeft: info.padInfo.left,
    dilationHeight: info.dilationHeight,
    dilationWidth: info.dilationWidth,
    groups: 1,
  };
}

/** tfjs's own, ungrouped convolutions. */
export const convKernels = [
  kernel<Named<'x' | 'filter'>, Attrs>(tf.Conv2D, ({ inputs: { x, filter }, attrs, backend, plain }) => {
    const info = infoOf(x.shape, filter.shape, attrs);
    if (!isNative(info, x, filter)) return plain();
    const buffers = [backend.floats(x), backend.floats(filter)];
    return backend.compute('conv', paramsOf(info), info.outShape, buffers, [none, none]);
  }),
  kernel<Named<'x' | 'filter'> & Partial<Named<'bias' | 'preluActivationWeights'>>, Attrs & { activation: string }>(
    tf.FusedConv2D,
    ({ inputs: { x, filter, bias, preluActivationWeights }, attrs, backend, plain }) => {
      const info = infoOf(x.shape, filter.shape, attrs);
      const { activation } = attrs;
      if (!isNative(info, x, filter) || preluActivationWeights || !isFinishable(bias, info.outChannels, activation)) {
        return plain();
      }
      const { info: y, values } = backend.output(info.outShape);
      backend.module.run('conv', paramsOf(info), [backend.floats(x), backend.floats(filter), values, none, none]);
      finish(backend, values, info.outChannels, bias, activation);
      return y;
    },
  ),
  kernel<Named<'dy' | 'filter'>, Attrs & { readonly inputShape: number[] }>(
    tf.Conv2DBackpropInput,
    ({ inputs: { dy, filter }, attrs, backend, plain }) => {
      const info = infoOf(attrs.inputShape, filter.shape, attrs);
      if (!isNative(info, dy, filter)) return plain();
      const buffers = [backend.floats(dy), backend.floats(filter)];
      return backend.compute('convInputGradient', paramsOf(info), attrs.inputShape, buffers, [none, none]);
    },
  ),
  kernel<Named<'x' | 'dy'>, Attrs & { readonly filterShape: number[] }>(
    tf.Conv2DBackpropFilter,
    ({ inputs: { x, dy }, attrs, backend, plain }) => {
      const info = infoOf(x.shape, attrs.filterShape, attrs);
      if (!isNative(info, x, dy)) return plain();
      const buffers = [backend.floats(x), backend.floats(dy), none, none, onlyGroup];
      return backend.compute('convFilterGradients', paramsOf(info), attrs.filterShape, buffers);
    },
  ),
];
