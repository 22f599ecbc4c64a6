import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type ByteSource, checkRange } from './bytes/byte-source.js';
import { InvalidInputError } from './errors.js';

/**
 * A byte source over a file, opened for each read so that nothing has to be closed.
 * @throws {InvalidInputError} if the file is missing, unreadable or no file.
 */
export function openByteSource(path: string): ByteSource {
  checkFile(path);
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
  const { size } = withFile((descriptor) => fstatSync(descriptor));
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
 * Asks before a file is opened, because a pipe would wait for somebody to write and a device may never end.
 * @throws {InvalidInputError} if it is missing, or no file.
 */
export function checkFile(path: string): void {
  let isFile: boolean;
  try {
    isFile = statSync(path).isFile();
  } catch (cause) {
    throw new InvalidInputError(`${path} cannot be read (${errorCode(cause)})`, { cause });
  }
  if (!isFile) throw new InvalidInputError(`${path} is not a file`);
}

/**
 * A small text file.
 * @throws {InvalidInputError} if it cannot be read.
 */
export function readTextFile(path: string): string {
  checkFile(path);
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new InvalidInputError(`${path} cannot be read (${errorCode(cause)})`, { cause });
  }
}

/**
 * Writes a file in chunks under a temporary name beside it and renames it, so that nobody ever sees half a file, not even
 * after a power cut.
 * @throws {InvalidInputError} if it cannot be written; nothing is left behind then.
 */
export function writeFileAtomically(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const descriptor = openSync(temporary, 'w');
    try {
      for (const chunk of chunks)
        for (let done = 0; done < chunk.byteLength;)
          done += writeSync(descriptor, chunk, done, chunk.byteLength - done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    if (cause instanceof Error && 'syscall' in cause)
      throw new InvalidInputError(`${path} cannot be written (${errorCode(cause)})`, { cause });
    throw cause;
  }
}

function errorCode(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}

/**
 * Makes a folder and those that it lies in, where they are not there yet. (Node's own `recursive` never returns in file systems
 * that refuse folders by ENOENT, as /proc does.)
 * @throws {Error} Node's, if one of them cannot be made.
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) mkdirSync(folder);
  if (missing.length === 0) mkdirSync(path, { recursive: true });
}

/** The paths of the files in a folder whose names match; none if there is no such folder. */
export function filesMatching(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return [];
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));
}
