import type { Activation, ActivationFunction } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';

const functions: Readonly<Record<ActivationFunction, (x: tfc.Tensor, alpha: number, beta: number) => tfc.Tensor>> = {
  identity: (x) => x,
  relu: (x) => tf.relu(x),
  relu6: (x) => tf.relu6(x),
  sigmoid: (x) => tf.sigmoid(x),
  'hard-swish': (x) => tf.div(tf.mul(x, tf.clipByValue(tf.add(x, 3), 0, 6)), 6),
  swish: (x) => tf.mul(x, tf.sigmoid(x)),
  tanh: (x) => tf.tanh(x),
  exp: (x) => tf.exp(x),
  sqrt: (x) => tf.sqrt(x),
  abs: (x) => tf.abs(x),
  negate: (x) => tf.neg(x),
  gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
  softplus: (x) => tf.softplus(x),
  erf: (x) => tf.erf(x),
  log: (x) => tf.log(x),
  floor: (x) => tf.floor(x),
  ceil: (x) => tf.ceil(x),
  reciprocal: (x) => tf.reciprocal(x),
  'leaky-relu': (x, alpha) => tf.leakyRelu(x, alpha),
  elu: (x, alpha) => tf.add(tf.relu(x), tf.mul(tf.sub(tf.exp(tf.minimum(x, 0)), 1), alpha)),
  clip: (x, alpha, beta) => tf.clipByValue(x, alpha, beta),
  'hard-sigmoid': (x, alpha, beta) => tf.clipByValue(tf.add(tf.mul(x, alpha), beta), 0, 1),
};

/** Applies an activation elementwise; differentiable. */
export function applyActivation(x: tfc.Tensor, activation: Activation): tfc.Tensor {
  const alpha = 'alpha' in activation ? activation.alpha : 0;
  const beta = 'beta' in activation ? activation.beta : 0;
  return functions[activation.function](x, alpha, beta);
}
