import { costOf, type Graph, inferShapes, type Model } from '@dgconv/core';
import { type LayerReport, layerReports } from './layer-reports.js';
import { type Target } from './passes/form-costs.js';
import { type Format, type PassObserver, runPasses, sharedPasses, targetPasses } from './passes/pipeline.js';
import { usesOf } from './passes/rewrite.js';

/** Models for each target and what compilation made of the network; the JSON document of `dgconv compile` carries the figures. */
export interface CompileResult {
  readonly source: Model;
  /** After phase 3, the same for all targets: what the layer table describes. */
  readonly grouped: Model;
  /** The model that each emitter writes. */
  readonly targets: Readonly<Partial<Record<Format, Model>>>;
  readonly layers: readonly LayerReport[];
  /** Channel moves that the model of each target keeps. */
  readonly shuffles: Readonly<Partial<Record<Format, readonly Shuffle[]>>>;
  /** The most channel moves that any target keeps. */
  readonly shufflesLeft: number;
  readonly macsBefore: number;
  readonly macsAfter: number;
  /** Weights and biases, and batch norm's γ and β; neither running statistics nor gates. */
  readonly paramsBefore: number;
  readonly paramsAfter: number;
  /** Connected channel pairs, summed over learned and masked convolutions (paper, Eq. 9). */
  readonly zeta: number;
}

/** A channel move that stayed. */
export interface Shuffle {
  readonly node: string;
  /** Layers of the source network that it belongs to. */
  readonly origin: readonly string[];
  readonly channels: number;
  /** Why it could not be moved into the weights of a neighbour. */
  readonly reason: string;
}

export interface CompileOptions {
  readonly formats: readonly Format[];
  /** What ONNX and TFLite files are tuned for; default `generic`. */
  readonly target?: Target;
  /** Called after each pass; `format` is undefined for the passes that all targets share. */
  readonly observe?: (format: Format | undefined, step: Parameters<PassObserver>[0]) => void;
}

/**
 * Compiles a model for each format: groups made explicit, batch norm folded, channel orders moved into the weights. Weights stay
 * expressions; emitters read them one at a time.
 * @throws {InvalidInputError} if the model has gates or assignments that are not numbers.
 */
export function compile(
  source: Model,
  { formats, target = 'generic', observe = () => undefined }: CompileOptions,
): CompileResult {
  const grouped = runPasses(source, sharedPasses, (step) => observe(undefined, step));
  const targets: Partial<Record<Format, Model>> = {};
  const shuffles: Partial<Record<Format, readonly Shuffle[]>> = {};
  for (const format of formats) {
    const model = runPasses(grouped, targetPasses(format, target), (step) => observe(format, step));
    targets[format] = model;
    shuffles[format] = shufflesOf(model.graph, source.graph);
  }
  const before = costOf(source.graph, source.weights);
  const after = costOf(grouped.graph);
  return {
    source,
    grouped,
    targets,
    layers: layerReports(before, after),
    shuffles,
    shufflesLeft: Math.max(0, ...Object.values(shuffles).map((list) => list.length)),
    macsBefore: before.macs,
    macsAfter: after.macs,
    paramsBefore: before.params,
    paramsAfter: after.params,
    zeta: before.connections ?? 0,
  };
}

/** Nodes that only move channels; `source` tells which of them came with the network. */
function shufflesOf(graph: Graph, source: Graph): Shuffle[] {
  const shapes = inferShapes(graph);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const imported = new Set(source.nodes.map(({ id }) => id));
  const readers = usesOf(graph);
  return graph.nodes.flatMap((node) => {
    if (node.op !== 'take' || node.attrs.axis !== shapes.get(node.id)!.length - 1) return [];
    const [input] = node.inputs as [string];
    const readBy = readers.of(node.id);
    // A move that was put between layers belongs to whom it serves.
    const near = [...(byId.get(input)?.origin ?? []), ...readBy.flatMap(({ origin }) => origin)];
    const origin = node.origin.length > 0 ? node.origin : [...new Set(near)];
    const channels = node.attrs.indices.length;
    const names = readBy.map(({ id }) => id).join(' and ') || 'the output';
    const reason = imported.has(node.id)
      ? `it came with the network, and neither ${input} nor ${names} can take another order`
      : `${names} and ${input} put the ${channels} channels between them into groups that cut across each other`;
    return [{ node: node.id, origin, channels, reason }];
  });
}
