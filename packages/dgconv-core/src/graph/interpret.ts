import { InvalidInputError } from '../errors.js';
import { compactKernel } from './compact.js';
import type { Graph, Model, Node, NodeOf } from './graph.js';
import { hardGrouping } from './hard-grouping.js';
import { resize } from './interpret-resize.js';
import { broadcast, gather, positionsOf, transpose } from './interpret-views.js';
import { averagePool, convolve, convolveTransposed, maxPool, type Value } from './interpret-windows.js';
import type { OpKind } from './ops.js';
import { elementCount, formatShape, type Shape } from './shape.js';
import { activate, binaryFunctions } from './scalar-functions.js';
import { inferShapes } from './types.js';
import { readWeight } from './weight-rules.js';
import type { Weight, WeightSource } from './weights.js';

interface Context {
  readonly inputs: readonly Value[];
  /** Shape of the node's own value. */
  readonly shape: Shape;
  readonly source: WeightSource;
}

/** What an op means: its value, contiguous. */
type Meaning<K extends OpKind> = (node: NodeOf<K>, context: Context) => Float64Array;

/** Values of a slot, or `absent` everywhere if it is empty. */
function vector(weight: Weight | undefined, length: number, absent: number, source: WeightSource): ArrayLike<number> {
  return weight === undefined ? new Float64Array(length).fill(absent) : readWeight(weight, source);
}

/** `x · scale + shift` along the last axis. */
function scaleAndShift({ data }: Value, scale: ArrayLike<number>, shift: ArrayLike<number>): Float64Array {
  const channels = scale.length;
  const result = new Float64Array(data.length);
  for (let k = 0; k < data.length; k++) result[k] = data[k]! * scale[k % channels]! + shift[k % channels]!;
  return result;
}

function addBias(values: Float64Array, bias: Weight | undefined, source: WeightSource): void {
  if (bias === undefined) return;
  const vector = readWeight(bias, source);
  for (let k = 0; k < values.length; k++) values[k]! += vector[k % vector.length]!;
}

/** `result[m, n] += Σ_k left[m, k] · right[k, n]`, with strides for `right`. */
function multiplyMatrices(
  result: Float64Array,
  left: ArrayLike<number>,
  right: ArrayLike<number>,
  [rows, inner, columns]: readonly [number, number, number],
  [toResult, toLeft, toRight]: readonly [number, number, number],
  [rightRow, rightColumn]: readonly [number, number],
): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++)
        sum += left[toLeft + row * inner + k]! * right[toRight + k * rightRow + column * rightColumn]!;
      result[toResult + row * columns + column] = sum;
    }
}

const reducers = {
  sum: { start: 0, step: (total: number, value: number) => total + value },
  mean: { start: 0, step: (total: number, value: number) => total + value },
  max: { start: -Infinity, step: Math.max },
  min: { start: Infinity, step: Math.min },
} as const;

const copy = (_: unknown, { inputs: [x] }: Context): Float64Array => x!.data;

const meanings: { readonly [K in OpKind]: Meaning<K> } = {
  conv2d(node, { inputs: [x, residual], shape, source }) {
    const { attrs, weights } = node;
    const isDenseKernel = attrs.connectivity.kind === 'masked' || attrs.connectivity.kind === 'learned';
    const grouping = hardGrouping(node, source);
    const stored = readWeight(weights.kernel, source);
    const kernel = isDenseKernel ? compactKernel(stored, grouping, attrs.kernelSize[0] * attrs.kernelSize[1]) : stored;
    let input = x!;
    if (attrs.pre === 'affine-relu') {
      const { channelsIn } = grouping;
      const data = scaleAndShift(
        input,
        vector(weights.preScale, channelsIn, 1, source),
        vector(weights.preShift, channelsIn, 0, source),
      );
      activate(data, { function: 'relu' });
      input = { shape: input.shape, data };
    }
    const result = convolve(input, shape, attrs, grouping, kernel);
    addBias(result, weights.bias, source);
    if (residual !== undefined) for (let k = 0; k < result.length; k++) result[k]! += residual.data[k]!;
    activate(result, attrs.activation);
    return result;
  },
  'conv2d-transpose'({ attrs, weights }, { inputs: [x], shape, source }) {
    const result = convolveTransposed(x!, shape, attrs, readWeight(weights.kernel, source));
    addBias(result, weights.bias, source);
    activate(result, attrs.activation);
    return result;
  },
  dense({ attrs, weights }, { inputs: [x], shape, source }) {
    const result = new Float64Array(elementCount(shape));
    const { channelsIn, channelsOut } = attrs;
    const kernel = readWeight(weights.kernel, source);
    multiplyMatrices(result, x!.data, kernel, [shape[0]!, channelsIn, channelsOut], [0, 0, 0], [1, channelsIn]);
    addBias(result, weights.bias, source);
    activate(result, attrs.activation);
    return result;
  },
  matmul(_, { inputs, shape }) {
    const [left, right] = inputs as [Value, Value];
    const [rows, columns] = shape.slice(-2) as [number, number];
    const inner = left.shape.at(-1)!;
    const outer = shape.slice(0, -2);
    const full = (value: Value): Float64Array => broadcast(value, [...outer, ...value.shape.slice(-2)]);
    const [a, b] = [full(left), full(right)];
    const result = new Float64Array(elementCount(shape));
    for (let matrix = 0; matrix < elementCount(outer); matrix++)
      multiplyMatrices(
        result,
        a,
        b,
        [rows, inner, columns],
        [matrix * rows * columns, matrix * rows * inner, matrix * inner * columns],
        [columns, 1],
      );
    return result;
  },
  'batch-norm'({ attrs: { channels, epsilon }, weights }, { inputs: [x], source }) {
    const gamma = vector(weights.gamma, channels, 1, source);
    const beta = vector(weights.beta, channels, 0, source);
    const mean = readWeight(weights.mean, source);
    const scale = Float64Array.from(
      readWeight(weights.variance, source),
      (variance, channel) => gamma[channel]! / Math.sqrt(variance + epsilon),
    );
    return scaleAndShift(
      x!,
      scale,
      scale.map((factor, channel) => beta[channel]! - mean[channel]! * factor),
    );
  },
  affine: ({ weights }, { inputs: [x], source }) =>
    scaleAndShift(x!, readWeight(weights.scale, source), readWeight(weights.shift, source)),
  activation({ attrs }, { inputs: [x] }) {
    const result = x!.data.slice();
    activate(result, attrs.activation);
    return result;
  },
  prelu({ weights }, { inputs: [x], source }) {
    const slope = readWeight(weights.slope, source);
    return x!.data.map((value, k) => (value >= 0 ? value : value * slope[k % slope.length]!));
  },
  binary({ attrs }, { inputs: [left, right], shape }) {
    const apply = binaryFunctions[attrs.function];
    const other = broadcast(right!, shape);
    const result = broadcast(left!, shape);
    for (let k = 0; k < result.length; k++) result[k] = apply(result[k]!, other[k]!);
    activate(result, attrs.activation);
    return result;
  },
  constant: ({ weights }, { source }) => Float64Array.from(readWeight(weights.value, source)),
  softmax({ attrs: { axis } }, { inputs: [x], shape }) {
    const result = new Float64Array(x!.data.length);
    const size = shape[axis]!;
    const inner = elementCount(shape.slice(axis + 1));
    for (let line = 0; line * size < result.length; line++) {
      const start = Math.floor(line / inner) * inner * size + (line % inner);
      let largest = -Infinity;
      let sum = 0;
      for (let k = 0; k < size; k++) largest = Math.max(largest, x!.data[start + k * inner]!);
      for (let k = 0; k < size; k++) sum += result[start + k * inner] = Math.exp(x!.data[start + k * inner]! - largest);
      for (let k = 0; k < size; k++) result[start + k * inner]! /= sum;
    }
    return result;
  },
  'max-pool': ({ attrs }, { inputs: [x], shape }) => maxPool(x!, shape, attrs),
  'average-pool': ({ attrs }, { inputs: [x], shape }) => averagePool(x!, shape, attrs),
  reduce({ attrs }, { inputs: [x] }) {
    const { start, step } = reducers[attrs.function];
    const reduced = new Set(attrs.axes);
    const kept = x!.shape.map((size, axis) => (reduced.has(axis) ? 1 : size));
    // Index of each input element in the result, by gathering the result's positions.
    const targets = broadcast(
      { shape: kept, data: Float64Array.from({ length: elementCount(kept) }, (_, k) => k) },
      x!.shape,
    );
    const result = new Float64Array(elementCount(kept)).fill(start);
    x!.data.forEach((value, k) => (result[targets[k]!] = step(result[targets[k]!]!, value)));
    const count = x!.data.length / result.length;
    return attrs.function === 'mean' ? result.map((total) => total / count) : result;
  },
  concat({ attrs: { axis } }, { inputs, shape }) {
    const result = new Float64Array(elementCount(shape));
    const row = elementCount(shape.slice(axis));
    let start = 0;
    for (const { shape: part, data } of inputs) {
      const size = elementCount(part.slice(axis));
      for (let k = 0; k * size < data.length; k++) result.set(data.subarray(k * size, (k + 1) * size), k * row + start);
      start += size;
    }
    return result;
  },
  slice({ attrs }, { inputs: [x], shape }) {
    return gather(
      x!.data,
      shape,
      positionsOf(x!.shape, shape, (axis, k) => attrs.starts[axis]! + k * attrs.steps[axis]!),
    );
  },
  pad({ attrs }, { inputs: [x], shape }) {
    const index = (axis: number, k: number): number => {
      const size = x!.shape[axis]!;
      const source = k - attrs.before[axis]!;
      if (source >= 0 && source < size) return source;
      switch (attrs.mode) {
        case 'constant':
          return -1;
        case 'edge':
          return source < 0 ? 0 : size - 1;
        case 'reflect':
          return source < 0 ? -source : 2 * (size - 1) - source;
      }
    };
    return gather(x!.data, shape, positionsOf(x!.shape, shape, index), attrs.value);
  },
  resize: ({ attrs }, { inputs: [x], shape }) => resize(x!, shape, attrs),
  transpose: ({ attrs }, { inputs: [x], shape }) => transpose(x!, shape, attrs.permutation),
  reshape: copy,
  take: ({ attrs }, { inputs: [x], shape }) =>
    gather(
      x!.data,
      shape,
      positionsOf(x!.shape, shape, (axis, k) => (axis === attrs.axis ? attrs.indices[k]! : k)),
    ),
  identity: copy,
  dropout: copy,
};

/** What goes into a network: values of every graph input by name, contiguous, `[batch, …]`. */
export type Feeds = Readonly<Record<string, ArrayLike<number>>>;

export interface InterpretOptions {
  /** Default 1. */
  readonly batch?: number;
}

/** Yields every node's value in order, after the graph inputs. */
function* evaluate(
  model: Model,
  feeds: Feeds,
  options: InterpretOptions,
): Generator<[name: string, data: Float64Array]> {
  const { graph, weights } = model;
  const batch = options.batch ?? 1;
  const shapes = inferShapes(graph, { batch });
  const values = new Map<string, Value>();
  for (const { name } of graph.inputs) {
    const shape = shapes.get(name)!;
    const feed = Object.hasOwn(feeds, name) ? feeds[name] : undefined;
    if (feed === undefined) throw new InvalidInputError(`no values are given for the input '${name}'`);
    if (feed.length !== elementCount(shape))
      throw new InvalidInputError(
        `input '${name}' has ${feed.length} values, its shape ${formatShape(shape)} needs ${elementCount(shape)}`,
      );
    values.set(name, { shape, data: Float64Array.from(feed) });
    yield [name, values.get(name)!.data];
  }
  const lastUse = lastUses(graph);
  for (const [index, node] of graph.nodes.entries()) {
    const shape = shapes.get(node.id)!;
    const context = { inputs: node.inputs.map((value) => values.get(value)!), shape, source: weights };
    const data = (meanings[node.op] as (node: Node, context: Context) => Float64Array)(node, context);
    values.set(node.id, { shape, data });
    yield [node.id, data];
    for (const value of node.inputs) if (lastUse.get(value) === index) values.delete(value);
  }
}

/** Index of the last node that reads each value; outputs are read at the end. */
function lastUses(graph: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  graph.nodes.forEach((node, index) => node.inputs.forEach((value) => uses.set(value, index)));
  for (const { value } of graph.outputs) uses.set(value, graph.nodes.length);
  return uses;
}

/**
 * Every value of a network, by name: graph inputs and nodes, each contiguous, NHWC. Defines what each op means; float64, plain.
 * @throws {InvalidInputError} if a feed is missing or does not fit, or a node's inputs do not fit.
 */
export function interpretAll(model: Model, feeds: Feeds, options: InterpretOptions = {}): Record<string, Float64Array> {
  const all: [string, Float64Array][] = [];
  for (const entry of evaluate(model, feeds, options)) all.push(entry);
  return Object.fromEntries(all);
}

/**
 * The outputs of a network, by output name, each contiguous, NHWC. Defines what each op means; float64, plain.
 * @throws {InvalidInputError} if a feed is missing or does not fit, or a node's inputs do not fit.
 */
export function interpret(model: Model, feeds: Feeds, options: InterpretOptions = {}): Record<string, Float64Array> {
  const wanted = new Set(model.graph.outputs.map(({ value }) => value));
  const kept = new Map<string, Float64Array>();
  for (const [name, data] of evaluate(model, feeds, options)) if (wanted.has(name)) kept.set(name, data);
  return Object.fromEntries(
    model.graph.outputs.map(({ name, value }) => {
      const data = kept.get(value);
      if (data === undefined) throw new InvalidInputError(`output '${name}' is '${value}', which no node computes`);
      return [name, data];
    }),
  );
}
