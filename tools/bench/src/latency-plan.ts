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

/** A network to measure: the graph whose convolutions go into the table, and the same compiled. */
export interface MeasuredNetwork {
  readonly graph: Graph;
  /** A `.edge` file. */
  readonly bytes: Uint8Array;
}

/** One convolution in one number of groups. */
export type LatencyCase = Omit<LatencyEntry, 'ms'>;

/** What has to be timed for a latency table. */
export interface LatencyPlan {
  /** Those of one shape stand together. */
  readonly cases: readonly LatencyCase[];
  /** Networks by name, each with the cases that its convolutions are as they stand. */
  readonly networks: readonly { readonly name: string; readonly cases: readonly number[] }[];
}

/** Every different convolution of the networks in every number of groups that its channels allow, and the networks whole. */
export function planLatencies(graphs: readonly Graph[]): LatencyPlan {
  const convolutions = graphs.map(convolutionShapes);
  const shapes = new Map(convolutions.flat().map(({ shape }) => [convolutionKey(shape), shape]));
  const cases = [...shapes.values()].flatMap((shape) =>
    divisors(greatestCommonDivisor(shape.channelsIn, shape.channelsOut)).map((groups) => ({ ...shape, groups })),
  );
  const places = new Map(cases.map((latencyCase, at) => [caseKey(latencyCase, latencyCase.groups), at]));
  const networks = graphs.map(({ metadata }, index) => ({
    name: metadata.name,
    cases: convolutions[index]!.flatMap((convolution) => {
      const groups = groupsOf(convolution);
      return groups === null ? [] : [places.get(caseKey(convolution.shape, groups))!];
    }),
  }));
  return { cases, networks };
}

const caseKey = (shape: ConvolutionShape, groups: number): string => `${convolutionKey(shape)} ${groups}`;

const divisors = (value: number): number[] =>
  Array.from({ length: value }, (_, index) => index + 1).filter((groups) => value % groups === 0);

/** The number of groups that a convolution has as it stands; null where it has none of equal size. */
function groupsOf({ node }: ReturnType<typeof convolutionShapes>[number]): number | null {
  const { connectivity } = node.attrs;
  return connectivity.kind === 'dense' || connectivity.kind === 'equal' ? connectivity.groups : null;
}

/** The table of a plan. @param caseMs - milliseconds of each case. @param networkMs - of each network, whole. */
export function latencyTable(
  { cases, networks }: LatencyPlan,
  { caseMs, networkMs }: { readonly caseMs: readonly number[]; readonly networkMs: readonly number[] },
  machine: Pick<LatencyTable, 'cpu' | 'threads'>,
): LatencyTable {
  const whole = new Map(
    networks.map(({ name, cases: own }, at): [string, NetworkLatency] => {
      const ms = networkMs[at]!;
      const measured = own.reduce((sum, index) => sum + caseMs[index]!, 0);
      return [name, { name, ms, restMs: Math.max(ms - measured, 0) }];
    }),
  );
  const entries = cases.map((latencyCase, at) => ({ ...latencyCase, ms: caseMs[at]! }));
  return { ...machine, networks: [...whole.values()], entries };
}

/** One convolution with bias and ReLU, with random weights, as a `.edge` file. */
export function layerFile({ groups, ...shape }: LatencyCase): Uint8Array {
  const { channelsIn, channelsOut, height, width, kernelSize, strides, dilations, padding } = shape;
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
