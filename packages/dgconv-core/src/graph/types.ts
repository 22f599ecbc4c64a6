import { InvalidInputError } from '../errors.js';
import type { Graph, Node, NodeOf } from './graph.js';
import type { OpKind, Window } from './ops.js';
import { checkShape, elementCount, formatShape, sameShape, type Shape } from './shape.js';
import { windowExtent } from './window.js';

/** What a rule knows about one node: shapes of its inputs, and what follows the batch. */
export interface ShapeContext {
  readonly inputs: readonly Shape[];
  /** Shapes of the inputs for batch 1. */
  readonly single: readonly Shape[];
  readonly batch: number;
}

type ShapeRule<K extends OpKind> = (node: NodeOf<K>, context: ShapeContext) => Shape;

function refuse(rule: string): never {
  throw new InvalidInputError(rule);
}

function checkRank(shape: Shape, rank: number): void {
  if (shape.length !== rank) refuse(`the input has shape ${formatShape(shape)}, it must have rank ${rank}`);
}

function checkChannels(shape: Shape, channels: number): void {
  if (shape.at(-1) !== channels)
    refuse(`the input has shape ${formatShape(shape)}, the node needs ${channels} channels`);
}

function checkAxis(shape: Shape, axis: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    refuse(`axis ${axis} is outside the input's shape ${formatShape(shape)}`);
}

function checkCount(values: readonly unknown[], shape: Shape, what: string): void {
  if (values.length !== shape.length)
    refuse(`${what} has ${values.length} entries, the input's shape is ${formatShape(shape)}`);
}

function slide(input: Shape, window: Window, channels: number): Shape {
  checkRank(input, 4);
  const { padding, strides } = window;
  const padded = [input[1]! + padding.top + padding.bottom, input[2]! + padding.left + padding.right] as const;
  const extent = windowExtent(window);
  const size = [0, 1].map((axis) => Math.floor((padded[axis]! - extent[axis]!) / strides[axis]!) + 1);
  if (!size.every((length) => length >= 1))
    refuse(`a window of ${extent.join('×')} pixels does not fit into ${padded.join('×')} padded pixels`);
  return [input[0]!, ...size, channels];
}

/**
 * Shape of two values after numpy broadcasting.
 * @throws {InvalidInputError} if the shapes do not fit.
 */
export function broadcastShape(left: Shape, right: Shape): Shape {
  const rank = Math.max(left.length, right.length);
  return Array.from({ length: rank }, (_, axis) => {
    const a = left[axis - rank + left.length] ?? 1;
    const b = right[axis - rank + right.length] ?? 1;
    if (a !== b && a !== 1 && b !== 1) refuse(`shapes ${formatShape(left)} and ${formatShape(right)} do not broadcast`);
    return a === 1 ? b : a;
  });
}

const same = (_: unknown, { inputs: [input] }: ShapeContext): Shape => input!;

const perChannel = (node: { attrs: { channels: number } }, { inputs: [input] }: ShapeContext): Shape => {
  checkChannels(input!, node.attrs.channels);
  return input!;
};

const rules: { readonly [K in OpKind]: ShapeRule<K> } = {
  conv2d({ attrs }, { inputs: [input, residual] }) {
    checkRank(input!, 4);
    checkChannels(input!, attrs.connectivity.channelsIn);
    const shape = slide(input!, attrs, attrs.connectivity.channelsOut);
    if (residual !== undefined && !sameShape(residual, shape))
      refuse(`the residual has shape ${formatShape(residual)}, the convolution gives ${formatShape(shape)}`);
    return shape;
  },
  'conv2d-transpose'({ attrs }, { inputs: [input] }) {
    checkRank(input!, 4);
    checkChannels(input!, attrs.channelsIn);
    const extent = windowExtent(attrs);
    const { top, bottom, left, right } = attrs.padding;
    const height = (input![1]! - 1) * attrs.strides[0] - top - bottom + extent[0] + attrs.outputPadding[0];
    const width = (input![2]! - 1) * attrs.strides[1] - left - right + extent[1] + attrs.outputPadding[1];
    if (height < 1 || width < 1) refuse(`the result would be ${height}×${width} pixels`);
    return [input![0]!, height, width, attrs.channelsOut];
  },
  dense({ attrs }, { inputs: [input] }) {
    checkRank(input!, 2);
    checkChannels(input!, attrs.channelsIn);
    return [input![0]!, attrs.channelsOut];
  },
  matmul(_, { inputs }) {
    const [left, right] = inputs as [Shape, Shape];
    if (left.length < 2 || right.length < 2 || left.at(-1) !== right.at(-2))
      refuse(`shapes ${formatShape(left)} and ${formatShape(right)} cannot be multiplied`);
    return [...broadcastShape(left.slice(0, -2), right.slice(0, -2)), left.at(-2)!, right.at(-1)!];
  },
  'batch-norm': perChannel,
  affine: perChannel,
  prelu: perChannel,
  activation: same,
  binary: (_, { inputs }) => broadcastShape(inputs[0]!, inputs[1]!),
  constant: ({ attrs }) => attrs.shape,
  softmax({ attrs }, { inputs: [input] }) {
    checkAxis(input!, attrs.axis);
    return input!;
  },
  'max-pool': ({ attrs }, { inputs: [input] }) => slide(input!, attrs, input!.at(-1)!),
  'average-pool': ({ attrs }, { inputs: [input] }) => slide(input!, attrs, input!.at(-1)!),
  reduce({ attrs }, { inputs: [input] }) {
    for (const axis of attrs.axes) checkAxis(input!, axis);
    const reduced = new Set(attrs.axes);
    return attrs.keepDims
      ? input!.map((size, axis) => (reduced.has(axis) ? 1 : size))
      : input!.filter((_, axis) => !reduced.has(axis));
  },
  concat({ attrs }, { inputs }) {
    const [first] = inputs as [Shape];
    checkAxis(first, attrs.axis);
    for (const input of inputs)
      if (input.length !== first.length || input.some((size, axis) => axis !== attrs.axis && size !== first[axis]))
        refuse(`shapes ${inputs.map(formatShape).join(' and ')} cannot be concatenated along axis ${attrs.axis}`);
    return first.with(
      attrs.axis,
      inputs.reduce((sum, input) => sum + input[attrs.axis]!, 0),
    );
  },
  slice({ attrs }, { inputs: [input], single: [single], batch }) {
    const sizes = sliceSizes(attrs, single!, batch);
    for (const [what, values] of Object.entries({ starts: attrs.starts, sizes: attrs.sizes, steps: attrs.steps }))
      checkCount(values, input!, what);
    sizes.forEach((size, axis) => {
      const start = attrs.starts[axis]!;
      const end = start + (size - 1) * attrs.steps[axis]!;
      if (attrs.steps[axis] === 0 || size < 1 || start < 0 || start >= input![axis]! || end < 0 || end >= input![axis]!)
        refuse(
          `slice from ${start}, ${size} steps of ${attrs.steps[axis]}, along axis ${axis} of shape ${formatShape(input!)}`,
        );
    });
    return sizes;
  },
  pad({ attrs }, { inputs: [input] }) {
    checkCount(attrs.before, input!, 'before');
    checkCount(attrs.after, input!, 'after');
    return input!.map((size, axis) => {
      const [before, after] = [attrs.before[axis]!, attrs.after[axis]!];
      if (before < 0 || after < 0 || (attrs.mode === 'reflect' && Math.max(before, after) >= size))
        refuse(`padding ${before} and ${after} (${attrs.mode}) along axis ${axis} of shape ${formatShape(input!)}`);
      return before + size + after;
    });
  },
  resize({ attrs }, { inputs: [input] }) {
    checkRank(input!, 4);
    return [input![0]!, ...attrs.size, input![3]!];
  },
  transpose({ attrs }, { inputs: [input] }) {
    checkCount(attrs.permutation, input!, 'permutation');
    return attrs.permutation.map((axis) => input![axis]!);
  },
  reshape({ attrs }, { inputs: [input], single: [single], batch }) {
    const shape =
      attrs.shape[0] === 1 && single![0] === 1 && attrs.shape.length > 0 ? attrs.shape.with(0, batch) : attrs.shape;
    if (elementCount(shape) !== elementCount(input!))
      refuse(`shape ${formatShape(input!)} cannot be reshaped to ${formatShape(shape)}`);
    return shape;
  },
  take({ attrs }, { inputs: [input] }) {
    checkAxis(input!, attrs.axis);
    const wrong = attrs.indices.find((index) => index < 0 || index >= input![attrs.axis]!);
    if (wrong !== undefined) refuse(`index ${wrong} along axis ${attrs.axis} of shape ${formatShape(input!)}`);
    return input!.with(attrs.axis, attrs.indices.length);
  },
  identity: same,
  dropout: same,
};

/** Sizes of a slice: those of batch 1, with the first following the batch where it took all of it. */
export function sliceSizes(
  attrs: { readonly starts: readonly number[]; readonly sizes: readonly number[] },
  single: Shape,
  batch: number,
): readonly number[] {
  return single[0] === 1 && attrs.starts[0] === 0 && attrs.sizes[0] === 1 ? attrs.sizes.with(0, batch) : attrs.sizes;
}

/** How many inputs each op has, at least and at most. */
const inputCounts: { readonly [K in OpKind]: readonly [number, number] } = {
  conv2d: [1, 2],
  'conv2d-transpose': [1, 1],
  dense: [1, 1],
  matmul: [2, 2],
  'batch-norm': [1, 1],
  affine: [1, 1],
  activation: [1, 1],
  prelu: [1, 1],
  binary: [2, 2],
  constant: [0, 0],
  softmax: [1, 1],
  'max-pool': [1, 1],
  'average-pool': [1, 1],
  reduce: [1, 1],
  concat: [1, Infinity],
  slice: [1, 1],
  pad: [1, 1],
  resize: [1, 1],
  transpose: [1, 1],
  reshape: [1, 1],
  take: [1, 1],
  identity: [1, 1],
  dropout: [1, 1],
};

/**
 * Shape of one node's value.
 * @throws {InvalidInputError} naming the node, the values and the rule.
 */
export function nodeShape(node: Node, context: ShapeContext): Shape {
  const where = `node '${node.id}' (${node.op})`;
  const [fewest, most] = inputCounts[node.op];
  const count = context.inputs.length;
  if (count < fewest || count > most)
    throw new InvalidInputError(
      `${where} has ${count} inputs: ${fewest === most ? fewest : `${fewest} to ${most}`} are needed`,
    );
  try {
    const shape = (rules[node.op] as (node: Node, context: ShapeContext) => Shape)(node, context);
    checkShape(shape, 'the value');
    return shape;
  } catch (error) {
    if (error instanceof InvalidInputError) throw new InvalidInputError(`${where}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * Shape of every value, by name: graph inputs and nodes.
 * @param options.batch - size of the batch (default 1); graph inputs are `[batch, …]`.
 * @throws {InvalidInputError} naming the node whose inputs do not fit.
 */
export function inferShapes(graph: Graph, options: { readonly batch?: number } = {}): Map<string, Shape> {
  const batch = options.batch ?? 1;
  if (!Number.isInteger(batch) || batch < 1) throw new InvalidInputError(`batch is ${batch}: it is a positive integer`);
  const single = batch === 1 ? null : inferShapes(graph);
  const shapes = new Map<string, Shape>();
  for (const { name, shape } of graph.inputs) shapes.set(name, batch === 1 ? shape : shape.with(0, batch));
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((value) => {
      const shape = shapes.get(value);
      if (shape === undefined)
        throw new InvalidInputError(`node '${node.id}' (${node.op}) reads '${value}', which no earlier node computes`);
      return shape;
    });
    const singles = single === null ? inputs : node.inputs.map((value) => single.get(value)!);
    shapes.set(node.id, nodeShape(node, { inputs, single: singles, batch }));
  }
  return shapes;
}
