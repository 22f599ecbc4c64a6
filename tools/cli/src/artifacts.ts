import { readOnnxMetadata, readTfliteMetadata, type ArtifactMetadata } from '@dgconv/compiler';
import { UsageError } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import { modelFormats, type ModelFormat } from '@dgconv/runtimes';
import { extname } from 'node:path';

/**
 * The format of a file that a runtime can run, by its extension.
 * @throws {UsageError} if it is none of ours.
 */
export const formatOf = (file: string): ModelFormat => {
  const extension = extname(file).slice(1).toLowerCase();
  const format = modelFormats.find((name) => name === extension);
  if (format === undefined)
    throw new UsageError(`${file} is no .${modelFormats.join(', .')} file: compile it first, or name it so`);
  return format;
};

const readers: Readonly<Record<ModelFormat, (bytes: Uint8Array) => ArtifactMetadata>> = {
  onnx: readOnnxMetadata,
  tflite: readTfliteMetadata,
  edge: (bytes) => decodeEdge(bytes).graph.metadata,
};

/** What a file says about itself: preprocessing and class names among it. */
export const readArtifactMetadata = (format: ModelFormat, bytes: Uint8Array): ArtifactMetadata =>
  readers[format](bytes);
