import {
  type Graph,
  isIdentityPermutation,
  type Node,
  type NodeOf,
  type Permutation,
  reshapeWeight,
  type Shape,
  transposeWeight,
  type Weight,
} from '@dgconv/core';
import { reshapedOrder } from './axis-blocks.js';
import {
  asInSource,
  inAnyOrder,
  type Moved,
  movesBetween,
  type Reordered,
  type Reordering,
  reorderValues,
  type Surroundings,
} from './reorder-values.js';

/**
 * Stores values with their axes in other orders without changing what the network computes: axis k of the stored value v is axis
 * `orders.get(v)[k]`. Elementwise ops, reductions, concatenations, slices and the like work in any order; reshapes where what they
 * join lies side by side; all others, and the borders of the graph, keep theirs, and a `transpose` stands between. Transposes of the
 * source network vanish where both sides agree.
 *
 * before: `t = transpose x 0 3 1 2` `y = relu t` · after, t and y in the order 0 2 3 1: `y = relu x`
 * @param orders - by value, of its axes, the batch first; a value that is absent keeps its order, and so does a constant.
 * @param shapes - of the graph, if they are known.
 */
export function applyAxisOrders(
  graph: Graph,
  orders: ReadonlyMap<string, Permutation>,
  shapes?: ReadonlyMap<string, Shape>,
): Graph {
  const ordered = new Map(orders);
  for (const { id, op } of graph.nodes) if (op === 'constant') ordered.delete(id);
  return reorderValues(graph, ordered, axisReordering, shapes);
}

/** A transpose from one order into another; a reshape where only axes of size 1 move, because then nothing lies elsewhere in memory. */
function moveAxes(id: string, { input, shape, from, to }: Moved): Node {
  const permutation = movesBetween(from, to);
  const base = { id, inputs: [input], weights: {}, origin: [] };
  return isMoveOfOnes(stored(shape, from), permutation)
    ? { ...base, op: 'reshape', attrs: { shape: stored(shape, to) } }
    : { ...base, op: 'transpose', attrs: { permutation } };
}

/** Whether a transpose moves axes of size 1 only, and not the batch. */
export function isMoveOfOnes(shape: Shape, permutation: Permutation): boolean {
  const moved = permutation.filter((axis) => axis > 0 && shape[axis] !== 1);
  return permutation[0] === 0 && moved.every((axis, index) => index === 0 || moved[index - 1]! < axis);
}

/** Ops with a vector along the last axis. */
function alongTheLast(node: Node, surroundings: Surroundings): Reordered {
  const { wanted } = surroundings;
  return wanted.at(-1) === wanted.length - 1 ? inAnyOrder(node, surroundings) : asInSource(node, surroundings);
}

/** Whether an affine does the same to every channel, so that it does not matter which axis they are. */
export function isUniform({ weights }: NodeOf<'affine'>): boolean {
  return weights.scale.kind === 'fill' && weights.shift.kind === 'fill';
}

/** Items by axis, as the stored value has its axes. */
function stored<Item>(items: readonly Item[], order: Permutation): Item[] {
  return order.map((axis) => items[axis]!);
}

/** An operand with as many axes as the result, in its order; undefined if it has fewer and is no constant. */
function operand(input: number, surroundings: Surroundings): string | undefined {
  const { wanted, shapeOf, sourceOf, inOrder } = surroundings;
  const source = sourceOf(input);
  if (source?.op === 'constant') return constantInOrder(source, surroundings);
  return shapeOf(input).length === wanted.length ? inOrder(input, wanted) : undefined;
}

/** A constant that takes part in a value: with as many axes, in its order. */
function constantInOrder(node: NodeOf<'constant'>, { wanted, once }: Surroundings): string {
  const { shape } = node.attrs;
  if (isIdentityPermutation(wanted) && wanted.length === shape.length) return node.id;
  const aligned = [...new Array<number>(wanted.length - shape.length).fill(1), ...shape];
  return once(`constant ${wanted.join()}:${node.id}`, `${node.id}.axes`, (id) => ({
    ...node,
    id,
    attrs: { shape: stored(aligned, wanted) },
    weights: { value: transposeWeight(reshapeWeight(node.weights.value, aligned), wanted) },
  }));
}

const rules: Reordering['rules'] = {
  conv2d: asInSource,
  'conv2d-transpose': asInSource,
  dense: asInSource,
  matmul: asInSource,
  'batch-norm': alongTheLast,
  affine: (node, surroundings) => {
    if (!isUniform(node)) return alongTheLast(node, surroundings);
    const { wanted, outputShape } = surroundings;
    const channels = outputShape[wanted.at(-1)!]!;
    const vector = (weight: Weight): Weight => (weight.kind === 'fill' ? { ...weight, shape: [channels] } : weight);
    const weights = { scale: vector(node.weights.scale), shift: vector(node.weights.shift) };
    return inAnyOrder({ ...node, attrs: { channels }, weights }, surroundings);
  },
  activation: inAnyOrder,
  prelu: alongTheLast,
  binary: (node, surroundings) => {
    const inputs = node.inputs.map((_, input) => operand(input, surroundings));
    if (inputs.includes(undefined)) return asInSource(node, surroundings);
    return { node: { ...node, inputs: inputs as string[] }, order: surroundings.wanted };
  },
  constant: (node, { wanted }) => ({ node, order: wanted }),
  softmax: (node, surroundings) =>
    inAnyOrder({ ...node, attrs: { axis: surroundings.wanted.indexOf(node.attrs.axis) } }, surroundings),
  'max-pool': asInSource,
  'average-pool': asInSource,
  reduce: (node, { orderOf, inOrder }) => {
    const { axes, keepDims } = node.attrs;
    const order = orderOf(0);
    const places = axes.map((axis) => order.indexOf(axis)).sort((a, b) => a - b);
    const kept = order.filter((axis) => !axes.includes(axis));
    const renumbered = kept.toSorted((a, b) => a - b);
    return {
      node: { ...node, inputs: [inOrder(0, order)], attrs: { ...node.attrs, axes: places } },
      order: keepDims ? order : kept.map((axis) => renumbered.indexOf(axis)),
    };
  },
  concat: (node, { wanted, inOrder }) => ({
    node: {
      ...node,
      inputs: node.inputs.map((_, input) => inOrder(input, wanted)),
      attrs: { axis: wanted.indexOf(node.attrs.axis) },
    },
    order: wanted,
  }),
  slice: (node, surroundings) => {
    const { starts, sizes, steps } = node.attrs;
    const { wanted } = surroundings;
    const attrs = { starts: stored(starts, wanted), sizes: stored(sizes, wanted), steps: stored(steps, wanted) };
    return inAnyOrder({ ...node, attrs }, surroundings);
  },
  pad: (node, surroundings) => {
    const { before, after } = node.attrs;
    const { wanted } = surroundings;
    const attrs = { ...node.attrs, before: stored(before, wanted), after: stored(after, wanted) };
    return inAnyOrder({ ...node, attrs }, surroundings);
  },
  resize: asInSource,
  transpose: (node, { wanted, orderOf, shapeOf, inOrder, outputShape }) => {
    // Axis k of the stored result is axis p[wanted[k]] of the input.
    const from = movesBetween(node.attrs.permutation, orderOf(0));
    const inputs = [inOrder(0, orderOf(0))];
    const permutation = movesBetween(from, wanted);
    if (isIdentityPermutation(permutation)) {
      return { node: { ...node, op: 'identity', inputs, attrs: {} }, order: wanted };
    }
    const isFree = isMoveOfOnes(stored(shapeOf(0), orderOf(0)), permutation);
    return {
      node: isFree
        ? { ...node, op: 'reshape', inputs, attrs: { shape: stored(outputShape, wanted) } }
        : { ...node, inputs, attrs: { permutation } },
      order: wanted,
    };
  },
  reshape: (node, surroundings) => {
    const { orderOf, shapeOf, outputShape, inOrder } = surroundings;
    const order = reshapedOrder(shapeOf(0), outputShape, orderOf(0));
    if (order === undefined) return asInSource(node, surroundings);
    return {
      node: { ...node, inputs: [inOrder(0, orderOf(0))], attrs: { shape: stored(outputShape, order) } },
      order,
    };
  },
  take: (node, surroundings) =>
    inAnyOrder({ ...node, attrs: { ...node.attrs, axis: surroundings.wanted.indexOf(node.attrs.axis) } }, surroundings),
  identity: inAnyOrder,
  dropout: inAnyOrder,
};

const axisReordering: Reordering = {
  countOf: ({ length }) => length,
  move: moveAxes,
  suffixes: { moved: '.axes', before: '.axes' },
  rules,
};
