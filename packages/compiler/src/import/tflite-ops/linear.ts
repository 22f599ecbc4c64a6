import { elementCount } from '@dgconv/core';
import type { Dynamic } from '../tflite-graph.js';
import type { TfliteNode, TfliteOp } from '../tflite-node.js';

const swapLast = (rank: number): number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2];

/** x flattened to `[N, C_in]` times weights `[C_out, C_in]`; with keep_num_dims only the last size changes. */
const FULLY_CONNECTED: TfliteOp = (node) => {
  const x = node.value(0);
  const weights = node.input(1);
  if (node.byte(1) !== 0) node.refuse('its weights are shuffled');
  if (weights.shape.length !== 2)
    node.refuse(`its weights have the shape [${weights.shape.join(', ')}], not two sizes`);
  const [channelsOut, channelsIn] = weights.shape as [number, number];
  const rows = elementCount(x.shape) / channelsIn;
  if (!Number.isInteger(rows)) node.refuse(`[${x.shape.join(', ')}] cannot be split into rows of ${channelsIn}`);
  const shape = node.byte(2) === 1 ? [...x.shape.slice(0, -1), channelsOut] : [rows, channelsOut];
  const flat = x.shape.length === 2 && x.shape[0] === rows ? x : node.reshape(x, [rows, channelsIn], 'flat');
  const isReshaped = shape.length !== 2;
  const product = fullyConnected(node, flat, isReshaped);
  return isReshaped ? node.reshape(product, shape) : product;
};

function fullyConnected(node: TfliteNode, x: Dynamic, isReshaped: boolean): Dynamic {
  const weights = node.input(1);
  const activation = node.fused(0);
  const part = isReshaped ? 'product' : '';
  if (weights.kind === 'constant') {
    const [channelsOut, channelsIn] = weights.shape as [number, number];
    const bias = node.optional(2) === null ? {} : { bias: node.constant(2).weight };
    const attrs = { channelsIn, channelsOut, activation };
    return node.add({ op: 'dense', inputs: [x.id], attrs, weights: { kernel: weights.weight, ...bias } }, part);
  }
  const turned = node.transpose(weights, [1, 0], 'weights');
  const hasBias = node.optional(2) !== null;
  const isLast = !hasBias && activation.function === 'identity';
  const product = node.add(
    { op: 'matmul', inputs: [x.id, turned.id], attrs: {}, weights: {} },
    isLast ? part : 'matmul',
  );
  if (isLast) return product;
  if (!hasBias) return node.activate(product, activation, part);
  const inputs = [product.id, node.value(2).id];
  return node.add({ op: 'binary', inputs, attrs: { function: 'add', activation }, weights: {} }, part);
}

const BATCH_MATMUL: TfliteOp = (node) => {
  const operands = [0, 1].map((index) => {
    const value = node.value(index);
    if (value.shape.length < 2) node.refuse(`input ${index} has the shape [${value.shape.join(', ')}]`);
    return node.byte(index) === 0 ? value : node.transpose(value, swapLast(value.shape.length), `turned ${index}`);
  });
  return node.add({ op: 'matmul', inputs: operands.map(({ id }) => id), attrs: {}, weights: {} });
};

const reduction =
  (name: 'mean' | 'sum' | 'max' | 'min'): TfliteOp =>
  (node) => {
    const x = node.value(0);
    const axes = [...new Set(node.numbers(1).map((axis) => node.axis(axis, x.shape.length)))].sort((a, b) => a - b);
    const attrs = { function: name, axes, keepDims: node.byte(0) === 1 };
    return node.add({ op: 'reduce', inputs: [x.id], attrs, weights: {} });
  };

const softmaxOf = (node: TfliteNode, x: Dynamic, part = ''): Dynamic =>
  node.add({ op: 'softmax', inputs: [x.id], attrs: { axis: x.shape.length - 1 }, weights: {} }, part);

const SOFTMAX: TfliteOp = (node) => {
  const x = node.value(0);
  const beta = node.float(0, 1);
  if (beta === 1) return softmaxOf(node, x);
  const factor = node.graph.materialise(node.graph.fill([], beta), `${node.id}/beta`, node.id);
  return softmaxOf(node, node.binary(x, factor, 'multiply', 'scaled'));
};

const LOG_SOFTMAX: TfliteOp = (node) => node.activate(softmaxOf(node, node.value(0), 'softmax'), { function: 'log' });

/** Importers of operators that sum over elements, by operator. */
export const linearOps: Readonly<Record<string, TfliteOp>> = {
  FULLY_CONNECTED,
  BATCH_MATMUL,
  MEAN: reduction('mean'),
  SUM: reduction('sum'),
  REDUCE_MAX: reduction('max'),
  REDUCE_MIN: reduction('min'),
  SOFTMAX,
  LOG_SOFTMAX,
};
