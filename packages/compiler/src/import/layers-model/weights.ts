import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  bytesPerValue,
  type ByteSource,
  elementCount,
  InvalidInputError,
  type Shape,
  toFloat32,
  type ValueFormat,
  type WeightSource,
} from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import { isJsonObject, type JsonObject } from './fields.js';

interface Entry {
  readonly shape: Shape;
  readonly shards: ByteSource;
  readonly offset: number;
  readonly decode: (bytes: Uint8Array) => Float32Array;
  readonly length: number;
}

const dtypes: Readonly<Record<string, ValueFormat>> = {
  float32: 'float32',
  int32: 'int32',
  bool: 'bool',
  uint8: 'uint8',
};
const quantisedDtypes = ['uint8', 'uint16', 'float16'] as const;

/**
 * The weights that a LayersModel's manifest lists, by name; shards are read where they are needed. Weights quantised to uint8 or
 * uint16 are `value · scale + min`.
 * @param file - path of the `model.json`, in whose folder the shards are.
 * @throws {InvalidInputError} if the manifest is broken, or a shard is missing, too short or outside the folder.
 */
export function openManifestWeights(file: string, manifest: unknown): WeightSource {
  const refuse = (rule: string): never => {
    throw new InvalidInputError(`${file}: ${rule}`);
  };
  if (!Array.isArray(manifest)) return refuse('"weightsManifest" must be a list');
  const entries = new Map<string, Entry>();
  for (const group of manifest as unknown[]) {
    if (!isJsonObject(group) || !Array.isArray(group['paths']) || !Array.isArray(group['weights'])) {
      return refuse('each part of "weightsManifest" must have "paths" and "weights"');
    }
    const shards = joined(
      file,
      (group['paths'] as unknown[]).map((path) => openShard(file, path)),
    );
    let offset = 0;
    for (const weight of group['weights'] as unknown[]) {
      const { name, entry } = weightEntry(file, weight, shards, offset);
      if (entries.has(name)) refuse(`two weights are named '${name}'`);
      offset += entry.length;
      if (offset > shards.size)
        refuse(`the weight '${name}' ends at byte ${offset} of its shards, which have ${shards.size}`);
      entries.set(name, entry);
    }
  }
  const find = (name: string): Entry => entries.get(name) ?? refuse(`there is no weight '${name}'`);
  return {
    names: [...entries.keys()],
    shape: (name) => find(name).shape,
    read: (name) => {
      const { shards, offset, length, decode } = find(name);
      return decode(shards.read(offset, length));
    },
  };
}

/**
 * The shards that a LayersModel's manifest names, in order.
 * @throws {InvalidInputError} if one is missing or outside of the model's folder.
 */
export function manifestShards(file: string, manifest: unknown): ByteSource[] {
  const groups = Array.isArray(manifest) ? (manifest as unknown[]) : [];
  return groups.flatMap((group) => {
    const paths = isJsonObject(group) ? group['paths'] : [];
    return Array.isArray(paths) ? (paths as unknown[]).map((path) => openShard(file, path)) : [];
  });
}

function openShard(file: string, path: unknown): ByteSource {
  // A shard is a file beside the model; anything else could reach anywhere.
  if (typeof path !== 'string' || !/^[^/\\]+$/.test(path) || path === '..' || path === '.') {
    throw new InvalidInputError(`${file} names the shard ${JSON.stringify(path)}; shards are files in the same folder`);
  }
  const shard = openByteSource(join(dirname(file), path));
  if (dirname(realpathSync(shard.name)) !== realpathSync(dirname(file))) {
    throw new InvalidInputError(`${file} names the shard ${JSON.stringify(path)}, which is a link out of the folder`);
  }
  return shard;
}

/** Shards one after the other as one source. */
function joined(name: string, shards: readonly ByteSource[]): ByteSource {
  const size = shards.reduce((sum, shard) => sum + shard.size, 0);
  return {
    name,
    size,
    read: (offset, length) => {
      const bytes = new Uint8Array(length);
      let start = 0;
      for (const shard of shards) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + length, start + shard.size);
        if (from < to) bytes.set(shard.read(from - start, to - from), from - offset);
        start += shard.size;
      }
      return bytes;
    },
  };
}

function weightEntry(
  file: string,
  weight: unknown,
  shards: ByteSource,
  offset: number,
): { name: string; entry: Entry } {
  const fields: JsonObject = isJsonObject(weight) ? weight : {};
  const { name, shape, dtype, quantization } = fields;
  const isSize = (size: unknown): size is number => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (typeof name !== 'string' || !Array.isArray(shape) || !shape.every(isSize) || typeof dtype !== 'string') {
    throw new InvalidInputError(`${file}: each weight of "weightsManifest" must have name, shape and dtype`);
  }
  const format = Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
  if (format === undefined) {
    throw new InvalidInputError(
      `${file}: the weight '${name}' is of ${dtype}; ${Object.keys(dtypes).join(', ')} are supported`,
    );
  }
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count) || count > 0x7fffffff) {
    throw new InvalidInputError(`${file}: the weight '${name}' has ${count} values; fewer than 2^31 are supported`);
  }
  if (quantization === undefined) {
    const length = count * bytesPerValue[format];
    return { name, entry: { shape, shards, offset, length, decode: (bytes) => toFloat32(bytes, format) } };
  }
  const { stored, decode } = quantisation(file, name, quantization);
  return { name, entry: { shape, shards, offset, length: count * bytesPerValue[stored], decode } };
}

interface Quantisation {
  readonly stored: (typeof quantisedDtypes)[number];
  decode(bytes: Uint8Array): Float32Array;
}

function quantisation(file: string, name: string, value: unknown): Quantisation {
  const { dtype, scale, min }: JsonObject = isJsonObject(value) ? value : {};
  const stored = quantisedDtypes.find((known) => known === dtype);
  if (stored === undefined) {
    throw new InvalidInputError(
      `${file}: the weight '${name}' is quantised to ${String(dtype)}; ${quantisedDtypes.join(', ')} are supported`,
    );
  }
  if (stored === 'float16') return { stored, decode: (bytes) => toFloat32(bytes, 'float16') };
  if (typeof scale !== 'number' || typeof min !== 'number') {
    throw new InvalidInputError(`${file}: the quantised weight '${name}' has no "scale" and "min"`);
  }
  return { stored, decode: (bytes) => toFloat32(bytes, stored).map((level) => level * scale + min) };
}
