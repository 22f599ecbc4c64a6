import {
  composePermutations,
  type Graph,
  identityPermutation,
  inferShapes,
  invertPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { isMergeOfLast } from './apply-orders.js';
import { ChannelSegments, concatenated, inNumbersOf, type Layout } from './channel-segments.js';

/** The segments of every value of a graph: what `applyOrders` can store alike without moving anything. */
export function channelLayouts(graph: Graph): ChannelSegments {
  const shapes = inferShapes(graph);
  const segments = new ChannelSegments();
  const channelsOf = (value: string): number => shapes.get(value)!.at(-1) ?? 1;
  for (const { name } of graph.inputs) {
    segments.add(name, [segments.fresh(channelsOf(name))]);
    segments.fix(name);
  }
  for (const node of graph.nodes) {
    const [input] = node.inputs;
    const context: Context = {
      segments,
      channels: channelsOf(node.id),
      shapeOf: (value) => shapes.get(value)!,
      outputShape: shapes.get(node.id)!,
    };
    // The table is indexed by the op of the same node that the rule gets.
    const layout = (rules[node.op] as (node: Node, context: Context) => Layout | undefined)(node, context);
    segments.add(node.id, layout ?? [segments.fresh(channelsOf(node.id))]);
    if (layout === undefined && input !== undefined) for (const value of [node.id, ...node.inputs]) segments.fix(value);
    for (const value of tiedInputs[node.op]?.(node) ?? []) {
      if (channelsOf(value) === channelsOf(node.id))
        segments.tie(node.id, value, identityPermutation(channelsOf(value)));
    }
  }
  for (const { value } of graph.outputs) segments.fix(value);
  return segments;
}

interface Context {
  readonly segments: ChannelSegments;
  /** Of the node's own value. */
  readonly channels: number;
  readonly outputShape: Shape;
  shapeOf(value: string): Shape;
}

/** Further values whose channels are the node's, where there are equally many: the residual, the other operand, what is joined. */
const tiedInputs: { readonly [K in OpKind]?: (node: Node) => readonly string[] } = {
  conv2d: ({ inputs }) => inputs.slice(1),
  binary: ({ inputs }) => inputs,
  matmul: ({ inputs }) => inputs.slice(1),
  concat: ({ inputs }) => inputs,
};

/** The layout of a node's value, made of its inputs'; undefined if the op passes no order. */
type LayoutRule<K extends OpKind> = (node: NodeOf<K>, context: Context) => Layout | undefined;

const free = (_: Node, { segments, channels }: Context): Layout => [segments.fresh(channels)];
const perChannel = (node: Node, context: Context): Layout | undefined => {
  const [input] = node.inputs as [string];
  return context.shapeOf(input).at(-1) === context.channels ? context.segments.of(input) : free(node, context);
};

/** The input's channels in another order: channel c of the value is channel `map[c]` of the input. */
function permuted(input: string, map: Permutation, { segments }: Context): Layout {
  return inNumbersOf(segments.of(input), invertPermutation(map));
}

const rules: { readonly [K in OpKind]: LayoutRule<K> } = {
  conv2d: (node, context) => {
    const { connectivity } = node.attrs;
    const isDepthwise = connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
    if (!isDepthwise || connectivity.channelsOut !== connectivity.channelsIn) return free(node, context);
    // Output outputOrder[g] is input inputOrder[g].
    const map = composePermutations(connectivity.inputOrder, invertPermutation(connectivity.outputOrder));
    return permuted(node.inputs[0]!, map, context);
  },
  'conv2d-transpose': (node, context) => (node.attrs.groups > 1 ? undefined : free(node, context)),
  dense: free,
  matmul: (node, context) => {
    context.segments.fix(node.inputs[0]!);
    return free(node, context);
  },
  'batch-norm': perChannel,
  affine: perChannel,
  activation: perChannel,
  prelu: perChannel,
  binary: (node, context) => {
    const whole = node.inputs.find((input) => context.shapeOf(input).at(-1) === context.channels);
    return whole === undefined ? free(node, context) : context.segments.of(whole);
  },
  constant: free,
  softmax: perChannel,
  'max-pool': perChannel,
  'average-pool': perChannel,
  reduce: (node, context) =>
    node.attrs.axes.includes(context.shapeOf(node.inputs[0]!).length - 1) ? undefined : perChannel(node, context),
  concat: (node, context) => {
    const { segments, outputShape } = context;
    if (node.attrs.axis !== outputShape.length - 1) return perChannel(node, context);
    return concatenated(node.inputs.map((input) => segments.of(input)));
  },
  slice: (node, context) => {
    const [input] = node.inputs as [string];
    const last = context.outputShape.length - 1;
    const { starts, sizes, steps } = node.attrs;
    if (sizes[last] === context.shapeOf(input)[last]) return perChannel(node, context);
    if (steps[last] !== 1) return undefined;
    return context.segments.cut(input, starts[last]!, sizes[last]!);
  },
  pad: (node, context) => {
    const [before, after] = [node.attrs.before.at(-1)!, node.attrs.after.at(-1)!];
    if (before === 0 && after === 0) return perChannel(node, context);
    if (node.attrs.mode !== 'constant') return undefined;
    const { segments } = context;
    const border = (size: number): Layout => (size === 0 ? [] : [segments.fresh(size, 0, true)]);
    return concatenated([border(before), segments.of(node.inputs[0]!), border(after)]);
  },
  resize: perChannel,
  transpose: (node, context) =>
    node.attrs.permutation.at(-1) === node.attrs.permutation.length - 1 ? perChannel(node, context) : undefined,
  reshape: (node, context) => {
    const { shapeOf, outputShape, channels, segments } = context;
    const [input] = node.inputs as [string];
    const size = shapeOf(input).at(-1) ?? 1;
    if (size === channels) return perChannel(node, context);
    if (!isMergeOfLast(shapeOf(input), outputShape)) return undefined;
    return concatenated(new Array<Layout>(channels / size).fill(segments.of(input)));
  },
  take: (node, context) => {
    const [input] = node.inputs as [string];
    if (node.attrs.axis !== context.shapeOf(input).length - 1) return perChannel(node, context);
    const { indices } = node.attrs;
    const isPermutation = indices.length === context.shapeOf(input).at(-1) && new Set(indices).size === indices.length;
    return isPermutation ? permuted(input, indices, context) : free(node, context);
  },
  identity: perChannel,
  dropout: perChannel,
};
