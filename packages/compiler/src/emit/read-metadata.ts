import { InvalidInputError } from '@dgconv/core';
import onnxProto from 'onnx-proto';
import { FlatTable } from '../flat-table.js';
import { parseMetadata, type ArtifactMetadata } from './metadata.js';

/**
 * What an ONNX file of ours says about itself; an empty object for a file of others.
 * @throws {InvalidInputError} if the bytes are no ONNX model.
 */
export const readOnnxMetadata = (bytes: Uint8Array): ArtifactMetadata => {
  let entries;
  try {
    entries = onnxProto.onnx.ModelProto.decode(bytes).metadataProps;
  } catch (error) {
    throw new InvalidInputError(`this is no ONNX model: ${(error as Error).message}`, { cause: error });
  }
  return parseMetadata(Object.fromEntries(entries.map(({ key, value }) => [key ?? '', value ?? ''])));
};

/**
 * What a TFLite file of ours says about itself; an empty object for a file of others.
 * @throws {InvalidInputError} if the bytes are no TFLite model.
 */
export const readTfliteMetadata = (bytes: Uint8Array): ArtifactMetadata => {
  const model = FlatTable.root(bytes, 'TFL3');
  const buffers = model.tables(4);
  const texts = model.tables(6).flatMap((entry): [string, string][] => {
    const data = buffers[entry.int32(1)]?.bytes(0);
    return data ? [[entry.string(0) ?? '', new TextDecoder().decode(data)]] : [];
  });
  return parseMetadata(Object.fromEntries(texts));
};
