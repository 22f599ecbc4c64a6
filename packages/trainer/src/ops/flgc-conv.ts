import { hardAssignment, InvalidInputError } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { convGeometry, type ConvOptions } from './conv-options.js';
import { groupedConv2d } from './grouped-conv.js';

export interface FlgcConvOptions extends ConvOptions {
  /**
   * How the gradient passes the hard maximum: `masked` keeps it at the chosen group before the softmax's Jacobian, as the public
   * repository does; `full` passes all of it. Default `masked`.
   */
  readonly gradient?: 'masked' | 'full';
}

/**
 * Fully learnable group convolution: the kernel `[kh, kw, C_in, C_out]` masked by `T̂·Ŝᵀ`, Ŝ and T̂ the one-hot row maxima of the
 * softmax of `inputAssignment` S `[C_in, G]` and `outputAssignment` T `[C_out, G]` (the first maximum on a tie). Differentiable
 * in x, kernel, S and T.
 * @throws {InvalidInputError} if shapes or an option do not fit, or a score is NaN.
 * @see Wang et al. 2019, arXiv:1904.00346
 */
export function flgcConv2d(
  x: tfc.Tensor4D,
  kernel: tfc.Tensor4D,
  inputAssignment: tfc.Tensor2D,
  outputAssignment: tfc.Tensor2D,
  options: FlgcConvOptions = {},
): tfc.Tensor4D {
  const geometry = convGeometry(x, kernel, options);
  const [, , channelsIn, channelsOut] = kernel.shape;
  const groups = inputAssignment.shape[1];
  if (
    inputAssignment.shape[0] !== channelsIn ||
    outputAssignment.shape[0] !== channelsOut ||
    outputAssignment.shape[1] !== groups
  ) {
    throw new InvalidInputError(
      `FLGC of ${channelsIn} → ${channelsOut} channels needs S [${channelsIn}, G] and T [${channelsOut}, G], ` +
        `not [${inputAssignment.shape.join(', ')}] and [${outputAssignment.shape.join(', ')}].`,
    );
  }
  const gradient = options.gradient ?? 'masked';
  const inputs = hardMaximum(inputAssignment, gradient);
  const outputs = hardMaximum(outputAssignment, gradient);
  const masked = tf.mul(kernel, tf.matMul(inputs, outputs, false, true)) as tfc.Tensor4D;
  return groupedConv2d(x, masked, { ...geometry, groups: 1, inputOrder: null, outputOrder: null });
}

/** One-hot row maxima of softmax(scores), `[rows, G]`, with a straight-through gradient. */
function hardMaximum(scores: tfc.Tensor2D, gradient: 'masked' | 'full'): tfc.Tensor2D {
  const [rows, groups] = scores.shape;
  const chosen = hardAssignment(scores.dataSync(), rows, groups);
  const op = tf.customGrad((...args) => {
    const [given, save] = args as unknown as [tfc.Tensor2D, tfc.GradSaveFunc];
    const ones = new Float32Array(rows * groups);
    chosen.forEach((group, row) => (ones[row * groups + group] = 1));
    const hard = tf.tensor2d(ones, [rows, groups]);
    save([given, hard]);
    const gradFunc = (dy: tfc.Tensor, saved: tfc.Tensor[]) => {
      const soft = tf.softmax(saved[0]!);
      const passed = gradient === 'masked' ? tf.mul(dy, saved[1]!) : dy;
      return tf.mul(soft, tf.sub(passed, tf.sum(tf.mul(passed, soft), 1, true)));
    };
    return { value: hard, gradFunc };
  });
  return op(scores) as tfc.Tensor2D;
}
