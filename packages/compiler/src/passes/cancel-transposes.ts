import {
  composePermutations,
  elementCount,
  type Graph,
  identityPermutation,
  inferShapes,
  invertPermutation,
  isIdentityPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { applyAxisOrders, isUniform } from './apply-axis-orders.js';
import { reshapedOrder } from './axis-blocks.js';
import { graphPass } from './pass.js';
import { removeIdentities } from './remove-identities.js';
import { type Uses, usesOf } from './rewrite.js';

/**
 * Makes transposes cancel: networks from NCHW formats transpose, reshape, transpose back and so on around their channels-last
 * convolutions. The order of the axes of the values between is chosen so that as few elements as possible are transposed, and applied
 * by `applyAxisOrders`, which is right for any choice. A transpose that only moves axes of size 1 becomes a reshape.
 *
 * before: `t = transpose x 0 3 1 2` `r = reshape t [1, C, P]` `y = transpose r 0 2 1` · after: `y = reshape x [1, P, C]`
 */
export const cancelTransposes = graphPass('cancel-transposes', (graph) => {
  if (!graph.nodes.some(({ op }) => op === 'transpose')) return graph;
  return removeIdentities.run({ graph: applyAxisOrders(graph, chooseAxisOrders(graph)), weights: noWeights }).graph;
});

/** Weights that the pass does not read. */
const noWeights = {
  names: [],
  shape: (): never => {
    throw new Error('internal: cancel-transposes reads no weights');
  },
  read: (): never => {
    throw new Error('internal: cancel-transposes reads no weights');
  },
};

/** Elements that starting a transpose is worth. */
const startPrice = 1000;

/** Rounds of improvements; each goes through all transposes. */
const rounds = 4;

type Orders = ReadonlyMap<string, Permutation>;

/** Orders of the axes of some values, under which fewer elements are transposed. */
function chooseAxisOrders(graph: Graph): Orders {
  const network = new Network(graph);
  const transposes = graph.nodes.filter((node): node is NodeOf<'transpose'> => node.op === 'transpose');
  let best: Orders = new Map();
  let cost = transposeCost(network, best);
  for (let round = 0; round < rounds; round += 1) {
    let hasImproved = false;
    for (const node of transposes) {
      for (const candidate of candidates(node, best, network)) {
        const price = transposeCost(network, candidate);
        if (price >= cost) continue;
        [best, cost, hasImproved] = [candidate, price, true];
      }
    }
    if (!hasImproved) break;
  }
  return best;
}

/** What the transposes of the network with these orders cost, in elements. */
function transposeCost({ graph, shapes }: Network, orders: Orders): number {
  const applied = applyAxisOrders(graph, orders, shapes);
  const needed = new Set([
    ...applied.nodes.flatMap(({ inputs }) => inputs),
    ...applied.outputs.map(({ value }) => value),
  ]);
  return applied.nodes.reduce((sum, { id, op, inputs: [input] }) => {
    if (op !== 'transpose' || !needed.has(id)) return sum;
    // One that is new reads a value of the network itself.
    return sum + startPrice + elementCount(shapes.get(id) ?? shapes.get(input!)!);
  }, 0);
}

/** Orders in which a transpose vanishes: its value stored as its input is, or its input as its value. */
function candidates({ id, inputs, attrs }: NodeOf<'transpose'>, orders: Orders, network: Network): Orders[] {
  const [input] = inputs as [string];
  const orderOf = (value: string): Permutation => orders.get(value) ?? identityPermutation(attrs.permutation.length);
  const below = composePermutations(invertPermutation(attrs.permutation), orderOf(input));
  const above = composePermutations(attrs.permutation, orderOf(id));
  return [
    network.spread(id, below, orders),
    ...(network.isFlexible(input) ? [network.spread(input, above, orders)] : []),
  ].filter((candidate) => candidate !== orders);
}

/** How orders spread over the ops that work in any order. */
class Network {
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #uses: Uses;

  constructor(readonly graph: Graph) {
    this.shapes = inferShapes(graph);
    this.#nodes = new Map(graph.nodes.map((node) => [node.id, node]));
    this.#uses = usesOf(graph);
  }

  /** Whether what computes the value can give it in another order, or passes the order on. */
  isFlexible(value: string): boolean {
    const node = this.#nodes.get(value);
    return node !== undefined && node.op !== 'constant' && spreading[node.op] !== undefined;
  }

  /** The orders with one more, and all that follow from it. */
  spread(value: string, order: Permutation, orders: Orders): Orders {
    if (order[0] !== 0) return orders;
    const result = new Map(orders);
    const reached = new Set<string>();
    const waiting: (readonly [string, Permutation])[] = [[value, order]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [name, wanted] = next;
      if (reached.has(name)) continue;
      reached.add(name);
      if (isIdentityPermutation(wanted)) result.delete(name);
      else result.set(name, wanted);
      const producer = this.#nodes.get(name)!;
      for (const node of [producer, ...this.#uses.of(name)]) {
        // The table is indexed by the op of the same node that the rule gets.
        const rule = spreading[node.op] as SpreadRule | undefined;
        // Transposes absorb whatever stands on either side.
        if (rule === undefined || node.op === 'transpose') continue;
        for (const other of [node.id, ...node.inputs]) {
          if (other === name || reached.has(other) || !this.isFlexible(other)) continue;
          const implied = rule(node, this.shapes, { name, order: wanted }, other);
          if (implied?.[0] === 0) waiting.push([other, implied]);
        }
      }
    }
    return result;
  }
}

/** The order of another value of the node that goes with the order of one of them, or undefined. */
type SpreadRule<N extends Node = Node> = (
  node: N,
  shapes: ReadonlyMap<string, Shape>,
  known: { readonly name: string; readonly order: Permutation },
  other: string,
) => Permutation | undefined;

const alike: SpreadRule = (_, shapes, { order }, other) =>
  shapes.get(other)!.length === order.length ? order : undefined;
const alikeWithLast: SpreadRule = (node, shapes, known, other) =>
  known.order.at(-1) === known.order.length - 1 ? alike(node, shapes, known, other) : undefined;

/** The ops that work in any order of their axes. */
const spreading: { readonly [K in OpKind]?: SpreadRule<NodeOf<K>> } = {
  'batch-norm': alikeWithLast,
  affine: (node, ...others) => (isUniform(node) ? alike : alikeWithLast)(node, ...others),
  prelu: alikeWithLast,
  activation: alike,
  binary: alike,
  softmax: alike,
  concat: alike,
  slice: alike,
  pad: alike,
  take: alike,
  identity: alike,
  dropout: alike,
  transpose: () => undefined,
  reduce: ({ id, attrs }, _, { name, order }) => {
    if (attrs.keepDims) return order;
    if (name === id) return undefined;
    const kept = order.filter((axis) => !attrs.axes.includes(axis));
    const renumbered = kept.toSorted((a, b) => a - b);
    return kept.map((axis) => renumbered.indexOf(axis));
  },
  reshape: (_, shapes, { name, order }, other) => reshapedOrder(shapes.get(name)!, shapes.get(other)!, order),
};
