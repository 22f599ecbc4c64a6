import { type Padding, type Shape, type Window } from '@dgconv/core';
import type { LayerConfig } from './fields.js';

/** Height and width of a value `[1, H, W, C]`. */
export function imageSize(shape: Shape, config: LayerConfig): readonly [number, number] {
  const [, height, width] = shape;
  return shape.length === 4
    ? [height!, width!]
    : config.refuse(`its input has shape [${shape.join(', ')}], not [1, H, W, C]`);
}

/** Padding before and after so that the result has ⌈size / stride⌉ pixels, the smaller half before (TensorFlow's `same`). */
export function samePadding(size: number, extent: number, stride: number): readonly [number, number] {
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + extent - size, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** No padding. */
export const noPadding: Padding = { top: 0, bottom: 0, left: 0, right: 0 };

/** The window that a layer's configuration describes for an input `[1, H, W, C]`. */
export function windowOf(config: LayerConfig, input: Shape, sizeField: 'kernel_size' | 'pool_size'): Window {
  config.choice('data_format', ['channels_last'], 'channels_last');
  const size = imageSize(input, config);
  const kernelSize = config.pair(sizeField, [2, 2]);
  const strides = config.pair('strides', sizeField === 'pool_size' ? kernelSize : [1, 1]);
  const dilations = config.pair('dilation_rate', [1, 1]);
  if (config.choice('padding', ['same', 'valid'], 'valid') === 'valid') {
    return { kernelSize, strides, dilations, padding: noPadding };
  }
  const along = (axis: 0 | 1): readonly [number, number] =>
    samePadding(size[axis], (kernelSize[axis] - 1) * dilations[axis] + 1, strides[axis]);
  const [[top, bottom], [left, right]] = [along(0), along(1)];
  return { kernelSize, strides, dilations, padding: { top, bottom, left, right } };
}
