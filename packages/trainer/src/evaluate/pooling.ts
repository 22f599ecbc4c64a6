import type { AttrsByOp, Window } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { takeAxis } from '../ops/take-axis.js';
import * as tf from '../tf.js';

type Pads = [[number, number], [number, number], [number, number], [number, number]];

const isDilated = ({ dilations }: Window): boolean => dilations[0] > 1 || dilations[1] > 1;

function padsOf({ padding: { top, bottom, left, right } }: Window): Pads {
  return [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
}

/** Largest value of each window, padding apart: x `[N, H, W, C]` → `[N, H', W', C]`. */
export function maxPool(x: tfc.Tensor4D, window: Window): tfc.Tensor {
  const { kernelSize, strides, dilations } = window;
  // tfjs-node takes no padding in pixels.
  const isDirect = !isDilated(window) && tf.getBackend() !== 'tensorflow';
  if (isDirect) return tf.maxPool(x, [...kernelSize], [...strides], padsOf(window));
  const lowest = tf.pad(x, padsOf(window), -3.4e38);
  if (!isDilated(window)) return tf.maxPool(lowest, [...kernelSize], [...strides], 'valid');
  return strided(tf.pool(lowest, [...kernelSize], 'max', 'valid', [...dilations]) as tfc.Tensor4D, strides);
}

/** Mean of each window, padded zeros counted or not: x `[N, H, W, C]` → `[N, H', W', C]`. */
export function averagePool(x: tfc.Tensor4D, window: AttrsByOp['average-pool']): tfc.Tensor {
  const { kernelSize, strides, dilations, countPadding } = window;
  // tfjs's gradient of a padded average divides by the whole window: pad first, then correct the border's divisors.
  const padded = tf.pad(x, padsOf(window));
  const y = isDilated(window)
    ? strided(tf.pool(padded, [...kernelSize], 'avg', 'valid', [...dilations]) as tfc.Tensor4D, strides)
    : tf.avgPool(padded, [...kernelSize], [...strides], 'valid');
  return countPadding ? y : tf.mul(y, borderCorrection(x.shape, [y.shape[1]!, y.shape[2]!], window));
}

/** Taps of a window / taps on pixels of x, `[1, H', W', 1]`. */
function borderCorrection(
  [, height, width]: readonly number[],
  [outHeight, outWidth]: readonly [number, number],
  { kernelSize, strides, dilations, padding }: Window,
): tfc.Tensor {
  const correction = (position: number, axis: 0 | 1, before: number, size: number): number => {
    let inside = 0;
    for (let tap = 0; tap < kernelSize[axis]; tap++) {
      const source = position * strides[axis] - before + tap * dilations[axis];
      if (source >= 0 && source < size) inside++;
    }
    return kernelSize[axis] / inside;
  };
  const factors = new Float32Array(outHeight * outWidth);
  for (let y = 0; y < outHeight; y++) {
    const vertical = correction(y, 0, padding.top, height!);
    for (let x = 0; x < outWidth; x++) {
      factors[y * outWidth + x] = vertical * correction(x, 1, padding.left, width!);
    }
  }
  return tf.tensor4d(factors, [1, outHeight, outWidth, 1]);
}

/** tfjs cannot dilate and stride at once: pool at every pixel, then keep every n-th. */
function strided(y: tfc.Tensor4D, [vertical, horizontal]: readonly [number, number]): tfc.Tensor {
  const every = (length: number, step: number) =>
    Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step);
  return takeAxis(takeAxis(y, 1, every(y.shape[1], vertical)), 2, every(y.shape[2], horizontal));
}
