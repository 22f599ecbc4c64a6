import { type Graph, inferShapes, type Node, type OpKind } from '@dgconv/core';
import { type Uses, usesOf } from './passes/rewrite.js';

/** A channel move that stayed. */
export interface Shuffle {
  readonly node: string;
  /** Layers of the source network that it belongs to. */
  readonly origin: readonly string[];
  readonly channels: number;
  /** Why it could not be moved into the weights of a neighbour. */
  readonly reason: string;
}

/** Nodes of a compiled network that only move channels; `source` tells which of them came with it. */
export function shufflesOf(graph: Graph, source: Graph): Shuffle[] {
  const shapes = inferShapes(graph);
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const imported = new Set(source.nodes.map(({ id }) => id));
  const uses = usesOf(graph);
  return graph.nodes.flatMap((node) => {
    if (node.op !== 'take' || node.attrs.axis !== shapes.get(node.id)!.length - 1) return [];
    const [input] = node.inputs as [string];
    const near = [...(nodes.get(input)?.origin ?? []), ...uses.of(node.id).flatMap(({ origin }) => origin)];
    // A move that was put between layers belongs to whom it serves.
    const origin = node.origin.length > 0 ? node.origin : [...new Set(near)];
    const { indices } = node.attrs;
    const reason =
      new Set(indices).size < indices.length || indices.length !== shapes.get(input)!.at(-1)
        ? gatherReason(node, uses)
        : shuffleReason(node, nodes, uses, imported.has(node.id));
    return [{ node: node.id, origin, channels: indices.length, reason }];
  });
}

function gatherReason(node: Node, uses: Uses): string {
  const readers = uses.of(node.id).map(({ id }) => id);
  return `the groups of ${readers.join(' and ') || 'the output'} share inputs, so each gathers its own`;
}

function shuffleReason(node: Node, nodes: ReadonlyMap<string, Node>, uses: Uses, isImported: boolean): string {
  const before = above(node.inputs[0]!, nodes);
  const after = below(node.id, uses);
  const names = [before, after].map((end) => `${end.name}${end.groups > 1 ? ` (${end.groups} groups)` : ''}`);
  if (before.groups > 1 && after.groups > 1) {
    return `${names[1]} and ${names[0]} put the ${'indices' in node.attrs ? node.attrs.indices.length : 0} channels between them into groups that cut across each other`;
  }
  const which = isImported ? 'it came with the network, and ' : '';
  return `${which}the order of ${names[0]} is not the one that ${names[1]} needs: other layers or the borders of the network decide about both`;
}

/** A layer at one end of the values that share an order, or a border of the network. */
interface End {
  readonly name: string;
  /** 1 where it takes channels in any order. */
  readonly groups: number;
}

/** Ops that have the order of what they read. */
const passing: ReadonlySet<OpKind> = new Set([
  'batch-norm',
  'affine',
  'activation',
  'prelu',
  'max-pool',
  'average-pool',
  'resize',
  'pad',
]);

function isPassing(node: Node): boolean {
  if (node.op !== 'conv2d') return passing.has(node.op);
  const { connectivity } = node.attrs;
  return connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
}

function endAt(node: Node): End {
  const { id } = node;
  return node.op === 'conv2d' && 'groups' in node.attrs.connectivity
    ? { name: id, groups: node.attrs.connectivity.groups }
    : { name: id, groups: 1 };
}

function above(value: string, nodes: ReadonlyMap<string, Node>): End {
  const node = nodes.get(value);
  if (node === undefined) return { name: value, groups: 1 };
  return isPassing(node) ? above(node.inputs[0]!, nodes) : endAt(node);
}

function below(value: string, uses: Uses): End {
  const [reader] = uses.of(value);
  if (reader === undefined) return { name: 'the output', groups: 1 };
  return isPassing(reader) ? below(reader.id, uses) : endAt(reader);
}
