import { gateCount } from '../grouping/gates.js';
import type { Connectivity } from './connectivity.js';
import { compactShape } from './compact.js';
import type { Node, NodeOf } from './graph.js';
import type { OpKind } from './ops.js';
import type { Shape } from './shape.js';
import type { Weight } from './weights.js';

/** A weight slot that a node may or must fill. */
export interface Slot {
  readonly name: string;
  readonly shape: Shape;
  readonly isOptional: boolean;
}

const required = (name: string, shape: Shape): Slot => ({ name, shape, isOptional: false });
const optional = (name: string, shape: Shape): Slot => ({ name, shape, isOptional: true });
const none = (): readonly Slot[] => [];

/** Shape of a conv2d's `kernel` slot: dense for masked and learned connectivity, else the compact kernel. */
function kernelShape(connectivity: Connectivity, kernelSize: readonly [number, number]): Shape {
  return connectivity.kind === 'masked' || connectivity.kind === 'learned'
    ? [connectivity.channelsOut, connectivity.channelsIn, ...kernelSize]
    : compactShape(connectivity, kernelSize);
}

/** The slots in which training decides the connections. */
function decidingSlots(connectivity: Connectivity): readonly Slot[] {
  if (connectivity.kind !== 'learned') return [];
  const { channelsOut, channelsIn } = connectivity;
  switch (connectivity.rule) {
    case 'dgconv':
      return [required('gates', [gateCount(channelsOut, channelsIn)])];
    case 'flgc':
      return [
        required('inputAssignment', [channelsIn, connectivity.groups]),
        required('outputAssignment', [channelsOut, connectivity.groups]),
      ];
    case 'condense':
      return [required('mask', [channelsOut, channelsIn, 1, 1])];
  }
}

const rules: { readonly [K in OpKind]: (node: NodeOf<K>) => readonly Slot[] } = {
  conv2d: ({ attrs: { connectivity, kernelSize, pre } }) => [
    required('kernel', kernelShape(connectivity, kernelSize)),
    optional('bias', [connectivity.channelsOut]),
    ...(pre === 'affine-relu'
      ? [required('preScale', [connectivity.channelsIn]), required('preShift', [connectivity.channelsIn])]
      : []),
    ...decidingSlots(connectivity),
  ],
  'conv2d-transpose': ({ attrs }) => [
    required('kernel', [attrs.channelsIn, attrs.channelsOut / attrs.groups, ...attrs.kernelSize]),
    optional('bias', [attrs.channelsOut]),
  ],
  dense: ({ attrs }) => [
    required('kernel', [attrs.channelsOut, attrs.channelsIn]),
    optional('bias', [attrs.channelsOut]),
  ],
  'batch-norm': ({ attrs: { channels } }) => [
    optional('gamma', [channels]),
    optional('beta', [channels]),
    required('mean', [channels]),
    required('variance', [channels]),
  ],
  affine: ({ attrs: { channels } }) => [required('scale', [channels]), required('shift', [channels])],
  prelu: ({ attrs: { channels } }) => [required('slope', [channels])],
  constant: ({ attrs: { shape } }) => [required('value', shape)],
  matmul: none,
  activation: none,
  binary: none,
  softmax: none,
  'max-pool': none,
  'average-pool': none,
  reduce: none,
  concat: none,
  slice: none,
  pad: none,
  resize: none,
  transpose: none,
  reshape: none,
  take: none,
  identity: none,
  dropout: none,
};

/** The slots that a node has, with the shape that each demands; any other slot is illegal. */
export function slotsOf(node: Node): readonly Slot[] {
  return (rules[node.op] as (node: Node) => readonly Slot[])(node);
}

/** Shape that each of a node's slots demands, filled or not. */
export function slotShapes(node: Node): Readonly<Record<string, Shape>> {
  return Object.fromEntries(slotsOf(node).map(({ name, shape }) => [name, shape]));
}

/** The filled slots of a node by name. */
export function filledSlots(node: Node): [string, Weight][] {
  return Object.entries(node.weights as Record<string, Weight | undefined>).filter(
    (entry): entry is [string, Weight] => entry[1] !== undefined,
  );
}
