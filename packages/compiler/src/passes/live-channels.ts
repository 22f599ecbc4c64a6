import {
  type Graph,
  identityPermutation,
  inferShapes,
  type Node,
  type NodeOf,
  type OpKind,
  type Shape,
  supportsOf,
} from '@dgconv/core';
import type { Constants } from './constant-channels.js';

/** Channels of each value that some output of the graph depends on. */
export type LiveChannels = ReadonlyMap<string, readonly boolean[]>;

/**
 * Finds the channels that are needed, from the outputs backwards. Ops that treat every channel alike have to keep the same ones on
 * both sides.
 * @param foldable - by layer, the inputs that it need not read (see `foldableConstants`).
 * @param pinned - nodes whose input and output keep all their channels.
 */
export function liveChannels(
  graph: Graph,
  foldable: ReadonlyMap<string, Constants>,
  pinned: ReadonlySet<string>,
): LiveChannels {
  const shapes = inferShapes(graph);
  const live = new Map([...shapes].map(([value, shape]) => [value, new Array<boolean>(shape.at(-1) ?? 1).fill(false)]));
  let hasChanged = true;
  const need = (value: string, isNeeded: (channel: number) => boolean): void => {
    const channels = live.get(value)!;
    channels.forEach((already, channel) => {
      if (already || !isNeeded(channel)) return;
      channels[channel] = true;
      hasChanged = true;
    });
  };
  const needAll = (value: string): void => need(value, () => true);
  for (const { name } of graph.inputs) needAll(name);
  for (const { value } of graph.outputs) needAll(value);
  while (hasChanged) {
    hasChanged = false;
    for (const node of graph.nodes.toReversed()) {
      const output = live.get(node.id)!;
      // A value has at least one channel.
      if (!output.includes(true)) need(node.id, (channel) => channel === 0);
      const context: Context = {
        node,
        channelsOf: (value) => live.get(value)!,
        shapeOf: (value) => shapes.get(value)!,
        constants: foldable.get(node.id),
        need,
      };
      // The table is indexed by the op of the same node that the rule gets.
      const rule = rules[node.op] as ((node: Node, context: Context) => boolean) | undefined;
      if (!pinned.has(node.id) && rule?.(node, context) === true) continue;
      for (const value of [node.id, ...node.inputs]) needAll(value);
    }
  }
  return live;
}

interface Context {
  readonly node: Node;
  readonly constants: Constants | undefined;
  channelsOf(value: string): readonly boolean[];
  shapeOf(value: string): Shape;
  need(value: string, isNeeded: (channel: number) => boolean): void;
}

/** The same channels of the node and of the given inputs, if they have equally many; one channel stands for all. */
function tie(inputs: readonly string[], { node, channelsOf, need }: Context): void {
  const output = channelsOf(node.id);
  for (const input of inputs) {
    const channels = channelsOf(input);
    if (channels.length !== output.length) {
      need(input, () => true);
      continue;
    }
    need(input, (channel) => output[channel]!);
    need(node.id, (channel) => channels[channel]!);
  }
}

const perChannel = (node: Node, context: Context): boolean => {
  tie(node.inputs, context);
  return true;
};

/**
 * What each op needs of its inputs; false, or no rule: it needs and keeps every channel. `restrictChannels` has a rule for each op
 * here whose attributes or weights depend on the channels.
 */
const rules: { readonly [K in OpKind]?: (node: NodeOf<K>, context: Context) => boolean } = {
  conv2d: (node, context) => {
    const { connectivity } = node.attrs;
    if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return false;
    const supports = supportsOf(connectivity);
    // Outputs of one group share one array.
    const reading = new Set(supports.filter((_, output) => context.channelsOf(node.id)[output]));
    const used = new Set([...reading].flat());
    const { constants } = context;
    context.need(node.inputs[0]!, (channel) => used.has(channel) && !isConstant(constants, channel));
    tie(node.inputs.slice(1), context);
    return true;
  },
  dense: (node, { constants, need }) => {
    need(node.inputs[0]!, (channel) => !isConstant(constants, channel));
    return true;
  },
  affine: perChannel,
  activation: perChannel,
  prelu: perChannel,
  binary: perChannel,
  'max-pool': perChannel,
  'average-pool': perChannel,
  resize: perChannel,
  identity: perChannel,
  dropout: perChannel,
  constant: () => true,
  reduce: (node, context) =>
    !node.attrs.axes.includes(context.shapeOf(node.inputs[0]!).length - 1) && perChannel(node, context),
  reshape: (node, context) =>
    context.shapeOf(node.inputs[0]!).at(-1) === context.shapeOf(node.id).at(-1) && perChannel(node, context),
  pad: (node, context) => node.attrs.before.at(-1) === 0 && node.attrs.after.at(-1) === 0 && perChannel(node, context),
  concat: (node, { channelsOf, shapeOf, need }) => {
    if (node.attrs.axis !== shapeOf(node.id).length - 1) return false;
    const output = channelsOf(node.id);
    let start = 0;
    for (const input of node.inputs) {
      const first = start;
      const channels = channelsOf(input);
      need(input, (channel) => output[first + channel]!);
      need(node.id, (channel) => channels[channel - first] ?? false);
      start += channels.length;
    }
    return true;
  },
  take: (node, { channelsOf, shapeOf, need }) => {
    if (node.attrs.axis !== shapeOf(node.id).length - 1) return false;
    const output = channelsOf(node.id);
    const used = new Set(node.attrs.indices.filter((_, channel) => output[channel]));
    need(node.inputs[0]!, (channel) => used.has(channel));
    return true;
  },
};

function isConstant(constants: Constants | undefined, channel: number): boolean {
  return constants !== undefined && !Number.isNaN(constants[channel]!);
}

/** The channels of a value that stay, ascending. */
export function keptChannels(live: LiveChannels, value: string): number[] {
  const channels = live.get(value)!;
  return identityPermutation(channels.length).filter((channel) => channels[channel]);
}
