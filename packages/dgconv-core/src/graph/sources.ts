import { InvalidInputError } from '../errors.js';
import type { Graph } from './graph.js';
import { checkShape, elementCount, formatShape, type Shape } from './shape.js';
import { operandsOf } from './weight-rules.js';
import type { Weight, WeightSource } from './weights.js';

/** A tensor held in memory, values contiguous. */
export interface StoredTensor {
  readonly shape: Shape;
  readonly values: Float32Array;
}

/**
 * A source over tensors in memory; the map is not copied.
 * @throws {InvalidInputError} if a tensor's values do not fill its shape.
 */
export function mapSource(tensors: ReadonlyMap<string, StoredTensor>): WeightSource {
  for (const [name, { shape, values }] of tensors) {
    checkShape(shape, `tensor '${name}'`);
    if (values.length !== elementCount(shape))
      throw new InvalidInputError(`tensor '${name}' has ${values.length} values, its shape is ${formatShape(shape)}`);
  }
  const find = (name: string): StoredTensor => tensors.get(name) ?? missing(name);
  return {
    names: [...tensors.keys()],
    shape: (name) => find(name).shape,
    read: (name) => find(name).values,
  };
}

/**
 * The tensors of `source` under other names.
 * @param rename - the new name, or null to leave the tensor out.
 * @throws {InvalidInputError} if two tensors get the same name.
 */
export function renamedSource(source: WeightSource, rename: (name: string) => string | null): WeightSource {
  const oldNames = new Map<string, string>();
  for (const old of source.names) {
    const name = rename(old);
    if (name === null) continue;
    if (oldNames.has(name))
      throw new InvalidInputError(`tensors '${oldNames.get(name)}' and '${old}' would both be named '${name}'`);
    oldNames.set(name, old);
  }
  const find = (name: string): string => oldNames.get(name) ?? missing(name);
  return {
    names: [...oldNames.keys()],
    shape: (name) => source.shape(find(name)),
    read: (name) => source.read(find(name)),
  };
}

/** Tensors of the first source that has them; names of both, the first one's before. */
export function layeredSource(first: WeightSource, second: WeightSource): WeightSource {
  const own = new Set(first.names);
  return {
    names: [...own, ...second.names.filter((name) => !own.has(name))],
    shape: (name) => (own.has(name) ? first : second).shape(name),
    read: (name) => (own.has(name) ? first : second).read(name),
  };
}

function missing(name: string): never {
  throw new InvalidInputError(`there is no tensor '${name}'`);
}

/** Names of the stored tensors that an expression reads, in order, with repetitions. */
export function storedNamesOf(weight: Weight): string[] {
  return weight.kind === 'stored' ? [weight.name] : operandsOf(weight).flatMap(storedNamesOf);
}

/** Names of all stored tensors that a graph reads, each once, in the order of its nodes. */
export function storedNames(graph: Graph): string[] {
  const names = new Set<string>();
  for (const node of graph.nodes)
    for (const weight of Object.values(node.weights as Record<string, Weight | undefined>))
      if (weight !== undefined) for (const name of storedNamesOf(weight)) names.add(name);
  return [...names];
}
