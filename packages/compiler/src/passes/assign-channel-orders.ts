import { type Graph, type Grouping, isIdentityPermutation, type Node, type NodeOf } from '@dgconv/core';
import { applyOrders } from './apply-orders.js';
import { chooseOrders } from './choose-orders.js';
import type { FormCosts } from './form-costs.js';
import { asDense, type MovePrices, movePrices } from './group-costs.js';
import { type AnyOrderOf, contiguousOrders } from './group-orders.js';
import { layerAbove, layerBelow } from './layer-ends.js';
import { graphPass, type Pass } from './pass.js';
import { usesOf } from './rewrite.js';

/**
 * Stores values in the channel orders that put the groups of each convolution side by side; see `chooseOrders` and `applyOrders`.
 * A convolution whose groups save less than the moves cost that they make necessary becomes dense and asks for nothing any more.
 *
 * before: `a = conv2d x {dense}` `b = conv2d a {equal 0 2 | 1 3}` · after, a in the order 0 2 1 3: `b = conv2d a {equal 0 1 | 2 3}`
 * @param anyOrder - sides that ask for no order, because the target gathers and scatters their channels itself.
 */
export function assignChannelOrders(anyOrder: AnyOrderOf, costs: FormCosts): Pass {
  return graphPass('assign-channel-orders', (graph) => {
    const prices = movePrices(graph, costs);
    for (let current = graph; ;) {
      const ordered = applyOrders(current, chooseOrders(current, anyOrder));
      const dropped = unprofitable(current, movesOf(current, ordered, anyOrder), prices);
      if (dropped.size === 0) return ordered;
      current = {
        ...current,
        nodes: current.nodes.map((node) => (node.op === 'conv2d' && dropped.has(node.id) ? asDense(node) : node)),
      };
    }
  });
}

/** A move that the groups of a convolution need. */
interface Move {
  readonly node: NodeOf<'conv2d'>;
  readonly side: 'inputs' | 'outputs';
}

function movesOf(current: Graph, ordered: Graph, anyOrder: AnyOrderOf): Move[] {
  const sources = new Map(current.nodes.map((node) => [node.id, node]));
  return ordered.nodes.flatMap((node) => {
    const source = sources.get(node.id);
    if (node.op !== 'conv2d' || source?.op !== 'conv2d') return [];
    const orders = contiguousOrders(node.attrs.connectivity as Grouping, anyOrder(node));
    return (['inputs', 'outputs'] as const).flatMap((side) =>
      orders === undefined || isIdentityPermutation(orders[side]) ? [] : [{ node: source, side }],
    );
  });
}

/**
 * Convolutions that should better be dense. A move is there because of two of them, whose groups cut across each other, so it is held
 * against both; where it is more than one saves, the one goes that saves less.
 */
function unprofitable(graph: Graph, moves: readonly Move[], prices: MovePrices): ReadonlySet<string> {
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const uses = usesOf(graph);
  const charges = new Map<string, number>();
  const ends = moves.map(({ node, side }) => {
    const price = prices.move(node, side);
    const other = side === 'inputs' ? layerAbove(node.inputs[0]!, nodes) : layerBelow(node.id, uses);
    const both = [node, ...(isGrouped(other) ? [other] : [])];
    for (const { id } of both) charges.set(id, (charges.get(id) ?? 0) + price);
    return both;
  });
  const gain = (node: NodeOf<'conv2d'>): number =>
    prices.saving(node, node.attrs.connectivity as Grouping) - charges.get(node.id)!;
  const dropped = new Set<string>();
  for (const both of ends) {
    const [worst] = both.toSorted((a, b) => gain(a) - gain(b));
    if (gain(worst!) < 0 && !both.some(({ id }) => dropped.has(id))) dropped.add(worst!.id);
  }
  return dropped;
}

function isGrouped(node: Node | undefined): node is NodeOf<'conv2d'> {
  return node?.op === 'conv2d' && node.attrs.connectivity.kind !== 'dense';
}
