import type { Activation, ActivationFunction, Node } from '@dgconv/core';
import { unsupportedIn } from './context.js';
import type { TfliteBuilder } from './tflite-builder.js';
import { fusedActivation, operators, type OptionField, type TfliteOperator } from './tflite-schema.js';

type Rule = (builder: TfliteBuilder, x: number, node: Node, alpha: number, beta: number) => number;

const identity: Activation = { function: 'identity' };
const act = (value: number): OptionField => ['int8', value];

/** A unary operation with the shape of its input. */
const unary = (
  builder: TfliteBuilder,
  operator: TfliteOperator,
  x: number,
  options: readonly OptionField[] = [],
): number => builder.op(operator, [x], builder.shapeOfTensor(x), options);

/** An elementwise operation with a scalar. */
const withScalar = (builder: TfliteBuilder, operator: TfliteOperator, x: number, value: number): number =>
  builder.op(operator, [x, builder.scalar(value)], builder.shapeOfTensor(x));

/** An elementwise operation of two tensors of equal shape. */
const pairwise = (builder: TfliteBuilder, operator: TfliteOperator, x: number, y: number): number =>
  builder.op(operator, [x, y], builder.shapeOfTensor(x));

const plainly =
  (operator: TfliteOperator): Rule =>
  (builder, x) =>
    unary(builder, operator, x);

const clip = (builder: TfliteBuilder, x: number, low: number, high: number): number => {
  if (low === 0 && high === 6) return unary(builder, operators.relu6, x);
  if (low === -1 && high === 1) return unary(builder, operators.reluN1To1, x);
  const above = low === 0 ? unary(builder, operators.relu, x) : withScalar(builder, operators.maximum, x, low);
  return high === Infinity ? above : withScalar(builder, operators.minimum, above, high);
};

const rules: { readonly [F in ActivationFunction]: Rule } = {
  identity: (_, x) => x,
  relu: plainly(operators.relu),
  relu6: plainly(operators.relu6),
  sigmoid: plainly(operators.logistic),
  'hard-swish': plainly(operators.hardSwish),
  swish: (builder, x) => pairwise(builder, operators.multiply, x, unary(builder, operators.logistic, x)),
  tanh: plainly(operators.tanh),
  exp: plainly(operators.exp),
  sqrt: plainly(operators.sqrt),
  abs: plainly(operators.abs),
  negate: plainly(operators.negate),
  gelu: plainly(operators.gelu),
  // log(1 + eˣ) as max(x, 0) + log(1 + e^-|x|), which cannot overflow.
  softplus: (builder, x) => {
    const decay = unary(builder, operators.exp, unary(builder, operators.negate, unary(builder, operators.abs, x)));
    const logarithm = unary(builder, operators.log, withScalar(builder, operators.add, decay, 1));
    return pairwise(builder, operators.add, unary(builder, operators.relu, x), logarithm);
  },
  erf: (_, __, node) => {
    throw unsupportedIn('TFLite', node, 'TFLite has no erf');
  },
  log: plainly(operators.log),
  floor: plainly(operators.floor),
  ceil: plainly(operators.ceil),
  reciprocal: (builder, x) =>
    builder.op(operators.divide, [builder.scalar(1), x], builder.shapeOfTensor(x), [act(fusedActivation.none)]),
  'leaky-relu': (builder, x, _, alpha) => unary(builder, operators.leakyRelu, x, [['float', alpha]]),
  // TFLite's own has slope 1: max(x, 0) + alpha·(e^min(x, 0) - 1).
  elu: (builder, x, _, alpha) => {
    if (alpha === 1) return unary(builder, operators.elu, x);
    const negative = unary(builder, operators.exp, withScalar(builder, operators.minimum, x, 0));
    const below = withScalar(builder, operators.subtract, negative, 1);
    const scaled = withScalar(builder, operators.multiply, below, alpha);
    return pairwise(builder, operators.add, unary(builder, operators.relu, x), scaled);
  },
  clip: (builder, x, _, alpha, beta) => clip(builder, x, alpha, beta),
  'hard-sigmoid': (builder, x, _, alpha, beta) => {
    const line = withScalar(builder, operators.multiply, x, alpha);
    return clip(builder, withScalar(builder, operators.add, line, beta), 0, 1);
  },
};

/** Emits an activation as operations of its own and returns the result's tensor. */
export const activate = (builder: TfliteBuilder, x: number, activation: Activation, node: Node): number => {
  const alpha = 'alpha' in activation ? activation.alpha : 0;
  const beta = 'beta' in activation ? activation.beta : 0;
  return rules[activation.function](builder, x, node, alpha, beta);
};

/** Splits an activation into the code that TFLite fuses into the operation before, and what must follow on its own. */
export const splitActivation = (activation: Activation): { readonly fused: OptionField; readonly rest: Activation } => {
  if (activation.function === 'relu') return { fused: act(fusedActivation.relu), rest: identity };
  const isRelu6 =
    activation.function === 'relu6' ||
    (activation.function === 'clip' && activation.alpha === 0 && activation.beta === 6);
  return isRelu6
    ? { fused: act(fusedActivation.relu6), rest: identity }
    : { fused: act(fusedActivation.none), rest: activation };
};
