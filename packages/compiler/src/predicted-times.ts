import { elementCount, type Graph, type Grouping, inferShapes, type Node, type NodeOf, type Shape } from '@dgconv/core';
import type { FormCosts } from './passes/form-costs.js';
import { blocksTime, denseTime, type Extent, groupedTime } from './passes/group-costs.js';

/**
 * Predicted time of layers, and of what moves channels for them, before and after compilation: in multiply-adds of a dense convolution
 * of the same runtime, from measured tables. Batch 1, one thread; everything between the layers is left out, because it stays.
 */
export interface PredictedTime {
  /** As imported: a masked or learned kernel is dense. */
  readonly before: number;
  readonly after: number;
  /** Milliseconds on the machine of the tables, where the target is one that was measured. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
  /** Where multiply-adds fall and the time does not. */
  readonly note?: typeof notFaster;
}

/** What is said of layers and networks that compute less, but not in less time. */
export const notFaster = 'fewer MACs, not faster';

/** Less than this share of the time saved is no difference. */
const leastSaving = 0.02;

/** Predicted times of a network in one format, and of its layers by name. */
export interface PredictedTimes {
  readonly whole: PredictedTime;
  readonly layers: ReadonlyMap<string, PredictedTime>;
}

/**
 * Predicts what compilation saves in one format.
 * @param source - as imported; its layers give the names.
 * @param compiled - for the format; its nodes know by their origin which layers they come from.
 * @param saved - whether the multiply-adds of a layer, or of the whole (undefined), fell.
 */
export function predictedTimes(
  source: Graph,
  compiled: Graph,
  costs: FormCosts,
  saved: (layer: string | undefined) => boolean,
): PredictedTimes {
  const before = new Map<string, number>();
  const after = new Map<string, number>();
  const sourceShapes = inferShapes(source);
  const compiledShapes = inferShapes(compiled);
  const own = new Set(source.nodes.map(({ id }) => id));
  let [wholeBefore, wholeAfter] = [0, 0];
  for (const node of source.nodes) {
    const time = nodeTime(node, sourceShapes, costs);
    wholeBefore += time;
    if (isLayer(node)) before.set(node.id, time);
  }
  for (const node of compiled.nodes) {
    // Joining and cutting that came with the network is no price of compilation.
    const isMade = node.op === 'take' || !own.has(node.id);
    const time =
      (node.op === 'slice' || node.op === 'concat') && isMade
        ? costs.copy(elementCount(compiledShapes.get(node.id)!)) + costs.start(1)
        : nodeTime(node, compiledShapes, costs);
    wholeAfter += time;
    const layer = node.origin.find((name) => before.has(name));
    if (layer !== undefined) after.set(layer, (after.get(layer) ?? 0) + time);
  }
  const time = (was: number, is: number, layer: string | undefined): PredictedTime => ({
    before: Math.round(was),
    after: Math.round(is),
    ...(costs.rate === undefined ? {} : { beforeMs: was / costs.rate / 1e6, afterMs: is / costs.rate / 1e6 }),
    ...(saved(layer) && is > (1 - leastSaving) * was ? { note: notFaster } : {}),
  });
  return {
    whole: time(wholeBefore, wholeAfter, undefined),
    layers: new Map([...before].map(([name, was]) => [name, time(was, after.get(name) ?? 0, name)])),
  };
}

function isLayer({ op }: Node): boolean {
  return op === 'conv2d' || op === 'conv2d-transpose' || op === 'dense';
}

/** Time of a layer or of a channel move; of anything else 0. */
function nodeTime(node: Node, shapes: ReadonlyMap<string, Shape>, costs: FormCosts): number {
  const shape = shapes.get(node.id)!;
  if (node.op === 'conv2d') return convolutionTime(node, shapes, costs);
  if (node.op === 'dense') return denseTime(node.attrs, { pixels: 1, positions: 1 }, costs);
  if (node.op === 'take' && node.attrs.axis === shape.length - 1)
    return costs.move(elementCount(shape)) + costs.start(1);
  if (node.op !== 'conv2d-transpose') return 0;
  const { channelsIn, channelsOut, groups, kernelSize } = node.attrs;
  const range = (size: number): number[] => Array.from({ length: size / groups }, (_, channel) => channel);
  const block = { inputs: range(channelsIn), outputs: range(channelsOut) };
  const pixels = elementCount(shapes.get(node.inputs[0]!)!.slice(1, 3));
  return groups * blocksTime([block], { pixels, positions: elementCount(kernelSize) }, costs);
}

function convolutionTime(node: NodeOf<'conv2d'>, shapes: ReadonlyMap<string, Shape>, costs: FormCosts): number {
  const { connectivity, kernelSize } = node.attrs;
  const pixelsOf = (value: string): number => elementCount(shapes.get(value)!.slice(1, 3));
  const extent: Extent = { pixels: pixelsOf(node.id), positions: elementCount(kernelSize) };
  const grouping: Grouping =
    connectivity.kind === 'masked' || connectivity.kind === 'learned'
      ? { ...connectivity, kind: 'dense', groups: 1 }
      : connectivity;
  return groupedTime(grouping, extent, pixelsOf(node.inputs[0]!), costs);
}
