import type { Activation, ActivationFunction, BinaryFunction } from './ops.js';

/**
 * Error function to float64 accuracy: the series `2/√π · e^(-x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!`, whose terms do not cancel.
 * @see Abramowitz and Stegun, 7.1.6
 */
function erf(x: number): number {
  if (!(Math.abs(x) < 6)) return Number.isNaN(x) ? x : Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const clip = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

const functions: Readonly<Record<ActivationFunction, (x: number, alpha: number, beta: number) => number>> = {
  identity: (x) => x,
  relu: (x) => Math.max(x, 0),
  relu6: (x) => clip(x, 0, 6),
  sigmoid,
  'hard-swish': (x) => (x * clip(x + 3, 0, 6)) / 6,
  swish: (x) => x * sigmoid(x),
  tanh: Math.tanh,
  exp: Math.exp,
  sqrt: Math.sqrt,
  abs: Math.abs,
  negate: (x) => -x,
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  erf,
  log: Math.log,
  floor: Math.floor,
  ceil: Math.ceil,
  reciprocal: (x) => 1 / x,
  'leaky-relu': (x, alpha) => (x >= 0 ? x : alpha * x),
  elu: (x, alpha) => (x >= 0 ? x : alpha * Math.expm1(x)),
  clip,
  'hard-sigmoid': (x, alpha, beta) => clip(alpha * x + beta, 0, 1),
};

/** The pointwise function of an activation, in float64. */
export function activationFunction(activation: Activation): (x: number) => number {
  const apply = functions[activation.function];
  const alpha = 'alpha' in activation ? activation.alpha : 0;
  const beta = 'beta' in activation ? activation.beta : 0;
  return (x) => apply(x, alpha, beta);
}

/** Applies an activation in place. */
export function activate(values: Float64Array, activation: Activation): void {
  if (activation.function === 'identity') return;
  const apply = activationFunction(activation);
  for (let k = 0; k < values.length; k++) values[k] = apply(values[k]!);
}

/** The two-operand functions, in float64. */
export const binaryFunctions: Readonly<Record<BinaryFunction, (left: number, right: number) => number>> = {
  add: (left, right) => left + right,
  subtract: (left, right) => left - right,
  multiply: (left, right) => left * right,
  divide: (left, right) => left / right,
  maximum: Math.max,
  minimum: Math.min,
  power: Math.pow,
};
