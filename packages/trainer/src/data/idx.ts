import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import { InvalidInputError } from '@dgconv/core';
import { checkFile } from '@dgconv/core/node';
import type { DataSet, LabelledImages } from './data-set.js';

/** A tensor of bytes as an IDX file holds it. */
export interface IdxTensor {
  readonly shape: readonly number[];
  readonly values: Uint8Array;
}

/** Type code of unsigned bytes. */
const unsignedByte = 0x08;

/** No data set of this format is larger. */
const largestFile = 2 ** 31;
/** No images are compressed by more than this; a file that claims to be is an attack. */
const largestRatio = 256;

/**
 * Reads an IDX file of unsigned bytes, the format of MNIST: two zeros, type code 8, the rank, big-endian sizes, values.
 * @param name - how messages call it.
 * @throws {InvalidInputError} if the bytes are not exactly such a file.
 */
export function parseIdx(bytes: Uint8Array, name: string): IdxTensor {
  const { shape, start, size } = parseHeader(bytes, name);
  if (size !== bytes.length - start) {
    throw new InvalidInputError(
      `${name}: shape [${shape.join(', ')}] needs ${size} bytes, the file has ${bytes.length - start}`,
    );
  }
  return { shape, values: bytes.subarray(start) };
}

/** What the first bytes of an IDX file say: its shape, where the values start, and how many there are. */
function parseHeader(bytes: Uint8Array, name: string): { shape: number[]; start: number; size: number } {
  const refuse = (rule: string): never => {
    throw new InvalidInputError(`${name}: ${rule}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) refuse(`${bytes.length} bytes are too few for an IDX file`);
  if (view.getUint16(0) !== 0 || bytes[2] !== unsignedByte) {
    refuse(`no IDX file of unsigned bytes: it starts with 0x${view.getUint32(0).toString(16).padStart(8, '0')}`);
  }
  const rank = bytes[3]!;
  const start = 4 + 4 * rank;
  if (rank < 1 || rank > 4 || bytes.length < start) refuse(`an IDX file of rank ${rank} with ${bytes.length} bytes`);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  return { shape, start, size: shape.reduce((product, length) => product * length, 1) };
}

/** Decompresses an IDX file, no further than its header says, because a small file can unpack to any size. */
function gunzipIdx(bytes: Uint8Array, name: string): Uint8Array {
  const beginning = gunzipSync(bytes.subarray(0, 1024), { finishFlush: constants.Z_SYNC_FLUSH });
  const { start, size } = parseHeader(beginning, name);
  if (size > Math.min(largestFile, largestRatio * bytes.length)) {
    throw new InvalidInputError(`${name}: ${bytes.length} compressed bytes claim to hold ${size}, which is too much`);
  }
  return gunzipSync(bytes, { maxOutputLength: start + size });
}

/**
 * Pairs the images `[N, H, W]` or `[N, H, W, C]` and labels `[N]` of two IDX files.
 * @throws {InvalidInputError} if their counts differ or a rank is another.
 */
export function labelledImages(images: IdxTensor, labels: IdxTensor, name: string): LabelledImages {
  const [count] = images.shape as [number];
  if (images.shape.length < 3 || labels.shape.length !== 1 || labels.shape[0] !== count) {
    throw new InvalidInputError(
      `${name}: images [${images.shape.join(', ')}] and labels [${labels.shape.join(', ')}] do not fit: they must be [N, H, W] and [N]`,
    );
  }
  return { count, pixels: images.values, labels: Uint16Array.from(labels.values) };
}

/**
 * A folder with MNIST's four files, `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, each plain or with `.gz`.
 * @param classNames - default: the labels as numbers.
 * @throws {InvalidInputError} naming the file that is missing or broken.
 */
export function openIdxFolder(folder: string, spec: string, classNames?: readonly string[]): DataSet {
  const trainImages = readIdx(folder, 'train-images-idx3-ubyte');
  const testImages = readIdx(folder, 't10k-images-idx3-ubyte');
  const train = labelledImages(trainImages, readIdx(folder, 'train-labels-idx1-ubyte'), `${folder}: train`);
  const test = labelledImages(testImages, readIdx(folder, 't10k-labels-idx1-ubyte'), `${folder}: t10k`);
  const [height, width, channels = 1] = trainImages.shape.slice(1) as [number, number, number?];
  if (testImages.shape.slice(1).join() !== trainImages.shape.slice(1).join() || train.count === 0 || test.count === 0) {
    throw new InvalidInputError(
      `${folder}: training images [${trainImages.shape.join(', ')}] and test images [${testImages.shape.join(', ')}] must have one size, and neither may be empty`,
    );
  }
  const classes = 1 + [...train.labels, ...test.labels].reduce((most, label) => Math.max(most, label), 0);
  if (classNames && classes > classNames.length) {
    throw new InvalidInputError(
      `${folder}: label ${classes - 1} is outside the ${classNames.length} classes of ${spec}`,
    );
  }
  const names = classNames ?? Array.from({ length: classes }, (_, label) => String(label));
  return { spec, height, width, channels, classNames: names, train, test };
}

function readIdx(folder: string, name: string): IdxTensor {
  const plain = join(folder, name);
  const path = existsSync(plain) ? plain : `${plain}.gz`;
  let bytes: Uint8Array;
  try {
    if (existsSync(path)) checkFile(path);
    bytes = readFileSync(path);
    if (path.endsWith('.gz')) bytes = gunzipIdx(bytes, path);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const reason =
      error instanceof Error && 'code' in error && error.code === 'ENOENT'
        ? 'there is no such file, nor with .gz'
        : String(error);
    throw new InvalidInputError(`${plain}: ${reason}`, { cause: error });
  }
  return parseIdx(bytes, path);
}
