import {
  composePermutations,
  type Graph,
  identityPermutation,
  inferShapes,
  invertPermutation,
  isIdentityPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  type Permutation,
  reshapeWeight,
  type Shape,
  transposeWeight,
  type Weight,
} from '@dgconv/core';
import { reshapedOrder } from './axis-blocks.js';

/** What a rule sees of the values around its node. Stored axis k of a value is its axis `order[k]`. */
interface Surroundings {
  /** The order that the node's value has to have. */
  readonly wanted: Permutation;
  readonly outputShape: Shape;
  orderOf(input: number): Permutation;
  /** Shape of an input in the source network. */
  shapeOf(input: number): Shape;
  /** An input in an order: itself, or a transpose of it that is made once. */
  inOrder(input: number, order: Permutation): string;
  /** An operand with as many axes as the result, in its order; undefined if it has fewer and is no constant. */
  operand(input: number): string | undefined;
}

interface Reordered {
  readonly node: Node;
  readonly order: Permutation;
}

type OrderRule<K extends OpKind> = (node: NodeOf<K>, surroundings: Surroundings) => Reordered;

/**
 * Stores values with their axes in other orders without changing what the network computes: axis k of the stored value v is axis
 * `orders.get(v)[k]`. Elementwise ops, reductions, concatenations, slices and the like work in any order; reshapes where what they
 * join lies side by side; all others, and the borders of the graph, keep theirs, and a `transpose` stands between. Transposes of the
 * source network vanish where both sides agree.
 *
 * before: `t = transpose x 0 3 1 2` `y = relu t` · after, t and y in the order 0 2 3 1: `y = relu x`
 * @param orders - by value, of its axes, the batch first; a value that is absent keeps its order.
 */
export function applyAxisOrders(graph: Graph, orders: ReadonlyMap<string, Permutation>): Graph {
  const shapes = inferShapes(graph);
  const constants = new Map(graph.nodes.flatMap((node) => (node.op === 'constant' ? [[node.id, node] as const] : [])));
  const nodes: Node[] = [];
  const taken = new Set([...graph.nodes.map(({ id }) => id), ...graph.inputs.map(({ name }) => name)]);
  const made = new Map<string, string>();
  const current = new Map<string, Permutation>();
  const freshId = (base: string): string => {
    let id = base;
    for (let suffix = 2; taken.has(id); suffix += 1) id = `${base}.${suffix}`;
    taken.add(id);
    return id;
  };
  const once = (key: string, make: () => Node): string => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const node = make();
    nodes.push(node);
    made.set(key, node.id);
    return node.id;
  };
  const natural = (value: string): Permutation => identityPermutation(shapes.get(value)!.length);
  const transposed = (value: string, from: Permutation, to: Permutation): string =>
    isIdentityPermutation(composePermutations(invertPermutation(from), to))
      ? value
      : once(`${value} ${to.join(' ')}`, () => moveAxes(freshId(`${value}.axes`), value, shapes.get(value)!, from, to));
  const constantIn = (value: string, order: Permutation): string => {
    const node = constants.get(value)!;
    const { shape } = node.attrs;
    const aligned = [...new Array<number>(order.length - shape.length).fill(1), ...shape];
    const reordered = order.map((axis) => aligned[axis]!);
    if (isIdentityPermutation(order) && aligned.length === shape.length) return value;
    return once(`${value} constant ${order.join(' ')}`, () => ({
      ...node,
      id: freshId(`${value}.axes`),
      attrs: { shape: reordered },
      weights: { value: transposeWeight(reshapeWeight(node.weights.value, aligned), order) },
    }));
  };

  for (const { name } of graph.inputs) current.set(name, natural(name));
  for (const node of graph.nodes) {
    const wanted = node.op === 'constant' ? natural(node.id) : (orders.get(node.id) ?? natural(node.id));
    const inputOf = (input: number): string => node.inputs[input]!;
    const result = applyRule(node, {
      wanted,
      outputShape: shapes.get(node.id)!,
      orderOf: (input) => current.get(inputOf(input))!,
      shapeOf: (input) => shapes.get(inputOf(input))!,
      inOrder: (input, order) => transposed(inputOf(input), current.get(inputOf(input))!, order),
      operand: (input) => {
        const value = inputOf(input);
        if (constants.has(value)) return constantIn(value, wanted);
        const { length } = shapes.get(value)!;
        return length === wanted.length ? transposed(value, current.get(value)!, wanted) : undefined;
      },
    });
    if (isIdentityPermutation(composePermutations(invertPermutation(result.order), wanted))) {
      nodes.push(result.node);
    } else {
      const before = freshId(`${node.id}.axes`);
      nodes.push({ ...result.node, id: before });
      nodes.push(moveAxes(node.id, before, shapes.get(node.id)!, result.order, wanted));
    }
    current.set(node.id, wanted);
  }
  const outputs = graph.outputs.map(({ name, value }) => ({
    name,
    value: transposed(value, current.get(value)!, natural(value)),
  }));
  return { ...graph, nodes, outputs };
}

/** A transpose from one order into another; a reshape where only axes of size 1 move, because then nothing lies elsewhere in memory. */
function moveAxes(id: string, input: string, shape: Shape, from: Permutation, to: Permutation): Node {
  const permutation = composePermutations(invertPermutation(from), to);
  const base = { id, inputs: [input], weights: {}, origin: [] };
  return isMoveOfOnes(
    from.map((axis) => shape[axis]!),
    permutation,
  )
    ? { ...base, op: 'reshape', attrs: { shape: to.map((axis) => shape[axis]!) } }
    : { ...base, op: 'transpose', attrs: { permutation } };
}

/** Whether a transpose moves axes of size 1 only, and not the batch. */
export function isMoveOfOnes(shape: Shape, permutation: Permutation): boolean {
  const moved = permutation.filter((axis) => axis > 0 && shape[axis] !== 1);
  return permutation[0] === 0 && moved.every((axis, index) => index === 0 || moved[index - 1]! < axis);
}

function applyRule(node: Node, surroundings: Surroundings): Reordered {
  // The table is indexed by the op of the same node that the rule gets.
  return (rules[node.op] as (node: Node, surroundings: Surroundings) => Reordered)(node, surroundings);
}

const inAnyOrder = <N extends Node>(node: N, { wanted, inOrder }: Surroundings): Reordered => ({
  node: { ...node, inputs: [inOrder(0, wanted)] },
  order: wanted,
});

/** Ops that know their axes by place. */
function inNaturalOrder(node: Node, { shapeOf, outputShape, inOrder }: Surroundings): Reordered {
  const inputs = node.inputs.map((_, input) => inOrder(input, identityPermutation(shapeOf(input).length)));
  return { node: { ...node, inputs }, order: identityPermutation(outputShape.length) };
}

/** Ops with a vector along the last axis. */
function alongTheLast(node: Node, surroundings: Surroundings): Reordered {
  const { wanted } = surroundings;
  return wanted.at(-1) === wanted.length - 1 ? inAnyOrder(node, surroundings) : inNaturalOrder(node, surroundings);
}

/** Whether an affine does the same to every channel, so that it does not matter which axis they are. */
export function isUniform({ weights }: NodeOf<'affine'>): boolean {
  return weights.scale.kind === 'fill' && weights.shift.kind === 'fill';
}

/** Items by axis, as the stored value has its axes. */
function stored<Item>(items: readonly Item[], order: Permutation): Item[] {
  return order.map((axis) => items[axis]!);
}

const rules: { readonly [K in OpKind]: OrderRule<K> } = {
  conv2d: inNaturalOrder,
  'conv2d-transpose': inNaturalOrder,
  dense: inNaturalOrder,
  matmul: inNaturalOrder,
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
    const { wanted, operand } = surroundings;
    const inputs = node.inputs.map((_, input) => operand(input));
    if (inputs.includes(undefined)) return inNaturalOrder(node, surroundings);
    return { node: { ...node, inputs: inputs as string[] }, order: wanted };
  },
  constant: (node, { wanted }) => ({ node, order: wanted }),
  softmax: (node, surroundings) =>
    inAnyOrder({ ...node, attrs: { axis: surroundings.wanted.indexOf(node.attrs.axis) } }, surroundings),
  'max-pool': inNaturalOrder,
  'average-pool': inNaturalOrder,
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
  resize: inNaturalOrder,
  transpose: (node, { wanted, orderOf, shapeOf, inOrder, outputShape }) => {
    // Axis k of the stored result is axis p[wanted[k]] of the input.
    const from = composePermutations(invertPermutation(node.attrs.permutation), orderOf(0));
    const inputs = [inOrder(0, orderOf(0))];
    const permutation = composePermutations(invertPermutation(from), wanted);
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
    if (order === undefined) return inNaturalOrder(node, surroundings);
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
