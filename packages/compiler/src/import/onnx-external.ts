import { realpathSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { type ByteSource, InvalidInputError } from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import type { OnnxModel } from './onnx-file.js';
import type { ExternalReader } from './onnx-tensor.js';

/**
 * Reads external data from files in the folder of a model or below it, and from nowhere else.
 * @param modelPath - the model's file.
 */
export function externalDataBeside(modelPath: string): ExternalReader {
  return ({ location, offset, length }) => {
    const source = openBeside(modelPath, location);
    if (offset + length > source.size) {
      refuse(location, `bytes ${offset} to ${offset + length} are asked for, but the file ends at ${source.size}`);
    }
    return source.read(offset, length);
  };
}

/**
 * The files beside a model in which its tensors lie, each once, in the order of the tensors.
 * @throws {InvalidInputError} if one is missing, or outside the model's folder.
 */
export function externalFilesOf(modelPath: string, { graph }: OnnxModel): ByteSource[] {
  const tensors = [
    ...graph.initializers.values(),
    ...graph.nodes.flatMap(({ attributes }) => [...attributes.values()].flatMap(({ tensor }) => tensor ?? [])),
  ];
  const locations = new Set(tensors.flatMap(({ external }) => external?.location ?? []));
  return [...locations].map((location) => openBeside(modelPath, location));
}

function openBeside(modelPath: string, location: string): ByteSource {
  const folder = realpathSync(dirname(resolve(modelPath)));
  let path = '';
  try {
    path = realpathSync(resolve(folder, location));
  } catch (cause) {
    refuse(location, 'there is no such file beside the model', cause);
  }
  if (!path.startsWith(folder + sep)) refuse(location, "it lies outside the model's folder");
  return openByteSource(path);
}

function refuse(location: string, reason: string, cause?: unknown): never {
  throw new InvalidInputError(`external data '${location}': ${reason}`, { cause });
}
