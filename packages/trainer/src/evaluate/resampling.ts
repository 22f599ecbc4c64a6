import { type AttrsByOp, resizeTaps } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { takeAxis } from '../ops/take-axis.js';
import * as tf from '../tf.js';

/** Nearest or bilinear resampling of `[N, H, W, C]`, one axis after the other. */
export function resize(x: tfc.Tensor4D, attrs: AttrsByOp['resize']): tfc.Tensor {
  return ([0, 1] as const).reduce<tfc.Tensor>((image, direction) => {
    const axis = direction + 1;
    const taps = resizeTaps(image.shape[axis]!, direction, attrs);
    const low = takeAxis(
      image,
      axis,
      taps.map((tap) => tap.low),
    );
    if (taps.every((tap) => tap.share === 0)) return low;
    const high = takeAxis(
      image,
      axis,
      taps.map((tap) => tap.high),
    );
    const share = tf.tensor(
      taps.map((tap) => tap.share),
      axis === 1 ? [taps.length, 1, 1] : [taps.length, 1],
    );
    return tf.add(low, tf.mul(tf.sub(high, low), share));
  }, x);
}

/** Padding of any kind along every axis. */
export function pad(x: tfc.Tensor, { before, after, mode, value }: AttrsByOp['pad']): tfc.Tensor {
  switch (mode) {
    case 'constant':
      return tf.pad(
        x,
        before.map((count, axis): [number, number] => [count, after[axis]!]),
        value,
      );
    case 'edge':
    case 'reflect':
      return before.reduce((padded, count, axis) => {
        if (count === 0 && after[axis] === 0) return padded;
        const size = x.shape[axis]!;
        const source = (position: number): number => {
          if (mode === 'edge') return Math.min(Math.max(position, 0), size - 1);
          return position < 0 ? -position : position < size ? position : 2 * (size - 1) - position;
        };
        const length = count + size + after[axis]!;
        return takeAxis(
          padded,
          axis,
          Array.from({ length }, (_, index) => source(index - count)),
        );
      }, x);
  }
}
