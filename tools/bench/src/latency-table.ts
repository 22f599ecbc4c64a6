import { emitters } from '@dgconv/compiler';
import {
  contiguousGrouping,
  type ConvolutionShape,
  convolutionKey,
  convolutionShapes,
  type Graph,
  greatestCommonDivisor,
  initialWeights,
  type LatencyEntry,
  type LatencyTable,
  mapSource,
  type NetworkLatency,
} from '@dgconv/core';
import { EdgeSession } from '@dgconv/runtime-edge';
import { inputsOf } from './inputs.js';
import { interleave, median } from './interleave.js';
import { cpuName } from './rows.js';

/** A network to measure: the graph whose convolutions go into the table, and the same compiled. */
export interface MeasuredNetwork {
  readonly graph: Graph;
  /** A `.edge` file. */
  readonly bytes: Uint8Array;
}

const divisors = (value: number): number[] =>
  Array.from({ length: value }, (_, index) => index + 1).filter((groups) => value % groups === 0);

/** One convolution with bias and ReLU, with random weights. */
function layer({ channelsIn, channelsOut, height, width, ...window }: ConvolutionShape, groups: number): Uint8Array {
  const { kernelSize, strides, dilations, padding } = window;
  const graph: Graph = {
    formatVersion: '1.0',
    inputs: [{ name: 'input', shape: [1, height, width, channelsIn] }],
    nodes: [
      {
        id: 'conv',
        op: 'conv2d',
        inputs: ['input'],
        attrs: {
          ...{ kernelSize, strides, dilations, padding },
          connectivity: contiguousGrouping(channelsOut, channelsIn, groups),
          pre: 'none',
          activation: { function: 'relu' },
        },
        weights: { kernel: { kind: 'stored', name: 'kernel' }, bias: { kind: 'stored', name: 'bias' } },
        origin: ['conv'],
      },
    ],
    outputs: [{ name: 'output', value: 'conv' }],
    metadata: { name: 'layer' },
  };
  return emitters.edge({ graph, weights: mapSource(initialWeights(graph, 1)) });
}

/** The number of groups that a convolution has as it stands; null where it has none of equal size. */
function groupsOf({ node }: ReturnType<typeof convolutionShapes>[number]): number | null {
  const { connectivity } = node.attrs;
  return connectivity.kind === 'dense' || connectivity.kind === 'equal' ? connectivity.groups : null;
}

/** Runs of a turn: those that fetch back what others have pushed out of the caches, and those that are timed. */
const turn = { untimed: 2, timed: 5 } as const;

/** Median milliseconds of the kernels of `.edge` files, without what a call costs; they run in turn. */
async function kernelTimes(
  files: readonly Uint8Array[],
  options: { readonly threads: number; readonly rounds: number },
) {
  const sessions = await Promise.all(files.map((bytes) => EdgeSession.load(bytes, { threads: options.threads })));
  try {
    const subjects = sessions.map((session) => ({ session, feeds: inputsOf(session), samples: [] as number[] }));
    for (let round = 0; round < options.rounds; round++) {
      for (const { session, feeds, samples } of round % 2 === 0 ? subjects : subjects.toReversed()) {
        for (let run = 0; run < turn.untimed; run++) session.run(feeds);
        for (let run = 0; run < turn.timed; run++) {
          samples.push(session.profile(feeds).reduce((sum, { ms }) => sum + ms, 0));
        }
      }
    }
    return subjects.map(({ samples }) => median(samples.sort((a, b) => a - b)));
  } finally {
    for (const session of sessions) session.dispose();
  }
}

/** Median milliseconds of a run of a `.edge` file. */
async function runTime(bytes: Uint8Array, { threads, rounds }: { readonly threads: number; readonly rounds: number }) {
  const session = await EdgeSession.load(bytes, { threads });
  try {
    const feeds = inputsOf(session);
    const subject = { name: 'network', run: () => void session.run(feeds) };
    const [timing] = await interleave([subject], { warmup: 2, rounds });
    return median(timing!.sortedMs);
  } finally {
    session.dispose();
  }
}

/** Measures networks whole, and every convolution of theirs with every number of groups that its channels allow, in turn. */
export async function measureLatencies(
  networks: readonly MeasuredNetwork[],
  options: {
    readonly threads: number;
    readonly rounds: number;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<LatencyTable> {
  const convolutions = networks.map(({ graph }) => convolutionShapes(graph));
  const shapes = new Map(convolutions.flat().map(({ shape }) => [convolutionKey(shape), shape]));
  const total = shapes.size + networks.length;
  const entries: LatencyEntry[] = [];
  const times = new Map<string, number>();
  let done = 0;
  for (const [key, shape] of shapes) {
    const candidates = divisors(greatestCommonDivisor(shape.channelsIn, shape.channelsOut));
    const medians = await kernelTimes(
      candidates.map((groups) => layer(shape, groups)),
      options,
    );
    for (const [at, groups] of candidates.entries()) {
      entries.push({ ...shape, groups, ms: medians[at]! });
      times.set(`${key} ${groups}`, medians[at]!);
    }
    options.onProgress?.(++done, total);
  }
  const whole = new Map<string, NetworkLatency>();
  for (const [at, { graph, bytes }] of networks.entries()) {
    const ms = await runTime(bytes, options);
    const measured = convolutions[at]!.reduce(
      (sum, convolution) => sum + (times.get(`${convolutionKey(convolution.shape)} ${groupsOf(convolution)}`) ?? 0),
      0,
    );
    whole.set(graph.metadata.name, { name: graph.metadata.name, ms, restMs: Math.max(ms - measured, 0) });
    options.onProgress?.(++done, total);
  }
  return { cpu: cpuName(), threads: options.threads, networks: [...whole.values()], entries };
}
