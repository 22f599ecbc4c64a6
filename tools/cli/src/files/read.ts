import { InvalidInputError } from '@dgconv/core';
import { readFileSync } from 'node:fs';
import { reasonOf } from './write.js';

/**
 * A whole file.
 * @throws {InvalidInputError} if it is missing or unreadable; the message names it.
 */
export const readBytes = (file: string): Uint8Array => {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new InvalidInputError(`${file} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
};
