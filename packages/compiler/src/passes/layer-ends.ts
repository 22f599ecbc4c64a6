import type { Node, OpKind } from '@dgconv/core';
import type { Uses } from './rewrite.js';

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
  'take',
  'identity',
  'dropout',
]);

function isPassing(node: Node): boolean {
  if (node.op !== 'conv2d') return passing.has(node.op);
  const { connectivity } = node.attrs;
  return connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
}

/** What gives a value its channel order: the node above it that does not only pass it on; undefined: an input of the network. */
export function layerAbove(value: string, nodes: ReadonlyMap<string, Node>): Node | undefined {
  const node = nodes.get(value);
  return node !== undefined && isPassing(node) ? layerAbove(node.inputs[0]!, nodes) : node;
}

/** What reads a value in its order: the first node below it that does not only pass it on; undefined: an output of the network. */
export function layerBelow(value: string, uses: Uses): Node | undefined {
  const [reader] = uses.of(value);
  return reader !== undefined && isPassing(reader) ? layerBelow(reader.id, uses) : reader;
}
