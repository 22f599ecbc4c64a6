import { emitters } from '@dgconv/compiler';
import {
  type Graph,
  GraphBuilder,
  greatestCommonDivisor,
  inferShapes,
  initialWeights,
  mapSource,
  type NodeOf,
} from '@dgconv/core';
import { EdgeSession } from '@dgconv/runtime-edge';
import { interleave, median } from './interleave.js';
import { cpuName } from './rows.js';

/** Time of one convolution with one number of groups on the machine where the table was made. */
export interface LatencyEntry {
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Input pixels. */
  readonly height: number;
  readonly width: number;
  readonly kernelSize: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly groups: number;
  readonly ms: number;
}

/** What a convolution costs in milliseconds, by its number of groups: `dgconv bench FILE --latency-table OUT.json`. */
export interface LatencyTable {
  readonly cpu: string;
  readonly threads: number;
  readonly entries: readonly LatencyEntry[];
}

type Shape = Omit<LatencyEntry, 'groups' | 'ms'>;

/** The different spatial convolutions of a network, by shape. */
function shapesOf(graph: Graph): Shape[] {
  const shapes = inferShapes(graph);
  const found = new Map<string, Shape>();
  for (const node of graph.nodes) {
    if (node.op !== 'conv2d') continue;
    const { attrs, inputs }: NodeOf<'conv2d'> = node;
    const [, height, width] = shapes.get(inputs[0]!)!;
    const shape: Shape = {
      channelsIn: attrs.connectivity.channelsIn,
      channelsOut: attrs.connectivity.channelsOut,
      height: height!,
      width: width!,
      kernelSize: attrs.kernelSize,
      strides: attrs.strides,
    };
    if (shape.kernelSize[0] === shape.kernelSize[1] && shape.strides[0] === shape.strides[1])
      found.set(JSON.stringify(shape), shape);
  }
  return [...found.values()];
}

const divisors = (value: number): number[] =>
  Array.from({ length: value }, (_, index) => index + 1).filter((groups) => value % groups === 0);

/** One convolution with bias and ReLU, with random weights. */
function layer({ channelsIn, channelsOut, height, width, kernelSize, strides }: Shape, groups: number): Uint8Array {
  const builder = new GraphBuilder({ name: 'layer' });
  const input = builder.input('input', [1, height, width, channelsIn]);
  const value = builder.conv('conv', input, {
    channelsOut,
    kernelSize: kernelSize[0],
    stride: strides[0],
    groups,
    bias: true,
  });
  const graph = builder.build([{ name: 'output', value }]);
  return emitters.edge({ graph, weights: mapSource(initialWeights(graph, 1)) });
}

/** Measures every convolution of the networks with every number of groups that its channels allow, in turn. */
export async function measureLatencies(
  graphs: readonly Graph[],
  options: {
    readonly threads: number;
    readonly rounds: number;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<LatencyTable> {
  const shapes = [...new Map(graphs.flatMap(shapesOf).map((shape) => [JSON.stringify(shape), shape])).values()];
  const entries: LatencyEntry[] = [];
  for (const [index, shape] of shapes.entries()) {
    const candidates = divisors(greatestCommonDivisor(shape.channelsIn, shape.channelsOut));
    const sessions = await Promise.all(
      candidates.map((groups) => EdgeSession.load(layer(shape, groups), { threads: options.threads })),
    );
    const feeds = { input: new Float32Array(shape.height * shape.width * shape.channelsIn).fill(0.5) };
    const timings = await interleave(
      sessions.map((session, at) => ({ name: String(candidates[at]), run: () => void session.run(feeds) })),
      { warmup: 2, rounds: options.rounds },
    );
    for (const session of sessions) session.dispose();
    timings.forEach(({ sortedMs }, at) => entries.push({ ...shape, groups: candidates[at]!, ms: median(sortedMs) }));
    options.onProgress?.(index + 1, shapes.length);
  }
  return { cpu: cpuName(), threads: options.threads, entries };
}
