import {
  compactWeight,
  expandWeight,
  type Graph,
  type Grouping,
  inferShapes,
  maskOf,
  type Node,
  type NodeOf,
  type OpKind,
  recogniseGrouping,
  type Shape,
  takeWeight,
  type Weight,
} from '@dgconv/core';
import { type Constants, withConstants } from './constant-channels.js';
import { keptChannels, type LiveChannels } from './live-channels.js';

/**
 * The network with only the live channels of each value; what constant inputs that go contributed is in the bias.
 * @param live - closed under what each op needs (`liveChannels`).
 */
export function restrictChannels(graph: Graph, live: LiveChannels, foldable: ReadonlyMap<string, Constants>): Graph {
  const shapes = inferShapes(graph);
  const nodes = graph.nodes.map((node): Node => {
    // The table is indexed by the op of the same node that the rule gets.
    const rule = rules[node.op] as ((node: Node, context: Context) => Node) | undefined;
    if (rule === undefined) return node;
    return rule(node, {
      kept: (value) => keptChannels(live, value),
      shapeOf: (value) => shapes.get(value)!,
      constants: foldable.get(node.id),
    });
  });
  return { ...graph, nodes };
}

interface Context {
  kept(value: string): readonly number[];
  shapeOf(value: string): Shape;
  readonly constants: Constants | undefined;
}

/** The grouping of a convolution with some of its channels. */
export function restrictedGrouping(
  grouping: Grouping,
  outputs: readonly number[],
  inputs: readonly number[],
): Grouping {
  const { channelsOut, channelsIn } = grouping;
  if (outputs.length === channelsOut && inputs.length === channelsIn) return grouping;
  if (grouping.kind === 'dense') return { ...grouping, channelsOut: outputs.length, channelsIn: inputs.length };
  return recogniseGrouping(maskOf(grouping).reorder(outputs, inputs));
}

/** Constants of the inputs that are not kept; NaN for the others. */
function removedConstants(constants: Constants | undefined, kept: readonly number[], size: number): Constants {
  const removed = constants?.slice() ?? new Float64Array(size).fill(NaN);
  for (const channel of kept) removed[channel] = NaN;
  return removed;
}

function vectors<Names extends string>(
  node: Node,
  names: readonly Names[],
  kept: readonly number[],
  size: number,
): Partial<Record<Names, Weight>> {
  const slots = node.weights as Partial<Record<string, Weight>>;
  return Object.fromEntries(
    names.flatMap((name) => (slots[name] === undefined ? [] : [[name, takeWeight(slots[name], 0, kept, size)]])),
  ) as Partial<Record<Names, Weight>>;
}

const rules: { readonly [K in OpKind]?: (node: NodeOf<K>, context: Context) => Node } = {
  conv2d: (node, { kept, constants }) => {
    const { connectivity } = node.attrs;
    if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return node;
    const [outputs, inputs] = [kept(node.id), kept(node.inputs[0]!)];
    const { channelsOut, channelsIn } = connectivity;
    const grouping = restrictedGrouping(connectivity, outputs, inputs);
    if (grouping === connectivity) return node;
    const dense = expandWeight(node.weights.kernel, connectivity);
    const kernel = takeWeight(takeWeight(dense, 0, outputs, channelsOut), 1, inputs, channelsIn);
    const removed = removedConstants(constants, inputs, channelsIn);
    const bias = withConstants(node.weights.bias, channelsOut, dense, removed);
    return {
      ...node,
      attrs: { ...node.attrs, connectivity: grouping },
      weights: {
        kernel: compactWeight(kernel, grouping),
        ...(bias === undefined ? {} : { bias: takeWeight(bias, 0, outputs, channelsOut) }),
        ...vectors(node, ['preScale', 'preShift'], inputs, channelsIn),
      },
    };
  },
  dense: (node, { kept, constants }) => {
    const { channelsIn, channelsOut } = node.attrs;
    const [outputs, inputs] = [kept(node.id), kept(node.inputs[0]!)];
    const removed = removedConstants(constants, inputs, channelsIn);
    const bias = withConstants(node.weights.bias, channelsOut, node.weights.kernel, removed);
    const rows = takeWeight(node.weights.kernel, 0, outputs, channelsOut);
    return {
      ...node,
      attrs: { ...node.attrs, channelsIn: inputs.length, channelsOut: outputs.length },
      weights: {
        kernel: takeWeight(rows, 1, inputs, channelsIn),
        ...(bias === undefined ? {} : { bias: takeWeight(bias, 0, outputs, channelsOut) }),
      },
    };
  },
  affine: (node, { kept }) => {
    const [channels, size] = [kept(node.id), node.attrs.channels];
    const { scale, shift } = node.weights;
    return {
      ...node,
      attrs: { channels: channels.length },
      weights: { scale: takeWeight(scale, 0, channels, size), shift: takeWeight(shift, 0, channels, size) },
    };
  },
  prelu: (node, { kept }) => {
    const channels = kept(node.id);
    const slope = takeWeight(node.weights.slope, 0, channels, node.attrs.channels);
    return { ...node, attrs: { channels: channels.length }, weights: { slope } };
  },
  constant: (node, { kept, shapeOf }) => {
    const { shape } = node.attrs;
    if (shape.length === 0) return node;
    const channels = kept(node.id);
    const value = takeWeight(node.weights.value, shape.length - 1, channels, shapeOf(node.id).at(-1)!);
    return { ...node, attrs: { shape: shape.with(-1, channels.length) }, weights: { value } };
  },
  reshape: (node, { kept, shapeOf }) => {
    const channels = kept(node.id);
    return channels.length === (shapeOf(node.id).at(-1) ?? 1)
      ? node
      : { ...node, attrs: { shape: node.attrs.shape.with(-1, channels.length) } };
  },
  take: (node, { kept, shapeOf }) => {
    const [input] = node.inputs as [string];
    if (node.attrs.axis !== shapeOf(input).length - 1) return node;
    const place = new Map(kept(input).map((channel, position) => [channel, position]));
    const indices = kept(node.id).map((channel) => place.get(node.attrs.indices[channel]!)!);
    return { ...node, attrs: { ...node.attrs, indices } };
  },
};
