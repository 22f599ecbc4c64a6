import { costOf, type Model } from '@dgconv/core';
import { type LayerReport, layerReports } from './layer-reports.js';
import { formCosts, type Target } from './passes/form-costs.js';
import { type Format, type PassObserver, runPasses, sharedPasses, targetPasses } from './passes/pipeline.js';
import { type PredictedTime, type PredictedTimes, predictedTimes } from './predicted-times.js';
import { type Shuffle, shufflesOf } from './shuffles.js';

/** Models for each target and what compilation made of the network; the JSON document of `dgconv compile` carries the figures. */
export interface CompileResult {
  readonly source: Model;
  /** After phase 3, the same for all targets: what the layer table describes. */
  readonly grouped: Model;
  /** The model that each emitter writes. */
  readonly targets: Readonly<Partial<Record<Format, Model>>>;
  readonly layers: readonly CompiledLayer[];
  /** Channel moves that the model of each target keeps. */
  readonly shuffles: Readonly<Partial<Record<Format, readonly Shuffle[]>>>;
  /** The most channel moves that any target keeps. */
  readonly shufflesLeft: number;
  /** Predicted time of each format on the target. */
  readonly predicted: Readonly<Partial<Record<Format, PredictedTime>>>;
  readonly macsBefore: number;
  readonly macsAfter: number;
  /** Weights and biases, and batch norm's γ and β; neither running statistics nor gates. */
  readonly paramsBefore: number;
  readonly paramsAfter: number;
  /** Connected channel pairs, summed over learned and masked convolutions (paper, Eq. 9). */
  readonly zeta: number;
}

/** A layer with what each format makes of it. */
export interface CompiledLayer extends LayerReport {
  readonly predicted: Readonly<Partial<Record<Format, PredictedTime>>>;
}

export interface CompileOptions {
  readonly formats: readonly Format[];
  /** What ONNX and TFLite files are tuned for; default `generic`. */
  readonly target?: Target;
  /** Whether groups stay as they are even where a wider form is faster, as in files that we did not make (default: no). */
  readonly keepGroups?: boolean;
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
  { formats, target = 'generic', keepGroups = false, observe = () => undefined }: CompileOptions,
): CompileResult {
  const grouped = runPasses(source, sharedPasses, (step) => observe(undefined, step));
  const targets: Partial<Record<Format, Model>> = {};
  const shuffles: Partial<Record<Format, readonly Shuffle[]>> = {};
  for (const format of formats) {
    const model = runPasses(grouped, targetPasses(format, target, keepGroups), (step) => observe(format, step));
    targets[format] = model;
    shuffles[format] = shufflesOf(model.graph, source.graph);
  }
  const before = costOf(source.graph, source.weights);
  const after = costOf(grouped.graph);
  const layers = layerReports(before, after);
  const saved = new Set(layers.flatMap(({ name, macsBefore, macsAfter }) => (macsAfter < macsBefore ? [name] : [])));
  const times: Partial<Record<Format, PredictedTimes>> = {};
  for (const format of formats) {
    times[format] = predictedTimes(source.graph, targets[format]!.graph, formCosts(format, target), (layer) =>
      layer === undefined ? after.macs < before.macs : saved.has(layer),
    );
  }
  return {
    source,
    grouped,
    targets,
    layers: layers.map((layer) => ({
      ...layer,
      predicted: byFormat(times, ({ layers: each }) => each.get(layer.name)!),
    })),
    shuffles,
    shufflesLeft: Math.max(0, ...Object.values(shuffles).map((list) => list.length)),
    predicted: byFormat(times, ({ whole }) => whole),
    macsBefore: before.macs,
    macsAfter: after.macs,
    paramsBefore: before.params,
    paramsAfter: after.params,
    zeta: before.connections ?? 0,
  };
}

function byFormat(
  times: Readonly<Partial<Record<Format, PredictedTimes>>>,
  of: (times: PredictedTimes) => PredictedTime,
): Partial<Record<Format, PredictedTime>> {
  return Object.fromEntries(Object.entries(times).map(([format, each]) => [format, of(each)]));
}
