import { type Graph, inferShapes, type Node } from '@dgconv/core';
import { layerAbove, layerBelow } from './passes/layer-ends.js';
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
  const [input] = node.inputs as [string];
  const before = endAt(layerAbove(input, nodes), input);
  const after = endAt(layerBelow(node.id, uses), 'the output');
  const names = [before, after].map((end) => `${end.name}${end.groups > 1 ? ` (${end.groups} groups)` : ''}`);
  if (before.groups > 1 && after.groups > 1) {
    return `${names[1]} and ${names[0]} put the ${'indices' in node.attrs ? node.attrs.indices.length : 0} channels between them into groups that cut across each other`;
  }
  const which = isImported ? 'it came with the network, and ' : '';
  return `${which}the order of ${names[0]} is not the one that ${names[1]} needs: other layers or the borders of the network decide about both`;
}

function endAt(node: Node | undefined, border: string): End {
  if (node === undefined) return { name: border, groups: 1 };
  const { id } = node;
  return node.op === 'conv2d' && 'groups' in node.attrs.connectivity
    ? { name: id, groups: node.attrs.connectivity.groups }
    : { name: id, groups: 1 };
}

/** A layer at one end of the values that share an order, or a border of the network. */
interface End {
  readonly name: string;
  /** 1 where it takes channels in any order. */
  readonly groups: number;
}
