import type * as tfc from '@tensorflow/tfjs-core';
import { convOutputSize } from '../../ops/grouped-conv.js';
import {
  GroupedConv2D,
  GroupedConv2DFilterGradient,
  GroupedConv2DFilterGradients,
  GroupedConv2DInputGradient,
  type GroupedConv2DAttrs,
  type GroupedConv2DFilterGradientAttrs,
  type GroupedConv2DFilterGradientInputs,
  type GroupedConv2DFilterGradientsAttrs,
  type GroupedConv2DInputGradientAttrs,
  type GroupedConv2DInputGradientInputs,
  type GroupedConv2DInputs,
} from '../../ops/grouped-conv-signatures.js';
import { areFloats, kernel } from '../kernel.js';
import type { ConvParams } from '../operations.js';
import { orderOf, pairingOf } from './orders.js';

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
      return backend.compute('convFilterGradients', paramsOf(x.shape, attrs.filterShape, attrs), attrs.filterShape, [
        backend.floats(x),
        backend.floats(dy),
        orderOf(attrs.inputOrder),
        orderOf(attrs.outputOrder),
        pairingOf(attrs.inputGroups, attrs.groups),
      ]);
    },
  ),
  kernel<GroupedConv2DFilterGradientInputs<tfc.TensorInfo>, GroupedConv2DFilterGradientsAttrs>(
    GroupedConv2DFilterGradients,
    ({ inputs: { x, dy }, attrs, backend }) => {
      const { groups, pairings } = attrs;
      const outputs = pairings.map(() => backend.output(attrs.filterShape));
      const groupLists = new Int32Array(pairings.length * groups);
      pairings.forEach((inputGroups, place) => groupLists.set(pairingOf(inputGroups, groups), place * groups));
      backend.module.run('convFilterGradients', paramsOf(x.shape, attrs.filterShape, attrs), [
        backend.floats(x),
        backend.floats(dy),
        orderOf(attrs.inputOrder),
        orderOf(attrs.outputOrder),
        groupLists,
        ...outputs.map(({ values }) => values),
      ]);
      return outputs.map(({ info }) => info);
    },
  ),
];
