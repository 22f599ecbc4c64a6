import { InvalidInputError, UnsupportedError } from '@dgconv/core';
import { readFileSync, statSync } from 'node:fs';
import { reasonOf } from './write.js';

/**
 * A whole file.
 * @throws {InvalidInputError} if it is missing or unreadable; the message names it.
 */
export const readBytes = (file: string): Uint8Array => {
  try {
    // Opening a pipe would wait for somebody to write, and a device may never end.
    if (!statSync(file).isFile()) throw new InvalidInputError(`${file} is not a file`);
    return readFileSync(file);
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
