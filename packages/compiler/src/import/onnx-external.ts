import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { InvalidInputError } from '@dgconv/core';
import type { ExternalReader } from './onnx-tensor.js';

/**
 * Reads external data from files in the folder of a model or below it, and from nowhere else.
 * @param modelPath - the model's file.
 */
export function externalDataBeside(modelPath: string): ExternalReader {
  return ({ location, offset, length }) => {
    const refuse = (reason: string, cause?: unknown): never => {
      throw new InvalidInputError(`external data '${location}': ${reason}`, { cause });
    };
    const folder = realpathSync(dirname(resolve(modelPath)));
    let path = '';
    try {
      path = realpathSync(resolve(folder, location));
    } catch (cause) {
      refuse('there is no such file beside the model', cause);
    }
    if (!path.startsWith(folder + sep)) refuse("it lies outside the model's folder");
    // Opening a pipe would wait for somebody to write.
    if (!statSync(path).isFile()) refuse('it is no file');
    const descriptor = openSync(path, 'r');
    try {
      const { size } = fstatSync(descriptor);
      if (offset + length > size) {
        refuse(`bytes ${offset} to ${offset + length} are asked for, but the file ends at ${size}`);
      }
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const count = readSync(descriptor, bytes, done, length - done, offset + done);
        if (count === 0) refuse('it became shorter while it was read');
        done += count;
      }
      return bytes;
    } finally {
      closeSync(descriptor);
    }
  };
}
