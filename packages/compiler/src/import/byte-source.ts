import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { InvalidInputError } from '@dgconv/core';

/** Bytes that are read where they are needed, so that a checkpoint larger than memory can be opened. */
export interface ByteSource {
  /** How messages call it: the file's path. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** @throws {InvalidInputError} if `[offset, offset + length)` does not lie within the source. */
  read(offset: number, length: number): Uint8Array;
}

function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
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

/**
 * A byte source over a file, opened for each read so that nothing has to be closed.
 * @throws {InvalidInputError} if the file is missing, unreadable or no file.
 */
export function openByteSource(path: string): ByteSource {
  const withFile = <Result>(use: (descriptor: number) => Result): Result => {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (cause) {
      throw new InvalidInputError(`${path} cannot be read (${errorCode(cause)})`, { cause });
    }
    try {
      return use(descriptor);
    } finally {
      closeSync(descriptor);
    }
  };
  const size = withFile((descriptor) => {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new InvalidInputError(`${path} is not a file`);
    return stat.size;
  });
  return {
    name: path,
    size,
    read: (offset, length) => {
      checkRange({ name: path, size }, offset, length);
      return withFile((descriptor) => {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length;) {
          const count = readSync(descriptor, bytes, done, length - done, offset + done);
          if (count === 0) throw new InvalidInputError(`${path} became shorter while it was read`);
          done += count;
        }
        return bytes;
      });
    },
  };
}

/**
 * A small text file.
 * @throws {InvalidInputError} if it cannot be read.
 */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new InvalidInputError(`${path} cannot be read (${errorCode(cause)})`, { cause });
  }
}

function errorCode(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
