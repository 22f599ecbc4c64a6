import {
  type Graph,
  GraphBuilder,
  inferShapes,
  initialWeights,
  interpret,
  mapSource,
  type Model,
  type Node,
  type NodeOf,
} from '@dgconv/core';
import { randomFeeds } from '@dgconv/core/testing';
import test, { type ExecutionContext } from 'ava';
import { compile } from '../compile.js';

const formats = ['edge', 'onnx', 'tflite'] as const;

/** A 3×3 convolution between groups of channels that lie apart: input and output c are in group c mod `groups`. */
function stridedGroups(g: GraphBuilder, id: string, value: string, channelsOut: number, groups: number): string {
  const shuffled = g.channelShuffle(`${id}.before`, value, g.channels(value) / groups);
  const convolved = g.conv(id, shuffled, { channelsOut, kernelSize: 3, groups });
  return g.channelShuffle(`${id}.after`, convolved, groups);
}

/** Some channels of a value side by side, as importers of slices give them. */
function slice(g: GraphBuilder, id: string, value: string, start: number, size: number): string {
  const indices = Array.from({ length: size }, (_, channel) => start + channel);
  return g.takeChannels(`slice ${id}`, value, indices);
}

function withSlices(graph: Graph): Graph {
  const shapes = inferShapes(graph);
  const nodes = graph.nodes.map((node): Node => {
    if (node.op !== 'take' || !node.id.startsWith('slice ')) return node;
    const sizes = shapes.get(node.id)!;
    const starts = sizes.map(() => 0).with(-1, node.attrs.indices[0]!);
    return { ...node, op: 'slice', attrs: { starts, sizes, steps: sizes.map(() => 1) }, weights: {} };
  });
  return { ...graph, nodes };
}

/** Channel moves that are left in each format, after the network was seen to compute the same. */
function movesLeft(t: ExecutionContext, build: (g: GraphBuilder) => string): number[] {
  const g = new GraphBuilder({ name: 'test' });
  const graph = withSlices(g.build([{ name: 'y', value: build(g) }]));
  const model: Model = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const feeds = randomFeeds(graph, 2);
  const expected = interpret(model, feeds)['y']!;
  const { targets } = compile(model, { formats, target: 'x64' });
  return formats.map((format) => {
    const { y } = interpret(targets[format]!, feeds);
    t.true(y!.every((value, index) => Math.abs(value - expected[index]!) < 1e-5));
    return targets[format]!.graph.nodes.filter((node): node is NodeOf<'take'> => node.op === 'take').length;
  });
}

const dense = (g: GraphBuilder, id: string, value: string, channelsOut: number): string =>
  g.relu(`${id}.relu`, g.conv(id, value, { channelsOut, kernelSize: 1 }));

test('an order passes through a concatenation into the layers before it', (t) => {
  const moves = movesLeft(t, (g) => {
    const x = g.input('x', [1, 8, 8, 3]);
    const joined = g.concatChannels('joined', [
      stridedGroups(g, 'a', dense(g, 'a0', x, 64), 64, 2),
      stridedGroups(g, 'b', dense(g, 'b0', x, 64), 64, 2),
    ]);
    return dense(g, 'last', g.relu('relu', joined), 4);
  });
  t.deepEqual(moves, [0, 0, 0]);
});

test('the halves of a split are ordered each for itself', (t) => {
  const moves = movesLeft(t, (g) => {
    const x = dense(g, 'first', g.input('x', [1, 8, 8, 3]), 128);
    const half = (start: number): string => slice(g, `half${start}`, x, start, 64);
    const left = stridedGroups(g, 'a', half(0), 64, 2);
    const right = stridedGroups(g, 'b', half(64), 64, 4);
    return dense(g, 'last', g.concatChannels('joined', [left, right]), 4);
  });
  t.deepEqual(moves, [0, 0, 0]);
});

test('groups over the border of a concatenation are runs where they end one part and begin the next', (t) => {
  const moves = movesLeft(t, (g) => {
    const x = g.input('x', [1, 8, 8, 3]);
    const joined = g.concatChannels('joined', [dense(g, 'a', x, 48), dense(g, 'b', x, 96)]);
    // All of a and every fourth channel of b, then the rest of b.
    const isFirst = (channel: number): boolean => channel < 48 || channel % 4 === 0;
    const channels = Array.from({ length: 144 }, (_, channel) => channel);
    const shuffled = g.takeChannels('shuffle', joined, [
      ...channels.filter(isFirst),
      ...channels.filter((channel) => !isFirst(channel)),
    ]);
    return dense(g, 'last', g.conv('grouped', shuffled, { channelsOut: 144, kernelSize: 3, groups: 2 }), 4);
  });
  t.deepEqual(moves, [0, 0, 0]);
});

test('a shuffle stays between grouped convolutions whose groups cut across each other, once', (t) => {
  const moves = movesLeft(t, (g) => {
    const x = dense(g, 'first', g.input('x', [1, 8, 8, 3]), 96);
    const y = g.relu('relu', g.conv('a', x, { channelsOut: 96, kernelSize: 3, groups: 3 }));
    const depthwise = g.conv('depthwise', g.channelShuffle('shuffle', y, 32), {
      channelsOut: 96,
      kernelSize: 3,
      groups: 96,
    });
    return dense(g, 'last', g.conv('b', depthwise, { channelsOut: 96, kernelSize: 3, groups: 3 }), 4);
  });
  t.deepEqual(moves, [1, 1, 1]);
});
