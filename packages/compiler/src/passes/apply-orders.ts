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
  reorderGrouping,
  reorderWeight,
  type Shape,
  takeWeight,
  type Weight,
} from '@dgconv/core';

/** What a rule sees of the values around its node. Orders are of the last axis. */
interface Surroundings {
  /** The order that the node's value has to have. */
  readonly wanted: Permutation;
  /** The order that an input has now. */
  orderOf(input: number): Permutation;
  /** Shape of an input, which no order changes. */
  shapeOf(input: number): Shape;
  readonly outputShape: Shape;
  /** An input in an order: itself, or a `take` of it that is made once. */
  inOrder(input: number, order: Permutation): string;
  /** An input as the source network has it. */
  natural(input: number): string;
}

/** The node on reordered inputs, and the order of what it gives. */
interface Reordered {
  readonly node: Node;
  readonly order: Permutation;
}

type OrderRule<K extends OpKind> = (node: NodeOf<K>, surroundings: Surroundings) => Reordered;

/**
 * Stores values in other channel orders without changing what the network computes: channel c' of the value v becomes channel
 * `orders.get(v)[c']`. Convolutions, dense layers and everything per channel absorb an order in their weights; where an op cannot, a
 * `take` stands before or after it. Any orders of any values are right; which ones are good is `chooseOrders`' business.
 * Inputs and outputs of the graph keep their order.
 *
 * before: `y = conv2d x {equal outputs 0 2 1 3}` · after, y in the order 0 2 1 3: `y = conv2d x {equal outputs 0 1 2 3}`
 * @param orders - by value, a permutation of its last axis; a value that is absent keeps its order.
 */
export function applyOrders(graph: Graph, orders: ReadonlyMap<string, Permutation>): Graph {
  const shapes = inferShapes(graph);
  const nodes: Node[] = [];
  const taken = new Set([...graph.nodes.map(({ id }) => id), ...graph.inputs.map(({ name }) => name)]);
  const reordered = new Map<string, string>();
  /** Order of each value that exists in the new graph under its old name. */
  const current = new Map<string, Permutation>();

  const channelsOf = (value: string): number => shapes.get(value)!.at(-1) ?? 1;
  const takeOf = (value: string, from: Permutation, to: Permutation): string => {
    // Channel k of the result is channel to[k] of the source network, which sits at from⁻¹[to[k]].
    const indices = composePermutations(invertPermutation(from), to);
    if (isIdentityPermutation(indices)) return value;
    const key = `${value} ${indices.join(' ')}`;
    const known = reordered.get(key);
    if (known !== undefined) return known;
    const id = freshId(taken, `${value}.order`);
    nodes.push(takeNode(id, value, shapes.get(value)!.length - 1, indices));
    reordered.set(key, id);
    return id;
  };

  for (const { name } of graph.inputs) {
    // The input itself keeps its order; readers take from it.
    current.set(name, identityPermutation(channelsOf(name)));
  }
  for (const node of graph.nodes) {
    const wanted = orders.get(node.id) ?? identityPermutation(channelsOf(node.id));
    const surroundings: Surroundings = {
      wanted,
      orderOf: (input) => current.get(node.inputs[input]!)!,
      shapeOf: (input) => shapes.get(node.inputs[input]!)!,
      outputShape: shapes.get(node.id)!,
      inOrder: (input, order) => takeOf(node.inputs[input]!, current.get(node.inputs[input]!)!, order),
      natural: (input) => surroundings.inOrder(input, identityPermutation(channelsOf(node.inputs[input]!))),
    };
    const result = applyRule(node, surroundings);
    const indices = composePermutations(invertPermutation(result.order), wanted);
    if (isIdentityPermutation(indices)) {
      nodes.push(result.node);
    } else {
      const before = freshId(taken, `${node.id}.unordered`);
      nodes.push({ ...result.node, id: before }, takeNode(node.id, before, shapes.get(node.id)!.length - 1, indices));
    }
    current.set(node.id, wanted);
  }
  const outputs = graph.outputs.map(({ name, value }) => ({
    name,
    value: takeOf(value, current.get(value)!, identityPermutation(channelsOf(value))),
  }));
  return { ...graph, nodes, outputs };
}

function freshId(taken: Set<string>, base: string): string {
  let id = base;
  for (let suffix = 2; taken.has(id); suffix += 1) id = `${base}.${suffix}`;
  taken.add(id);
  return id;
}

function takeNode(id: string, input: string, axis: number, indices: readonly number[]): NodeOf<'take'> {
  return { id, op: 'take', inputs: [input], attrs: { axis, indices }, weights: {}, origin: [] };
}

function applyRule(node: Node, surroundings: Surroundings): Reordered {
  // The table is indexed by the op of the same node that the rule gets.
  return (rules[node.op] as (node: Node, surroundings: Surroundings) => Reordered)(node, surroundings);
}

function orderVector(of: Weight, order: Permutation): Weight {
  return takeWeight(of, 0, order, order.length);
}

/** Ops that treat every channel alike: the value has the order of its input, so the input is brought into the wanted one. */
function perChannel<N extends Node>(node: N, { wanted, inOrder }: Surroundings): Reordered {
  return { node: { ...node, inputs: [inOrder(0, wanted)] }, order: wanted };
}

/** Ops that no order passes: as in the source network. */
function inNaturalOrder(node: Node, { natural, outputShape }: Surroundings): Reordered {
  return {
    node: { ...node, inputs: node.inputs.map((_, input) => natural(input)) },
    order: identityPermutation(outputShape.at(-1) ?? 1),
  };
}

/** Where the channels of `of` sit that the source network has at `positions`. */
function positionsIn(order: Permutation, positions: readonly number[]): number[] {
  const place = invertPermutation(order);
  return positions.map((position) => place[position]!);
}

const rules: { readonly [K in OpKind]: OrderRule<K> } = {
  conv2d: (node, { wanted, orderOf, inOrder }) => {
    const { connectivity } = node.attrs;
    const inputOrder = orderOf(0);
    const { kernel, bias, preScale, preShift, mask, ...others } = node.weights;
    if (connectivity.kind === 'learned') {
      throw new Error(`internal: channel orders are applied after the gates of ${node.id} are fixed`);
    }
    const weights = {
      ...others,
      kernel:
        connectivity.kind === 'masked'
          ? takeWeight(orderVector(kernel, wanted), 1, inputOrder, inputOrder.length)
          : reorderWeight(kernel, connectivity, wanted, inputOrder),
      ...(bias === undefined ? {} : { bias: orderVector(bias, wanted) }),
      ...(preScale === undefined ? {} : { preScale: orderVector(preScale, inputOrder) }),
      ...(preShift === undefined ? {} : { preShift: orderVector(preShift, inputOrder) }),
      ...(mask === undefined ? {} : { mask }),
    };
    return {
      node: {
        ...node,
        inputs: node.inputs.map((_, input) => (input === 0 ? inOrder(0, inputOrder) : inOrder(input, wanted))),
        attrs: {
          ...node.attrs,
          connectivity:
            connectivity.kind === 'masked'
              ? { ...connectivity, mask: connectivity.mask.reorder(wanted, inputOrder) }
              : reorderGrouping(connectivity, wanted, inputOrder),
        },
        weights,
      },
      order: wanted,
    };
  },
  'conv2d-transpose': (node, surroundings) => {
    // The groups of a transposed convolution are contiguous by definition, so only an ungrouped one takes any order.
    if (node.attrs.groups > 1) return inNaturalOrder(node, surroundings);
    const { wanted, orderOf, inOrder } = surroundings;
    const inputOrder = orderOf(0);
    const { kernel, bias } = node.weights;
    return {
      node: {
        ...node,
        inputs: [inOrder(0, inputOrder)],
        weights: {
          kernel: takeWeight(takeWeight(kernel, 0, inputOrder, inputOrder.length), 1, wanted, wanted.length),
          ...(bias === undefined ? {} : { bias: orderVector(bias, wanted) }),
        },
      },
      order: wanted,
    };
  },
  dense: (node, { wanted, orderOf, inOrder }) => {
    const inputOrder = orderOf(0);
    const { kernel, bias } = node.weights;
    return {
      node: {
        ...node,
        inputs: [inOrder(0, inputOrder)],
        weights: {
          kernel: takeWeight(orderVector(kernel, wanted), 1, inputOrder, inputOrder.length),
          ...(bias === undefined ? {} : { bias: orderVector(bias, wanted) }),
        },
      },
      order: wanted,
    };
  },
  // The columns of the right factor are the channels of the product; everything else is summed over.
  matmul: (node, { wanted, natural, inOrder }) => ({
    node: { ...node, inputs: [natural(0), inOrder(1, wanted)] },
    order: wanted,
  }),
  'batch-norm': (node, surroundings) => {
    const { gamma, beta, mean, variance } = node.weights;
    const { wanted } = surroundings;
    const weights = {
      ...(gamma === undefined ? {} : { gamma: orderVector(gamma, wanted) }),
      ...(beta === undefined ? {} : { beta: orderVector(beta, wanted) }),
      mean: orderVector(mean, wanted),
      variance: orderVector(variance, wanted),
    };
    return perChannel({ ...node, weights }, surroundings);
  },
  affine: (node, surroundings) => {
    const { scale, shift } = node.weights;
    const { wanted } = surroundings;
    return perChannel(
      { ...node, weights: { scale: orderVector(scale, wanted), shift: orderVector(shift, wanted) } },
      surroundings,
    );
  },
  activation: perChannel,
  prelu: (node, surroundings) =>
    perChannel({ ...node, weights: { slope: orderVector(node.weights.slope, surroundings.wanted) } }, surroundings),
  binary: (node, { wanted, shapeOf, inOrder, natural }) => ({
    node: {
      ...node,
      // An operand with one channel is the same for all of them.
      inputs: node.inputs.map((_, input) =>
        shapeOf(input).at(-1) === wanted.length ? inOrder(input, wanted) : natural(input),
      ),
    },
    order: wanted,
  }),
  constant: (node, { wanted, outputShape }) => {
    if (outputShape.length === 0) return { node, order: wanted };
    const value = takeWeight(node.weights.value, outputShape.length - 1, wanted, wanted.length);
    return { node: { ...node, weights: { value } }, order: wanted };
  },
  // Softmax over the channels permutes as its input does; over another axis it is per channel.
  softmax: perChannel,
  'max-pool': perChannel,
  'average-pool': perChannel,
  reduce: (node, surroundings) => {
    const last = surroundings.shapeOf(0).length - 1;
    return node.attrs.axes.includes(last) ? inNaturalOrder(node, surroundings) : perChannel(node, surroundings);
  },
  concat: (node, surroundings) => {
    const { wanted, shapeOf, orderOf, inOrder } = surroundings;
    if (node.attrs.axis !== shapeOf(0).length - 1) {
      return { node: { ...node, inputs: node.inputs.map((_, input) => inOrder(input, wanted)) }, order: wanted };
    }
    let start = 0;
    const order = node.inputs.flatMap((_, input) => {
      const positions = orderOf(input).map((channel) => start + channel);
      start += positions.length;
      return positions;
    });
    return { node: { ...node, inputs: node.inputs.map((_, input) => inOrder(input, orderOf(input))) }, order };
  },
  slice: (node, surroundings) => {
    const { wanted, shapeOf, orderOf, inOrder, outputShape } = surroundings;
    const last = shapeOf(0).length - 1;
    const { starts, sizes, steps } = node.attrs;
    if (sizes[last] === shapeOf(0)[last]) return perChannel(node, surroundings);
    const order = orderOf(0);
    const channels = wanted.map((channel) => starts[last]! + channel * steps[last]!);
    const positions = positionsIn(order, channels);
    const isRun = positions.every((position, index) => position === positions[0]! + index * steps[last]!);
    if (isRun) {
      const attrs = { starts: starts.with(last, positions[0]!), sizes, steps };
      return { node: { ...node, inputs: [inOrder(0, order)], attrs }, order: wanted };
    }
    const isOnlyChannels = outputShape.every((size, axis) => axis === last || size === shapeOf(0)[axis]);
    if (!isOnlyChannels) return inNaturalOrder(node, surroundings);
    const take = takeNode(node.id, inOrder(0, order), last, positions);
    return { node: { ...take, origin: node.origin }, order: wanted };
  },
  pad: (node, surroundings) => {
    const { orderOf, inOrder, shapeOf } = surroundings;
    const last = shapeOf(0).length - 1;
    const [before, after] = [node.attrs.before[last]!, node.attrs.after[last]!];
    if (before === 0 && after === 0) return perChannel(node, surroundings);
    if (node.attrs.mode !== 'constant') return inNaturalOrder(node, surroundings);
    // Channels of one constant before and after the input's.
    const order = [
      ...identityPermutation(before),
      ...orderOf(0).map((channel) => before + channel),
      ...identityPermutation(after).map((channel) => before + orderOf(0).length + channel),
    ];
    return { node: { ...node, inputs: [inOrder(0, orderOf(0))] }, order };
  },
  resize: perChannel,
  transpose: (node, surroundings) => {
    const { permutation } = node.attrs;
    const last = permutation.length - 1;
    return permutation[last] === last ? perChannel(node, surroundings) : inNaturalOrder(node, surroundings);
  },
  reshape: (node, surroundings) => {
    const { shapeOf, orderOf, inOrder, outputShape } = surroundings;
    const [from, to] = [shapeOf(0).at(-1) ?? 1, outputShape.at(-1) ?? 1];
    if (from === to) return perChannel(node, surroundings);
    // Merging the channels with the axes before them (flatten) repeats their order block by block.
    if (isMergeOfLast(shapeOf(0), outputShape)) {
      const channels = orderOf(0);
      const order = Array.from({ length: to }, (_, index) => {
        const block = Math.floor(index / from) * from;
        return block + channels[index - block]!;
      });
      return { node: { ...node, inputs: [inOrder(0, channels)] }, order };
    }
    return inNaturalOrder(node, surroundings);
  },
  take: (node, surroundings) => {
    const { wanted, shapeOf, orderOf, inOrder } = surroundings;
    const last = shapeOf(0).length - 1;
    if (node.attrs.axis !== last) return perChannel(node, surroundings);
    const order = orderOf(0);
    const indices = positionsIn(
      order,
      wanted.map((channel) => node.attrs.indices[channel]!),
    );
    return { node: { ...node, inputs: [inOrder(0, order)], attrs: { axis: last, indices } }, order: wanted };
  },
  identity: perChannel,
  dropout: perChannel,
};

/** Whether a reshape only merges the last axis with axes before it (flatten), so that the channels of each pixel stay together. */
export function isMergeOfLast(from: Shape, to: Shape): boolean {
  const merged = to.at(-1)!;
  let product = 1;
  for (let axis = from.length - 1; axis >= 0; axis -= 1) {
    product *= from[axis]!;
    if (product === merged) return true;
    if (product > merged) return false;
  }
  return false;
}
