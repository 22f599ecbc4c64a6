import { dirname, join } from 'node:path';
import { type ByteSource, InvalidInputError, readSafetensors, type WeightSource } from '@dgconv/core';
import { openByteSource, readTextFile } from '@dgconv/core/node';
import { withPlainNames } from './checkpoint-names.js';

/** Part of the name of a file that says in which shard each tensor is. */
const indexSuffix = '.index.json';

/** Whether a path names a `.safetensors` file or the index of a sharded one. */
export function isSafetensorsPath(path: string): boolean {
  return path.endsWith('.safetensors') || path.endsWith(`.safetensors${indexSuffix}`);
}

/**
 * Weights of a `.safetensors` file, or of the shards that a `.safetensors.index.json` names, under the names of {@link withPlainNames}.
 * @throws {InvalidInputError} if a file is missing or broken, a shard lies outside the index's folder or lacks a tensor.
 */
export function openSafetensorsCheckpoint(path: string): WeightSource {
  if (!path.endsWith(indexSuffix)) return withPlainNames(readSafetensors(openByteSource(path)).weights);
  const shardOf = new Map(Object.entries(weightMap(path)));
  const shards = new Map<string, WeightSource>();
  for (const file of new Set(shardOf.values())) {
    // A shard is a file beside its index; anything else could reach anywhere.
    if (!/^[^/\\]+\.safetensors$/.test(file)) {
      throw new InvalidInputError(
        `${path} names the shard '${file}'; shards are .safetensors files in the same folder`,
      );
    }
    shards.set(file, readSafetensors(openByteSource(join(dirname(path), file))).weights);
  }
  for (const [name, file] of shardOf) {
    if (!shards.get(file)!.names.includes(name)) {
      throw new InvalidInputError(`${path} says that '${name}' is in ${file}, but it is not`);
    }
  }
  const find = (name: string): WeightSource => {
    const file = shardOf.get(name);
    if (file === undefined) throw new InvalidInputError(`${path} has no tensor '${name}'`);
    return shards.get(file)!;
  };
  return withPlainNames({
    names: [...shardOf.keys()],
    shape: (name) => find(name).shape(name),
    read: (name) => find(name).read(name),
  });
}

/**
 * The shards that an index names, each once, by name.
 * @throws {InvalidInputError} if the index is broken or a shard is missing.
 */
export function safetensorsShards(path: string): ByteSource[] {
  const files = [...new Set(Object.values(weightMap(path)))].sort();
  return files.map((file) => openByteSource(join(dirname(path), file)));
}

function weightMap(path: string): Readonly<Record<string, string>> {
  let index: unknown;
  try {
    index = JSON.parse(readTextFile(path));
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause;
    throw new InvalidInputError(`${path} is not JSON`, { cause });
  }
  const map: unknown = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : null;
  if (typeof map !== 'object' || map === null || !Object.values(map).every((file) => typeof file === 'string')) {
    throw new InvalidInputError(`${path}: "weight_map" must give a file name for each tensor`);
  }
  return map as Readonly<Record<string, string>>;
}
