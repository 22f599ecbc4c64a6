import {
  type Graph,
  identityPermutation,
  invertPermutation,
  type NodeOf,
  type Permutation,
  reorderGrouping,
  reorderWeight,
  type Shape,
  takeWeight,
  type Weight,
} from '@dgconv/core';
import { asInSource, inAnyOrder, movesBetween, type Reordering, reorderValues } from './reorder-values.js';

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
  return reorderValues(graph, orders, {
    countOf: (shape) => shape.at(-1) ?? 1,
    move: (id, { input, shape, from, to }) => takeNode(id, input, shape.length - 1, movesBetween(from, to)),
    suffixes: { moved: '.order', before: '.unordered' },
    rules,
  });
}

function takeNode(id: string, input: string, axis: number, indices: readonly number[]): NodeOf<'take'> {
  return { id, op: 'take', inputs: [input], attrs: { axis, indices }, weights: {}, origin: [] };
}

function orderVector(of: Weight, order: Permutation): Weight {
  return takeWeight(of, 0, order, order.length);
}

/** Where the channels of `of` sit that the source network has at `positions`. */
function positionsIn(order: Permutation, positions: readonly number[]): number[] {
  const place = invertPermutation(order);
  return positions.map((position) => place[position]!);
}

const rules: Reordering['rules'] = {
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
    if (node.attrs.groups > 1) return asInSource(node, surroundings);
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
  matmul: (node, { wanted, inNaturalOrder, inOrder }) => ({
    node: { ...node, inputs: [inNaturalOrder(0), inOrder(1, wanted)] },
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
    return inAnyOrder({ ...node, weights }, surroundings);
  },
  affine: (node, surroundings) => {
    const { scale, shift } = node.weights;
    const { wanted } = surroundings;
    return inAnyOrder(
      { ...node, weights: { scale: orderVector(scale, wanted), shift: orderVector(shift, wanted) } },
      surroundings,
    );
  },
  activation: inAnyOrder,
  prelu: (node, surroundings) =>
    inAnyOrder({ ...node, weights: { slope: orderVector(node.weights.slope, surroundings.wanted) } }, surroundings),
  binary: (node, { wanted, shapeOf, inOrder, inNaturalOrder }) => ({
    node: {
      ...node,
      // An operand with one channel is the same for all of them.
      inputs: node.inputs.map((_, input) =>
        shapeOf(input).at(-1) === wanted.length ? inOrder(input, wanted) : inNaturalOrder(input),
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
  softmax: inAnyOrder,
  'max-pool': inAnyOrder,
  'average-pool': inAnyOrder,
  reduce: (node, surroundings) => {
    const last = surroundings.shapeOf(0).length - 1;
    return node.attrs.axes.includes(last) ? asInSource(node, surroundings) : inAnyOrder(node, surroundings);
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
    if (sizes[last] === shapeOf(0)[last]) return inAnyOrder(node, surroundings);
    const order = orderOf(0);
    const channels = wanted.map((channel) => starts[last]! + channel * steps[last]!);
    const positions = positionsIn(order, channels);
    const isRun = positions.every((position, index) => position === positions[0]! + index * steps[last]!);
    if (isRun) {
      const attrs = { starts: starts.with(last, positions[0]!), sizes, steps };
      return { node: { ...node, inputs: [inOrder(0, order)], attrs }, order: wanted };
    }
    const isOnlyChannels = outputShape.every((size, axis) => axis === last || size === shapeOf(0)[axis]);
    if (!isOnlyChannels) return asInSource(node, surroundings);
    const take = takeNode(node.id, inOrder(0, order), last, positions);
    return { node: { ...take, origin: node.origin }, order: wanted };
  },
  pad: (node, surroundings) => {
    const { orderOf, inOrder, shapeOf } = surroundings;
    const last = shapeOf(0).length - 1;
    const [before, after] = [node.attrs.before[last]!, node.attrs.after[last]!];
    if (before === 0 && after === 0) return inAnyOrder(node, surroundings);
    if (node.attrs.mode !== 'constant') return asInSource(node, surroundings);
    // Channels of one constant before and after the input's.
    const order = [
      ...identityPermutation(before),
      ...orderOf(0).map((channel) => before + channel),
      ...identityPermutation(after).map((channel) => before + orderOf(0).length + channel),
    ];
    return { node: { ...node, inputs: [inOrder(0, orderOf(0))] }, order };
  },
  resize: inAnyOrder,
  transpose: (node, surroundings) => {
    const { permutation } = node.attrs;
    const last = permutation.length - 1;
    return permutation[last] === last ? inAnyOrder(node, surroundings) : asInSource(node, surroundings);
  },
  reshape: (node, surroundings) => {
    const { shapeOf, orderOf, inOrder, outputShape } = surroundings;
    const [from, to] = [shapeOf(0).at(-1) ?? 1, outputShape.at(-1) ?? 1];
    if (from === to) return inAnyOrder(node, surroundings);
    // Merging the channels with the axes before them (flatten) repeats their order block by block.
    if (isMergeOfLast(shapeOf(0), outputShape)) {
      const channels = orderOf(0);
      const order = Array.from({ length: to }, (_, index) => {
        const block = Math.floor(index / from) * from;
        return block + channels[index - block]!;
      });
      return { node: { ...node, inputs: [inOrder(0, channels)] }, order };
    }
    return asInSource(node, surroundings);
  },
  take: (node, surroundings) => {
    const { wanted, shapeOf, orderOf, inOrder } = surroundings;
    const last = shapeOf(0).length - 1;
    if (node.attrs.axis !== last) return inAnyOrder(node, surroundings);
    const order = orderOf(0);
    const indices = positionsIn(
      order,
      wanted.map((channel) => node.attrs.indices[channel]!),
    );
    return { node: { ...node, inputs: [inOrder(0, order)], attrs: { axis: last, indices } }, order: wanted };
  },
  identity: inAnyOrder,
  dropout: inAnyOrder,
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
