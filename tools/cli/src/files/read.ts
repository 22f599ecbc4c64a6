import { InvalidInputError, UnsupportedError } from '@dgconv/core';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { reasonOf } from './write.js';

/** What files of a kind begin with. */
const signatures: readonly (readonly [suffix: string, signature: string])[] = [
  ['.edge', 'DGCE'],
  ['.npy', '\x93NUMPY'],
];

/** The beginning of a file, at most `length` bytes. */
const readStart = (file: string, length: number): Uint8Array => {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, length, 0));
  } finally {
    closeSync(descriptor);
  }
};

/**
 * A whole file; of one that does not begin as its suffix says only the beginning, which its reader refuses: it may have gigabytes.
 * @throws {InvalidInputError} if it is missing or unreadable; the message names it.
 */
export const readBytes = (file: string): Uint8Array => {
  try {
    // Opening a pipe would wait for somebody to write, and a device may never end.
    if (!statSync(file).isFile()) throw new InvalidInputError(`${file} is not a file`);
    const signature = signatures.find(([suffix]) => file.endsWith(suffix))?.[1];
    const start = signature === undefined ? undefined : readStart(file, 64);
    const isOther = start !== undefined && !Buffer.from(start).toString('latin1').startsWith(signature!);
    return isOther ? start : readFileSync(file);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw new InvalidInputError(`${file} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
};

/**
 * A handler that lets errors of a user's file name it.
 * @throws {DgconvError} what it is given, with the file before the message where that does not name it.
 */
export const failNaming =
  (file: string) =>
  (error: unknown): never => {
    const isKnown = error instanceof InvalidInputError || error instanceof UnsupportedError;
    if (!isKnown || error.message.includes(file)) throw error;
    const message = `${file}: ${error.message}`;
    throw error instanceof InvalidInputError
      ? new InvalidInputError(message, { cause: error })
      : new UnsupportedError(message, { cause: error });
  };
