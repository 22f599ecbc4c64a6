import { emitters, firstDifferingNode, networkTolerance } from '@dgconv/compiler';
import { interpretAll, type Model } from '@dgconv/core';
import type { Runtime } from '@dgconv/runtimes';
import { evaluatorOf } from './verify-artifacts.js';

type Feeds = Readonly<Record<string, Float32Array>>;

/** Where an artefact starts to differ, and whose fault it is: the file's, or the runtime's that executes a right file. */
export interface FirstDifference {
  readonly layer: string;
  readonly cause: 'file' | 'runtime';
}

const isClose = (a: Float64Array, b: Float64Array): boolean => {
  if (a.length !== b.length) return false;
  const largest = Math.max(Math.abs(b[0] ?? 0), Math.abs(b.at(-1) ?? 0));
  return a.every((value, at) => Math.abs(value - b[at]!) <= networkTolerance * largest);
};

/**
 * The first layer of a file that computes something that the reference has nowhere. Compilation moves channels and folds layers, so
 * the values of a layer are compared as sorted lists with those of every layer of the reference.
 */
const firstInFile = (file: Model, reference: Model, feeds: Feeds): string | null => {
  const known = Object.values(interpretAll(reference, feeds)).map((values) => Float64Array.from(values).sort());
  const names = new Set(reference.graph.nodes.map(({ id }) => id));
  const values = interpretAll(file, feeds);
  const wrong = file.graph.nodes.find(({ id, origin }) => {
    const layers = [id, ...origin].filter((name) => names.has(name));
    const sorted = values[id]!.slice().sort();
    const comparable = known.filter((other) => other.length === sorted.length);
    return layers.length > 0 && comparable.length > 0 && !comparable.some((other) => isClose(sorted, other));
  });
  return wrong?.id ?? null;
};

/** Names the first layer at which a file in a runtime leaves the reference; null where every layer agrees on these inputs. */
export const firstDifference = async (
  file: Model,
  reference: Model,
  runtime: Runtime,
  feeds: Feeds,
): Promise<FirstDifference | null> => {
  const layer = firstInFile(file, reference, feeds);
  if (layer !== null) return { layer, cause: 'file' };
  const format = runtime.formats[0]!;
  const wrong = await firstDifferingNode(
    file,
    async (part) => evaluatorOf(await runtime.load(emitters[format](part))),
    feeds,
  );
  return wrong === null ? null : { layer: wrong.node, cause: 'runtime' };
};
