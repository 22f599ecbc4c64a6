import { importModel, type ImportedModel } from '@dgconv/compiler';
import { initialWeights, InvalidInputError, mapSource, zooGraph, type Model } from '@dgconv/core';
import { readTextFile } from '@dgconv/core/node';
import { decodeEdge } from '@dgconv/runtime-edge';
import { failNaming, readBytes } from './files/read.js';
import type { SourceOptions } from './options.js';

/** The architecture file's contents. */
const readConfig = (file: string): unknown => {
  const text = readTextFile(file);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidInputError(`${file} is no JSON: ${(error as Error).message}`, { cause: error });
  }
};

/**
 * Any network that we can read: run directory, LayersModel, checkpoint with an architecture, ONNX, TFLite, `.edge`.
 * @param maskThreshold - weights of at most this size count as zeros.
 * @throws {InvalidInputError} if it is missing, broken, or does not say which network it is.
 */
export const importSource = (
  input: string,
  { arch, archConfig, inputShape }: SourceOptions,
  maskThreshold?: number,
): ImportedModel => {
  const architecture =
    arch !== undefined ? { name: arch } : archConfig !== undefined ? { config: readConfig(archConfig) } : undefined;
  try {
    if (input.endsWith('.edge')) return { model: decodeEdge(readBytes(input)), masks: [] };
    return importModel(input, {
      ...(architecture === undefined ? {} : { architecture }),
      ...(inputShape === undefined ? {} : { inputShape }),
      ...(maskThreshold === undefined ? {} : { maskThreshold }),
    });
  } catch (error) {
    return failNaming(input)(error);
  }
};

/** The model of {@link importSource}. */
export const openSource = (input: string, options: SourceOptions): Model => importSource(input, options).model;

/** A network of the zoo with new weights, or an `.onnx` file. */
export const openNetwork = (model: string): Model => {
  if (model.endsWith('.onnx')) return openSource(model, {});
  const graph = zooGraph(model);
  return { graph, weights: mapSource(initialWeights(graph, 1)) };
};
