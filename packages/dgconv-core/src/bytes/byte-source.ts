import { InvalidInputError } from '../errors.js';

/** Bytes that are read where they are needed, so that a checkpoint larger than memory can be opened. */
export interface ByteSource {
  /** How messages call it: the file's path. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** @throws {InvalidInputError} if `[offset, offset + length)` does not lie within the source. */
  read(offset: number, length: number): Uint8Array;
}

/** @throws {InvalidInputError} if `[offset, offset + length)` does not lie within the source. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > source.size
  ) {
    throw new InvalidInputError(
      `${source.name}: bytes ${offset} to ${offset + length} are asked for, but the file ends at ${source.size}`,
    );
  }
}

/** A byte source over memory; reads are views, not copies. */
export function bytesInMemory(bytes: Uint8Array, name: string): ByteSource {
  const size = bytes.byteLength;
  return {
    name,
    size,
    read(offset, length) {
      checkRange({ name, size }, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}
