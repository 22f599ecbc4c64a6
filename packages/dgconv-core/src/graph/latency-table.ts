import { InvalidInputError } from '../errors.js';
import * as decode from './decoder.js';
import type { Graph, NodeOf } from './graph.js';
import type { Padding, Window } from './ops.js';
import { inferShapes } from './types.js';

/** What a convolution's time depends on beside its groups; channels and pixels of the input. */
export interface ConvolutionShape extends Window {
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly height: number;
  readonly width: number;
}

/** Time of one convolution with one number of equal groups on the machine where the table was made. */
export interface LatencyEntry extends ConvolutionShape {
  readonly groups: number;
  readonly ms: number;
}

/** Time of a whole network on that machine. */
export interface NetworkLatency {
  readonly name: string;
  readonly ms: number;
  /** What is left of it without the convolutions of the table. */
  readonly restMs: number;
}

/** What networks and their convolutions cost in milliseconds, batch 1: `dgconv bench --latency-table` writes it, a budget in ms reads it. */
export interface LatencyTable {
  readonly cpu: string;
  readonly threads: number;
  readonly networks: readonly NetworkLatency[];
  readonly entries: readonly LatencyEntry[];
}

/** The convolutions of a graph with their shapes, in its order. */
export function convolutionShapes(graph: Graph): { node: NodeOf<'conv2d'>; shape: ConvolutionShape }[] {
  const shapes = inferShapes(graph);
  return graph.nodes.flatMap((node) => {
    if (node.op !== 'conv2d') return [];
    const [, height, width] = shapes.get(node.inputs[0]!)!;
    const { connectivity, kernelSize, strides, dilations, padding } = node.attrs;
    const { channelsIn, channelsOut } = connectivity;
    const shape = { channelsIn, channelsOut, height: height!, width: width!, kernelSize, strides, dilations, padding };
    return [{ node, shape }];
  });
}

/** A text that equal shapes share. */
export function convolutionKey(shape: ConvolutionShape): string {
  const { channelsIn, channelsOut, height, width, kernelSize, strides, dilations, padding } = shape;
  const { top, bottom, left, right } = padding;
  return [channelsIn, channelsOut, height, width, kernelSize, strides, dilations, top, bottom, left, right].join();
}

/** A convolution's shape in words: `3×3, stride 2, 64 → 128 channels, input 56×56`. */
export function describeConvolution(shape: ConvolutionShape): string {
  const { channelsIn, channelsOut, height, width, kernelSize, strides, dilations, padding } = shape;
  const both = ([vertical, horizontal]: readonly [number, number]) =>
    vertical === horizontal ? `${vertical}` : `${vertical}×${horizontal}`;
  const { top, bottom, left, right } = padding;
  const parts = [
    kernelSize.join('×'),
    `stride ${both(strides)}`,
    ...(dilations.every((dilation) => dilation === 1) ? [] : [`dilation ${both(dilations)}`]),
    `padding ${new Set([top, bottom, left, right]).size === 1 ? top : [top, bottom, left, right].join('/')}`,
    `${channelsIn} → ${channelsOut} channels`,
    `input ${height}×${width}`,
  ];
  return parts.join(', ');
}

const count: decode.Decoder<number> = (value, place) => {
  const whole = decode.integer(value, place);
  return whole >= 1 ? whole : place.refuse(`an integer of at least 1 is needed, not ${whole}`);
};

const pixels: decode.Decoder<number> = (value, place) => {
  const whole = decode.integer(value, place);
  return whole >= 0 ? whole : place.refuse(`an integer of at least 0 is needed, not ${whole}`);
};

const milliseconds: decode.Decoder<number> = (value, place) => {
  const time = decode.number(value, place);
  return Number.isFinite(time) && time >= 0
    ? time
    : place.refuse(`a time is a finite number of at least 0, and this is ${time}`);
};

const padding: decode.Decoder<Padding> = decode.object({ top: pixels, bottom: pixels, left: pixels, right: pixels });

const caseFields = {
  channelsIn: count,
  channelsOut: count,
  height: count,
  width: count,
  kernelSize: decode.pair(count),
  strides: decode.pair(count),
  dilations: decode.pair(count),
  padding,
  groups: count,
};

/** A convolution with a number of groups, without its time. */
export const latencyCaseDecoder: decode.Decoder<Omit<LatencyEntry, 'ms'>> = decode.object(caseFields);

const latencyTable: decode.Decoder<LatencyTable> = decode.object({
  cpu: decode.string,
  threads: count,
  networks: decode.array(decode.object({ name: decode.string, ms: milliseconds, restMs: milliseconds })),
  entries: decode.array(decode.object<LatencyEntry>({ ...caseFields, ms: milliseconds })),
});

/**
 * Reads a table of latencies.
 * @param name - how messages call the document.
 * @throws {InvalidInputError} naming the place and the rule: no JSON, a field that is missing or unknown, a time that is no
 * finite number of at least 0, a convolution or a network that stands there twice.
 */
export function readLatencyTable(text: string, name: string): LatencyTable {
  const table = decode.decodeJson(text, latencyTable, name);
  const seen = new Set<string>();
  const once = (key: string, what: string): void => {
    if (seen.has(key)) throw new InvalidInputError(`${name}: ${what} has two times`);
    seen.add(key);
  };
  for (const network of table.networks) once(`network ${network.name}`, `the network '${network.name}'`);
  for (const entry of table.entries) {
    once(
      `${convolutionKey(entry)},${entry.groups}`,
      `a convolution (${describeConvolution(entry)}, ${entry.groups} groups)`,
    );
  }
  return table;
}
