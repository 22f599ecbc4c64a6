import type * as tfc from '@tensorflow/tfjs-core';
import {
  convOutputSize,
  GroupedConv2D,
  GroupedConv2DFilterGradient,
  GroupedConv2DInputGradient,
  type GroupedConv2DAttrs,
  type GroupedConv2DFilterGradientAttrs,
  type GroupedConv2DFilterGradientInputs,
  type GroupedConv2DInputGradientAttrs,
  type GroupedConv2DInputGradientInputs,
  type GroupedConv2DInputs,
} from '../../ops/grouped-conv.js';
import { areFloats, kernel } from '../kernel.js';
import type { ConvParams } from '../operations.js';

const none = new Int32Array(0);
const converted = new WeakMap<readonly number[], Int32Array>();

/** A channel order as the native code takes it: empty for the identity. */
function orderOf(order: readonly number[] | null): Int32Array {
  if (!order) return none;
  let array = converted.get(order);
  if (!array) converted.set(order, (array = Int32Array.from(order)));
  return array;
}

function paramsOf(
  [batch, inputHeight, inputWidth, inputChannels]: readonly number[],
  [filterHeight, filterWidth, , outputChannels]: readonly number[],
  attrs: GroupedConv2DAttrs,
): ConvParams {
  const [outputHeight, outputWidth] = convOutputSize([inputHeight!, inputWidth!], [filterHeight!, filterWidth!], attrs);
  return {
    batch: batch!,
    inputHeight: inputHeight!,
    inputWidth: inputWidth!,
    inputChannels: inputChannels!,
    outputHeight,
    outputWidth,
    outputChannels: outputChannels!,
    filterHeight: filterHeight!,
    filterWidth: filterWidth!,
    strideHeight: attrs.strides[0],
    strideWidth: attrs.strides[1],
    padTop: attrs.padding[0],
    padLeft: attrs.padding[2],
    dilationHeight: attrs.dilations[0],
    dilationWidth: attrs.dilations[1],
    groups: attrs.groups,
  };
}

/** Convolutions in groups and their gradients. */
export const groupedConvKernels = [
  kernel<GroupedConv2DInputs<tfc.TensorInfo>, GroupedConv2DAttrs>(
    GroupedConv2D,
    ({ inputs: { x, filter }, attrs, backend, plain }) => {
      if (!areFloats(x, filter)) return plain();
      const params = paramsOf(x.shape, filter.shape, attrs);
      return backend.compute(
        'conv',
        params,
        [params.batch, params.outputHeight, params.outputWidth, params.outputChannels],
        [backend.floats(x), backend.floats(filter)],
        [orderOf(attrs.inputOrder), orderOf(attrs.outputOrder)],
      );
    },
  ),
  kernel<GroupedConv2DInputGradientInputs<tfc.TensorInfo>, GroupedConv2DInputGradientAttrs>(
    GroupedConv2DInputGradient,
    ({ inputs: { dy, filter }, attrs, backend, plain }) => {
      if (!areFloats(dy, filter)) return plain();
      return backend.compute(
        'convInputGradient',
        paramsOf(attrs.inputShape, filter.shape, attrs),
        attrs.inputShape,
        [backend.floats(dy), backend.floats(filter)],
        [orderOf(attrs.inputOrder), orderOf(attrs.outputOrder)],
      );
    },
  ),
  kernel<GroupedConv2DFilterGradientInputs<tfc.TensorInfo>, GroupedConv2DFilterGradientAttrs>(
    GroupedConv2DFilterGradient,
    ({ inputs: { x, dy }, attrs, backend, plain }) => {
      if (!areFloats(x, dy)) return plain();
      return backend.compute(
        'convFilterGradient',
        paramsOf(x.shape, attrs.filterShape, attrs),
        attrs.filterShape,
        [backend.floats(x), backend.floats(dy)],
        [orderOf(attrs.inputOrder), orderOf(attrs.outputOrder), orderOf(attrs.inputGroups)],
      );
    },
  ),
];
