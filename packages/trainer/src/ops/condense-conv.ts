import { InvalidInputError } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { convGeometry, type ConvOptions } from './conv-options.js';
import { groupedConv2d } from './grouped-conv.js';

/** The shape of a learned group convolution: filter o is in group `o mod groups`, 1/condenseFactor of the inputs stay. */
export interface CondenseShape {
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly groups: number;
  readonly condenseFactor: number;
}

/** `Σ √max(…, 1e-6)`: below this a filter's sum of squares has no gradient. */
const lassoFloor = 1e-6;

/**
 * CondenseNet's learned group convolution: x `[N, H, W, C_in]`, kernel and 0/1 mask `[kh, kw, C_in, C_out]` (the mask's taps may be
 * 1 × 1). Differentiable in x and kernel; the mask changes only by {@link condenseMask}.
 * @throws {InvalidInputError} if shapes or an option do not fit.
 * @see Huang et al. 2018, arXiv:1711.09224, Section 3
 */
export function condenseConv2d(
  x: tfc.Tensor4D,
  kernel: tfc.Tensor4D,
  mask: tfc.Tensor4D,
  options: ConvOptions = {},
): tfc.Tensor4D {
  const geometry = convGeometry(x, kernel, options);
  if (mask.shape[2] !== kernel.shape[2] || mask.shape[3] !== kernel.shape[3]) {
    throw new InvalidInputError(
      `The mask [${mask.shape.join(', ')}] does not fit the kernel [${kernel.shape.join(', ')}].`,
    );
  }
  const attrs = { ...geometry, groups: 1, inputOrder: null, outputOrder: null };
  return groupedConv2d(x, tf.mul(kernel, mask) as tfc.Tensor4D, attrs);
}

/**
 * Stage that the schedule has reached: condensing stages 0 … C-2 share the first half of training evenly, stage C-1 is the rest.
 * @param progress - share of the training that is done, in [0, 1).
 */
export function condenseStage(progress: number, condenseFactor: number): number {
  for (let stage = 0; stage < condenseFactor - 1; stage++) {
    if (2 * progress < (stage + 1) / (condenseFactor - 1)) return stage;
  }
  return condenseFactor - 1;
}

/**
 * The mask after `stage` condensations: in every group the inputs with the smallest Σ|w·mask| are dropped, C_in/condenseFactor a
 * stage; dropped inputs stay dropped, and stages that were skipped are caught up.
 * @param kernel - `[C_in, C_out]`, a 1×1 kernel.
 * @param mask - `[C_in, C_out]`, 0/1, the one so far.
 * @returns the new mask, `[C_in, C_out]`.
 * @throws {InvalidInputError} if the channel counts are no multiples of groups and condenseFactor.
 */
export function condenseMask(
  kernel: ArrayLike<number>,
  mask: ArrayLike<number>,
  stage: number,
  shape: CondenseShape,
): Float32Array {
  checkCondenseShape(shape);
  const { channelsIn, channelsOut, groups, condenseFactor } = shape;
  const dropped = stage * (channelsIn / condenseFactor);
  const next = new Float32Array(channelsIn * channelsOut);
  for (let group = 0; group < groups; group++) {
    const strength = (input: number): number => {
      let sum = 0;
      for (let o = group; o < channelsOut; o += groups) {
        sum += Math.abs(kernel[input * channelsOut + o]! * mask[input * channelsOut + o]!);
      }
      return sum;
    };
    const alive = Array.from({ length: channelsIn }, (_, input) => ({
      input,
      isKept: mask[input * channelsOut + group] === 1,
      strength: strength(input),
    })).sort((a, b) => Number(a.isKept) - Number(b.isKept) || a.strength - b.strength || a.input - b.input);
    for (const { input, isKept } of alive.slice(dropped)) {
      if (!isKept) continue;
      for (let o = group; o < channelsOut; o += groups) next[input * channelsOut + o] = 1;
    }
  }
  return next;
}

/**
 * Group lasso `Σ_{g,j} √max(Σ_{o in group g} w²_{o,j}, 1e-6)` that makes the filters of a group agree on their inputs, a scalar.
 * @param kernel - `[1, 1, C_in, C_out]`
 */
export function condenseLasso(kernel: tfc.Tensor4D, { channelsIn, channelsOut, groups }: CondenseShape): tfc.Scalar {
  const squares = tf.reshape(tf.square(kernel), [channelsIn, channelsOut / groups, groups]);
  return tf.sum(tf.sqrt(tf.maximum(tf.sum(squares, 1), lassoFloor)));
}

/** @throws {InvalidInputError} if the channel counts are no multiples of groups and condenseFactor. */
export function checkCondenseShape({ channelsIn, channelsOut, groups, condenseFactor }: CondenseShape): void {
  if (channelsIn % groups !== 0 || channelsIn % condenseFactor !== 0 || channelsOut % groups !== 0) {
    throw new InvalidInputError(
      `A learned group convolution of ${channelsIn} → ${channelsOut} channels needs input channels that are multiples of ` +
        `${groups} groups and condensation factor ${condenseFactor}, and output channels that are multiples of the groups.`,
    );
  }
}
