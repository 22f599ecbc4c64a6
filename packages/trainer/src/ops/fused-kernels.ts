import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { registerPlainKernel } from './plain-kernel.js';

/** Kernel: `{ x [..., C], gamma [C], beta [C] }`, {@link BatchNormTrainingAttrs} → `[y [..., C], mean [C], variance [C] (biased)]`. */
export const BatchNormTraining = 'BatchNormTraining';
/**
 * Kernel: `{ dy, x [..., C], gamma, beta, mean, variance [C] }`, {@link BatchNormTrainingAttrs} → `[dx, dgamma, dbeta]`;
 * with `relu` the positions where y was 0 pass no gradient.
 */
export const BatchNormTrainingGradient = 'BatchNormTrainingGradient';
/** Kernel: `{ parameter, gradient, velocity }` of one shape, {@link MomentumUpdateAttrs} → `[parameter, velocity]`, both new. */
export const MomentumUpdate = 'MomentumUpdate';

export interface BatchNormTrainingAttrs {
  readonly epsilon: number;
  /** `y = max(0, …)`. */
  readonly relu: boolean;
}

/** `d = gradient + weightDecay·parameter; velocity' = momentum·velocity + d; parameter' = parameter - learningRate·(nesterov ? d + momentum·velocity' : velocity')`. */
export interface MomentumUpdateAttrs {
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly nesterov: boolean;
}

/** Batch norm with the batch's own statistics over all but the last axis; differentiable in x, gamma, beta (through y only). */
export function batchNormTraining(
  x: tfc.Tensor,
  gamma: tfc.Tensor,
  beta: tfc.Tensor,
  attrs: BatchNormTrainingAttrs,
): { y: tfc.Tensor; mean: tfc.Tensor1D; variance: tfc.Tensor1D } {
  const [y, mean, variance] = tf.engine().runKernel(BatchNormTraining, { x, gamma, beta }, { ...attrs }) as unknown as [
    tfc.Tensor,
    tfc.Tensor1D,
    tfc.Tensor1D,
  ];
  return { y, mean, variance };
}

/** One step of SGD with momentum, Nesterov's or plain: new tensors, the old ones stay. */
export function momentumUpdate(
  inputs: { parameter: tfc.Tensor; gradient: tfc.Tensor; velocity: tfc.Tensor },
  attrs: MomentumUpdateAttrs,
): { parameter: tfc.Tensor; velocity: tfc.Tensor } {
  const [parameter, velocity] = tf.engine().runKernel(MomentumUpdate, inputs, { ...attrs }) as unknown as [
    tfc.Tensor,
    tfc.Tensor,
  ];
  return { parameter, velocity };
}

tf.registerGradient({
  kernelName: BatchNormTraining,
  inputsToSave: ['x', 'gamma', 'beta'],
  outputsToSave: [false, true, true],
  gradFunc: (dy, saved, attrs) => {
    const [x, gamma, beta, mean, variance] = saved as [tfc.Tensor, tfc.Tensor, tfc.Tensor, tfc.Tensor, tfc.Tensor];
    const inputs = { dy: (dy as tfc.Tensor[])[0]!, x, gamma, beta, mean, variance };
    const [dx, dgamma, dbeta] = tf.engine().runKernel(BatchNormTrainingGradient, inputs, attrs) as unknown as [
      tfc.Tensor,
      tfc.Tensor,
      tfc.Tensor,
    ];
    return { x: () => dx, gamma: () => dgamma, beta: () => dbeta };
  },
});

type Named<Names extends string> = Readonly<Record<Names, tfc.TensorInfo>>;

registerPlainKernel<Named<'x' | 'gamma' | 'beta'>, BatchNormTrainingAttrs>(
  BatchNormTraining,
  (inputs, { epsilon, relu }, { read, write }) => {
    const x = read(inputs.x);
    const gamma = read(inputs.gamma);
    const beta = read(inputs.beta);
    const channels = gamma.length;
    const rows = x.length / channels;
    const sums = new Float64Array(channels);
    for (let at = 0; at < x.length; at += channels) for (let c = 0; c < channels; c++) sums[c]! += x[at + c]!;
    const means = sums.map((sum) => sum / rows);
    const squares = new Float64Array(channels);
    for (let at = 0; at < x.length; at += channels) {
      for (let c = 0; c < channels; c++) squares[c]! += (x[at + c]! - means[c]!) ** 2;
    }
    const variances = squares.map((sum) => sum / rows);
    const scale = variances.map((variance, c) => gamma[c]! / Math.sqrt(variance + epsilon));
    const y = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const value = (x[at + c]! - means[c]!) * scale[c]! + beta[c]!;
        y[at + c] = relu && value < 0 ? 0 : value;
      }
    }
    return [
      write(y, inputs.x.shape),
      write(Float32Array.from(means), [channels]),
      write(Float32Array.from(variances), [channels]),
    ];
  },
);

registerPlainKernel<Named<'dy' | 'x' | 'gamma' | 'beta' | 'mean' | 'variance'>, BatchNormTrainingAttrs>(
  BatchNormTrainingGradient,
  (inputs, { epsilon, relu }, { read, write }) => {
    const dyGiven = read(inputs.dy);
    const x = read(inputs.x);
    const gamma = read(inputs.gamma);
    const beta = read(inputs.beta);
    const mean = read(inputs.mean);
    const variance = read(inputs.variance);
    const channels = gamma.length;
    const rows = x.length / channels;
    const inverse = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + epsilon));
    const dy = relu ? new Float32Array(dyGiven.length) : dyGiven;
    const dgamma = new Float64Array(channels);
    const dbeta = new Float64Array(channels);
    for (let at = 0; at < x.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const normalised = (x[at + c]! - mean[c]!) * inverse[c]!;
        if (relu && normalised * gamma[c]! + beta[c]! > 0) dy[at + c] = dyGiven[at + c]!;
        dgamma[c]! += dy[at + c]! * normalised;
        dbeta[c]! += dy[at + c]!;
      }
    }
    const dx = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += channels) {
      for (let c = 0; c < channels; c++) {
        const normalised = (x[at + c]! - mean[c]!) * inverse[c]!;
        dx[at + c] = gamma[c]! * inverse[c]! * (dy[at + c]! - (dbeta[c]! + normalised * dgamma[c]!) / rows);
      }
    }
    return [
      write(dx, inputs.x.shape),
      write(Float32Array.from(dgamma), [channels]),
      write(Float32Array.from(dbeta), [channels]),
    ];
  },
);

registerPlainKernel<Named<'parameter' | 'gradient' | 'velocity'>, MomentumUpdateAttrs>(
  MomentumUpdate,
  (inputs, { learningRate, momentum, weightDecay, nesterov }, { read, write }) => {
    const parameter = read(inputs.parameter);
    const gradient = read(inputs.gradient);
    const velocity = read(inputs.velocity);
    const nextParameter = new Float32Array(parameter.length);
    const nextVelocity = new Float32Array(parameter.length);
    for (let at = 0; at < parameter.length; at++) {
      const decayed = gradient[at]! + weightDecay * parameter[at]!;
      const next = momentum * velocity[at]! + decayed;
      nextVelocity[at] = next;
      nextParameter[at] = parameter[at]! - learningRate * (nesterov ? decayed + momentum * next : next);
    }
    const { shape } = inputs.parameter;
    return [write(nextParameter, shape), write(nextVelocity, shape)];
  },
);
