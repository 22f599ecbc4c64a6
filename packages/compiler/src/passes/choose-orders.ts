import {
  blocksOf,
  elementCount,
  type Graph,
  identityPermutation,
  inferShapes,
  type NodeOf,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { channelLayouts } from './channel-layouts.js';
import { type ChannelSegments, type Layout, orderIn, type Segment } from './channel-segments.js';
import type { AnyOrder, AnyOrderOf } from './group-orders.js';
import { commonOrder, isOrderIn, type OrderedPartition, type Ranks, ranksIn, refine } from './ordered-partition.js';

/** What a grouped convolution would like: the channels of each group side by side, the groups in one order on both sides. */
interface Demand {
  readonly node: NodeOf<'conv2d'>;
  readonly sides: readonly Side[];
}

/** One side of a demand; `parts` are the channels of the value by group. */
interface Side {
  readonly layout: Layout;
  readonly parts: OrderedPartition;
  /** Values that have to be moved otherwise. */
  readonly weight: number;
}

/** The order of the channels of each segment so far. */
type Partitions = ReadonlyMap<Segment, OrderedPartition>;

/**
 * Channel orders under which as few values as possible have to be moved between grouped convolutions. Values that an op ties share
 * segments (`channelLayouts`); each grouped convolution asks for its groups to be runs of channels, and gets it where that fits what
 * was granted before. A heuristic that can cost speed, never correctness: `applyOrders` makes any choice right.
 * @returns by value, for every node.
 */
export function chooseOrders(graph: Graph, anyOrder: AnyOrderOf): ReadonlyMap<string, Permutation> {
  const shapes = inferShapes(graph);
  const segments = channelLayouts(graph);
  const demands = graph.nodes.flatMap((node) =>
    node.op === 'conv2d' ? demandOf(node, shapes, segments, anyOrder(node)) : [],
  );
  const partitions = bestGrant(demands);
  const orderOf = (segment: Segment): Permutation =>
    partitions.get(segment)?.flatMap((block) => block.toSorted((a, b) => a - b)) ?? identityPermutation(segment.size);
  return new Map(graph.nodes.map(({ id }) => [id, orderIn(segments.of(id), orderOf)]));
}

function demandOf(
  node: NodeOf<'conv2d'>,
  shapes: ReadonlyMap<string, Shape>,
  segments: ChannelSegments,
  anyOrder: AnyOrder,
): Demand[] {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return [];
  if (connectivity.kind === 'dense' || connectivity.kind === 'unstructured') return [];
  const blocks = blocksOf(connectivity)!;
  // A depthwise convolution has the order of its input.
  const isDepthwise = connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
  if (isDepthwise && connectivity.channelsOut === connectivity.channelsIn) return [];
  const side = (value: string, channels: (block: (typeof blocks)[number]) => readonly number[]): Side => ({
    layout: segments.of(value),
    parts: blocks.map(channels),
    weight: elementCount(shapes.get(value)!),
  });
  const sides = [
    ...(anyOrder.inputs || connectivity.kind === 'shared-inputs'
      ? []
      : [side(node.inputs[0]!, (block) => block.inputs)]),
    ...(anyOrder.outputs || connectivity.kind === 'shared-outputs' ? [] : [side(node.id, (block) => block.outputs)]),
  ];
  return sides.length === 0 ? [] : [{ node, sides }];
}

function weightOf({ sides }: Demand): number {
  return sides.reduce((sum, { weight }) => sum + weight, 0);
}

/** One group for each input: every order of the input suits it, once the others have theirs. */
function isSplitting({ sides }: Demand): boolean {
  return sides.some(({ parts }) => parts.every((part) => part.length <= 1));
}

/** Sequences in which demands are granted, until none does better: what was denied comes first in the next one. */
const attempts = 6;

function bestGrant(demands: readonly Demand[]): Partitions {
  const groups = ({ sides }: Demand): number => sides[0]!.parts.length;
  const sequences = [
    // The dearest first keeps what costs most; coarse groups first let finer ones nest in them.
    demands.toSorted((a, b) => weightOf(b) - weightOf(a) || groups(a) - groups(b)),
    demands.toSorted((a, b) => groups(a) - groups(b) || weightOf(b) - weightOf(a)),
    [...demands],
    demands.toReversed(),
  ];
  let best: Granted | undefined;
  for (let sequence of sequences) {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const granted = grant(sequence);
      if (best === undefined || granted.moved < best.moved) best = granted;
      else if (attempt > 0) break;
      if (granted.moved === 0) return granted.partitions;
      const { denied } = granted;
      sequence = [...denied, ...sequence.filter((demand) => !denied.has(demand))];
    }
  }
  return best?.partitions ?? new Map();
}

interface Granted {
  readonly partitions: Partitions;
  /** Demands of which a side was denied. */
  readonly denied: ReadonlySet<Demand>;
  /** Values that have to be moved for them. */
  readonly moved: number;
}

function grant(demands: readonly Demand[]): Granted {
  let partitions: Partitions = new Map();
  const denied = new Set<Demand>();
  let moved = 0;
  const last = [...demands.filter((demand) => !isSplitting(demand)), ...demands.filter(isSplitting)];
  for (const demand of last) {
    const { sides } = demand;
    const all = weightOf(demand);
    // The dearer side alone, if both do not go together.
    const tries =
      sides.length === 2 ? [sides, ...sides.toSorted((a, b) => b.weight - a.weight).map((side) => [side])] : [sides];
    let kept = 0;
    for (const attempt of tries) {
      const next = satisfied(attempt, partitions);
      if (next === undefined) continue;
      partitions = next;
      kept = attempt.reduce((sum, { weight }) => sum + weight, 0);
      break;
    }
    if (kept < all) denied.add(demand);
    moved += all - kept;
  }
  return { partitions, denied, moved };
}

/** The partitions refined so that the parts of each side are runs in one common order; undefined if they do not allow it. */
function satisfied(sides: readonly Side[], partitions: Partitions): Partitions | undefined {
  const ranks: Ranks[] = [];
  for (const { layout, parts } of sides) {
    const rank = ranksOf(layout, parts, partitions);
    if (rank === undefined) return undefined;
    ranks.push(rank);
  }
  // Parts of one size side by side, so that unequal groups fall into few buckets of equal ones.
  const sizes = sides[0]!.parts.map((_, part) => sides.map(({ parts }) => parts[part]!.length).join(' '));
  const order = commonOrder(sizes, ...ranks);
  if (order === undefined) return undefined;
  let refined = partitions;
  for (const { layout, parts } of sides) {
    // Sides that share segments: refining one may have decided about the other.
    const rank = ranksOf(layout, parts, refined);
    if (rank === undefined || !isOrderIn(rank, order)) return undefined;
    refined = refineSegments(layout, parts, order, refined);
  }
  return refined;
}

/** The blocks of a value, as its channels. */
function partitionOf(layout: Layout, partitions: Partitions): OrderedPartition {
  return layout.flatMap(({ segment, channels }) =>
    blocksIn(segment, partitions).map((block) => block.map((element) => channels[element]!)),
  );
}

function blocksIn(segment: Segment, partitions: Partitions): OrderedPartition {
  const known = partitions.get(segment);
  if (known !== undefined) return known;
  const elements = identityPermutation(segment.size);
  return segment.isFixed ? elements.map((element) => [element]) : [elements];
}

function ranksOf(layout: Layout, parts: OrderedPartition, partitions: Partitions): Ranks | undefined {
  // A segment that occurs twice has one order for both.
  if (new Set(layout.map(({ segment }) => segment)).size < layout.length) return undefined;
  return ranksIn(partitionOf(layout, partitions), parts);
}

function refineSegments(
  layout: Layout,
  parts: OrderedPartition,
  order: readonly number[],
  partitions: Partitions,
): Partitions {
  const refined = new Map(partitions);
  for (const { segment, channels } of layout) {
    const place = new Map(channels.map((channel, element) => [channel, element]));
    const demand = parts.map((part) => part.flatMap((channel) => place.get(channel) ?? []));
    refined.set(segment, refine(blocksIn(segment, partitions), demand, order));
  }
  return refined;
}
