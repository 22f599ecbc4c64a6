import {
  type Activation,
  type BinaryFunction,
  elementCount,
  fillWeight,
  reshapeWeight,
  type Weight,
} from '@dgconv/core';
import type { Dynamic } from '../tflite-graph.js';
import type { TfliteNode, TfliteOp } from '../tflite-node.js';

const pointwise =
  (activation: (node: TfliteNode) => Activation): TfliteOp =>
  (node) =>
    node.activate(node.value(0), activation(node));

const plain = (name: Exclude<Activation['function'], 'leaky-relu' | 'elu' | 'clip' | 'hard-sigmoid'>): TfliteOp =>
  pointwise(() => ({ function: name }));

const clip = (low: number, high: number): TfliteOp => pointwise(() => ({ function: 'clip', alpha: low, beta: high }));

const GELU: TfliteOp = (node) =>
  node.byte(0) === 0
    ? node.activate(node.value(0), { function: 'gelu' })
    : node.refuse('its approximation by tanh is not supported');

/** A binary operator; `slot` holds its fused activation. */
const binary =
  (name: BinaryFunction, slot: number | null): TfliteOp =>
  (node) => {
    const [left, right] = [node.value(0), node.value(1)];
    const attrs = { function: name, activation: slot === null ? { function: 'identity' as const } : node.fused(slot) };
    return node.add({ op: 'binary', inputs: [left.id, right.id], attrs, weights: {} });
  };

/** A sum of any number of tensors. */
const ADD_N: TfliteOp = (node) =>
  node.inputs.slice(1).reduce<Dynamic>((sum, _, index) => {
    const isLast = index === node.inputs.length - 2;
    return node.binary(sum, node.value(index + 1), 'add', isLast ? '' : `sum ${index + 1}`);
  }, node.value(0));

/** Slopes over channels; others (one for each pixel) as max(x, 0) - slope · max(-x, 0). */
const PRELU: TfliteOp = (node) => {
  const x = node.value(0);
  const slope = node.constant(1);
  const channels = x.shape.at(-1) ?? 1;
  const count = elementCount(slope.shape);
  const perChannel = (weight: Weight): Dynamic =>
    node.add({ op: 'prelu', inputs: [x.id], attrs: { channels }, weights: { slope: weight } });
  if (count === 1) return perChannel(fillWeight([channels], slope.read()[0]!));
  if (count === channels && slope.shape.at(-1) === channels) return perChannel(reshapeWeight(slope.weight, [channels]));
  const positive = node.activate(x, { function: 'relu' }, 'positive');
  const negated = node.activate(x, { function: 'negate' }, 'negated');
  const negative = node.activate(negated, { function: 'relu' }, 'negative');
  const scaled = node.binary(negative, node.value(1), 'multiply', 'scaled');
  return node.binary(positive, scaled, 'subtract');
};

const SQUARE: TfliteOp = (node) => node.binary(node.value(0), node.value(0), 'multiply');

const RSQRT: TfliteOp = (node) =>
  node.activate(node.activate(node.value(0), { function: 'sqrt' }, 'root'), { function: 'reciprocal' });

const SQUARED_DIFFERENCE: TfliteOp = (node) => {
  const difference = node.binary(node.value(0), node.value(1), 'subtract', 'difference');
  return node.binary(difference, difference, 'multiply');
};

/** x divided by the length of its vectors along the channels. */
const L2_NORMALIZATION: TfliteOp = (node) => {
  const x = node.value(0);
  const squares = node.binary(x, x, 'multiply', 'squares');
  const attrs = { function: 'sum', axes: [x.shape.length - 1], keepDims: true } as const;
  const sum = node.add({ op: 'reduce', inputs: [squares.id], attrs, weights: {} }, 'sum');
  const bounded = node.activate(sum, { function: 'clip', alpha: 1e-6, beta: Infinity }, 'bounded');
  return node.binary(x, node.activate(bounded, { function: 'sqrt' }, 'length'), 'divide');
};

/** An operator on values that only changes how they are stored, as far as float networks know. */
const same: TfliteOp = (node) => node.add({ op: 'identity', inputs: [node.value(0).id], attrs: {}, weights: {} });

/** Importers of operators that work on every element alike, by operator. */
export const elementwiseOps: Readonly<Record<string, TfliteOp>> = {
  RELU: plain('relu'),
  RELU6: plain('relu6'),
  RELU_N1_TO_1: clip(-1, 1),
  RELU_0_TO_1: clip(0, 1),
  LOGISTIC: plain('sigmoid'),
  TANH: plain('tanh'),
  HARD_SWISH: plain('hard-swish'),
  EXP: plain('exp'),
  LOG: plain('log'),
  SQRT: plain('sqrt'),
  ABS: plain('abs'),
  NEG: plain('negate'),
  FLOOR: plain('floor'),
  CEIL: plain('ceil'),
  ELU: pointwise(() => ({ function: 'elu', alpha: 1 })),
  LEAKY_RELU: pointwise((node) => ({ function: 'leaky-relu', alpha: node.float(0) })),
  GELU,
  RSQRT,
  SQUARE,
  ADD: binary('add', 0),
  SUB: binary('subtract', 0),
  MUL: binary('multiply', 0),
  DIV: binary('divide', 0),
  MAXIMUM: binary('maximum', null),
  MINIMUM: binary('minimum', null),
  POW: binary('power', null),
  ADD_N,
  SQUARED_DIFFERENCE,
  PRELU,
  L2_NORMALIZATION,
  CAST: same,
};
