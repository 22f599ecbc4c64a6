import {
  blocksOf,
  composePermutations,
  elementCount,
  type Graph,
  type Grouping,
  identityPermutation,
  inferShapes,
  invertPermutation,
  type NodeOf,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { type ChannelClasses, channelClasses } from './channel-classes.js';
import { commonOrder, type OrderedPartition, type Ranks, ranksIn, refine } from './ordered-partition.js';

/** What a grouped convolution would like: the channels of each group side by side, the groups in one order on both sides. */
interface Demand {
  readonly node: NodeOf<'conv2d'>;
  /** Channels of the input's class by group, or undefined if any order of the input will do. */
  readonly inputs: OrderedPartition | undefined;
  readonly outputs: OrderedPartition | undefined;
  /** Values that would have to be moved otherwise. */
  readonly weight: number;
}

/**
 * Channel orders under which as few values as possible have to be moved between grouped convolutions. Values that an op ties share
 * one order (`ChannelClasses`); each grouped convolution asks for its groups to be runs of channels, and gets it where that fits what
 * was granted before. A heuristic that can cost speed, never correctness: `applyOrders` makes any choice right.
 * @param anywhere - kinds of groupings whose channels the target gathers and scatters itself, wherever they lie.
 * @returns by value, for values whose order is not that of the source network.
 */
export function chooseOrders(graph: Graph, anywhere: ReadonlySet<Grouping['kind']>): ReadonlyMap<string, Permutation> {
  const shapes = inferShapes(graph);
  const classes = channelClasses(graph);
  const derived = derivedClasses(graph, shapes, classes);
  const demands = graph.nodes.flatMap((node) =>
    node.op === 'conv2d' && !anywhere.has(node.attrs.connectivity.kind as Grouping['kind'])
      ? demandOf(node, shapes, classes, derived)
      : [],
  );
  // Coarse groups first let finer ones nest in them; the dearest first keeps what costs most. Whichever grants more.
  const byGroups = grant(
    demands.toSorted((a, b) => groupsOf(a) - groupsOf(b) || b.weight - a.weight),
    classes,
    shapes,
  );
  const byWeight = grant(
    demands.toSorted((a, b) => b.weight - a.weight || groupsOf(a) - groupsOf(b)),
    classes,
    shapes,
  );
  const { partitions } = byWeight.granted > byGroups.granted ? byWeight : byGroups;
  return ordersOf(graph, shapes, classes, derived, partitions);
}

function groupsOf({ node }: Demand): number {
  const { connectivity } = node.attrs;
  return 'groups' in connectivity ? connectivity.groups : 1;
}

/** Values of which the order follows from the orders of narrower ones: concatenations of channels, and flattened images. */
type Derived = ReadonlyMap<string, NodeOf<'concat'> | NodeOf<'reshape'>>;

function derivedClasses(graph: Graph, shapes: ReadonlyMap<string, Shape>, classes: ChannelClasses): Derived {
  const derived = new Map<string, NodeOf<'concat'> | NodeOf<'reshape'>>();
  for (const node of graph.nodes) {
    const isJoined = node.op === 'concat' && node.attrs.axis === shapes.get(node.id)!.length - 1;
    const isFlattened = node.op === 'reshape' && shapes.get(node.id)!.at(-1) !== shapes.get(node.inputs[0]!)!.at(-1);
    if (!isJoined && !isFlattened) continue;
    const classId = classes.classOf(node.id);
    if (!classes.isFixed(classId) && !derived.has(classId)) derived.set(classId, node);
  }
  return derived;
}

function demandOf(
  node: NodeOf<'conv2d'>,
  shapes: ReadonlyMap<string, Shape>,
  classes: ChannelClasses,
  derived: Derived,
): Demand[] {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return [];
  if (connectivity.kind === 'dense' || connectivity.kind === 'unstructured') return [];
  const [input] = node.inputs as [string];
  const blocks = blocksOf(connectivity)!;
  const isTied = classes.classOf(input) === classes.classOf(node.id);
  const isDepthwise = connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
  if (isDepthwise && isTied && connectivity.channelsOut === connectivity.channelsIn) return [];
  const side = (value: string, parts: readonly (readonly number[])[]): OrderedPartition | undefined => {
    if (derived.has(classes.classOf(value))) return undefined;
    const channels = classes.channelsOf(value);
    return parts.map((part) => part.map((channel) => channels[channel]!));
  };
  const inputs =
    connectivity.kind === 'shared-inputs'
      ? undefined
      : side(
          input,
          blocks.map((block) => block.inputs),
        );
  const outputs =
    connectivity.kind === 'shared-outputs'
      ? undefined
      : side(
          node.id,
          blocks.map((block) => block.outputs),
        );
  if (inputs === undefined && outputs === undefined) return [];
  return [{ node, inputs, outputs, weight: elementCount(shapes.get(input)!) + elementCount(shapes.get(node.id)!) }];
}

interface Granted {
  readonly partitions: ReadonlyMap<string, OrderedPartition>;
  /** Weight of the demands that were granted, a half for one side. */
  readonly granted: number;
}

function grant(demands: readonly Demand[], classes: ChannelClasses, shapes: ReadonlyMap<string, Shape>): Granted {
  const partitions = new Map<string, OrderedPartition>();
  const partitionOf = (classId: string): OrderedPartition => {
    const known = partitions.get(classId);
    if (known !== undefined) return known;
    const channels = identityPermutation(shapes.get(classId)!.at(-1) ?? 1);
    return classes.isFixed(classId) ? channels.map((channel) => [channel]) : [channels];
  };
  let granted = 0;
  for (const { node, inputs, outputs, weight } of demands) {
    const input = classes.classOf(node.inputs[0]!);
    const output = classes.classOf(node.id);
    const sides = [
      ...(inputs === undefined ? [] : [{ classId: input, parts: inputs }]),
      ...(outputs === undefined ? [] : [{ classId: output, parts: outputs }]),
    ];
    const tries = sides.length === 2 ? [sides, [sides[1]!], [sides[0]!]] : [sides];
    for (const attempt of tries) {
      if (!satisfy(attempt, partitionOf, partitions)) continue;
      granted += (weight * attempt.length) / sides.length;
      break;
    }
  }
  return { partitions, granted };
}

interface Side {
  readonly classId: string;
  readonly parts: OrderedPartition;
}

/** Refines the partitions of the sides so that the parts are runs in one common order; false if they do not allow it. */
function satisfy(
  sides: readonly Side[],
  partitionOf: (classId: string) => OrderedPartition,
  partitions: Map<string, OrderedPartition>,
): boolean {
  const count = sides[0]!.parts.length;
  const [first, second] = sides;
  const isOneClass = second !== undefined && second.classId === first!.classId;
  if (isOneClass && !samePartition(first!.parts, second.parts)) return false;
  const ranks: Ranks[] = [];
  for (const { classId, parts } of sides) {
    const rank = ranksIn(partitionOf(classId), parts);
    if (rank === undefined) return false;
    ranks.push(rank);
  }
  const bySize = sizeRanks(sides);
  const order = commonOrder(count, bySize, ...ranks) ?? commonOrder(count, ...ranks);
  if (order === undefined) return false;
  for (const { classId, parts } of sides) partitions.set(classId, refine(partitionOf(classId), parts, order));
  return true;
}

/** Parts of one size side by side, so that unequal groups fall into few buckets of equal ones. */
function sizeRanks(sides: readonly Side[]): Ranks {
  const sizes = sides[0]!.parts.map((_, part) => sides.map(({ parts }) => parts[part]!.length).join(' '));
  const distinct = [...new Set(sizes)];
  return sizes.map((size) => distinct.indexOf(size));
}

function samePartition(left: OrderedPartition, right: OrderedPartition): boolean {
  return left.every((part, index) => {
    const other = new Set(right[index]);
    return part.length === other.size && part.every((channel) => other.has(channel));
  });
}

/** The order of every value: that of its class, seen from the value's own channels. */
function ordersOf(
  graph: Graph,
  shapes: ReadonlyMap<string, Shape>,
  classes: ChannelClasses,
  derived: Derived,
  partitions: ReadonlyMap<string, OrderedPartition>,
): ReadonlyMap<string, Permutation> {
  const orders = new Map<string, Permutation>();
  const classOrders = new Map<string, Permutation>();
  const classOrder = (classId: string): Permutation => {
    const known = classOrders.get(classId);
    if (known !== undefined) return known;
    const source = derived.get(classId);
    const order =
      source === undefined
        ? (partitions.get(classId)?.flatMap((block) => block.toSorted((a, b) => a - b)) ??
          identityPermutation(shapes.get(classId)!.at(-1) ?? 1))
        : composePermutations(classes.channelsOf(source.id), derivedOrder(source));
    classOrders.set(classId, order);
    return order;
  };
  // Channel k of the stored value is channel order[k] of the class, which is the value's own channel channels⁻¹[order[k]].
  const orderOf = (value: string): Permutation =>
    composePermutations(invertPermutation(classes.channelsOf(value)), classOrder(classes.classOf(value)));
  const derivedOrder = (node: NodeOf<'concat'> | NodeOf<'reshape'>): Permutation => {
    const channels = shapes.get(node.id)!.at(-1) ?? 1;
    const positions: number[] = [];
    const parts = node.op === 'concat' ? node.inputs.map(orderOf) : repeated(orderOf(node.inputs[0]!), channels);
    for (const part of parts) {
      const start = positions.length;
      positions.push(...part.map((channel) => start + channel));
    }
    return positions.length === channels ? positions : identityPermutation(channels);
  };
  for (const node of graph.nodes) orders.set(node.id, orderOf(node.id));
  return orders;
}

/** The order of the channels of each pixel of a flattened image. */
function repeated(order: Permutation, channels: number): Permutation[] {
  return channels % order.length === 0 ? Array.from({ length: channels / order.length }, () => order) : [];
}
