import type { ByteSource } from '../bytes/byte-source.js';
import { InvalidInputError } from '../errors.js';
import { bind } from './bind.js';
import { decodeGraph, encodeGraph } from './graph-json.js';
import { readSafetensors, type TensorToWrite, writeSafetensors } from './safetensors.js';
import { storedNames } from './sources.js';
import type { WeightSource } from './weights.js';
import type { Model } from './graph.js';

/** Key of the graph in the `__metadata__` of a model file. */
const graphKey = 'dgconv.graph';

/** What a model file may hold beside the model. */
export interface ModelFileExtras {
  /** More tensors, such as an optimiser's state. */
  readonly tensors?: readonly TensorToWrite[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A model read from a file, with everything else that the file holds. */
export interface ModelFile extends Model {
  /** All tensors of the file. */
  readonly weights: WeightSource;
  /** The metadata without the graph. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * A model as one `.safetensors` file, in chunks: the tensors that its graph reads by name, the graph as JSON in `__metadata__`.
 */
export function writeModel({ graph, weights }: Model, extras: ModelFileExtras = {}): Generator<Uint8Array> {
  const stored = storedNames(graph).map((name) => ({
    name,
    shape: weights.shape(name),
    read: () => weights.read(name),
  }));
  return writeSafetensors([...stored, ...(extras.tensors ?? [])], {
    ...extras.metadata,
    [graphKey]: encodeGraph(graph),
  });
}

/**
 * The inverse of {@link writeModel}; tensors are read where they are needed.
 * @throws {InvalidInputError} naming the file and the rule, if it is broken or holds no graph.
 */
export function readModel(file: ByteSource): ModelFile {
  const { weights, metadata } = readSafetensors(file);
  const { [graphKey]: text, ...rest } = metadata;
  if (text === undefined)
    throw new InvalidInputError(`${file.name}: a .safetensors file without a graph (its metadata lack '${graphKey}')`);
  try {
    return { ...bind(decodeGraph(text), weights), metadata: rest };
  } catch (error) {
    if (error instanceof InvalidInputError)
      throw new InvalidInputError(`${file.name}: ${error.message}`, { cause: error });
    throw error;
  }
}
