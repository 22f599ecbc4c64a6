import { InvalidInputError, UsageError } from '@dgconv/core';
import { makeFolder } from '@dgconv/core/node';
import { randomUUID } from 'node:crypto';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Refuses to overwrite: called before anything is read, because it is a matter of usage.
 * @throws {UsageError} if one of the files exists and `force` is not given.
 */
export const refuseOverwrite = (files: readonly string[], force: boolean): void => {
  if (force) return;
  const existing = files.find((file) => existsSync(file));
  if (existing !== undefined) throw new UsageError(`${existing} exists; give --force to overwrite it`);
};

/** The reason of a file system error, in words. */
export const reasonOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is no folder',
    EEXIST: 'a file of that name is in the way',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
  };
  return (code !== undefined && words[code]) || message;
};

/**
 * Writes files all or none: each to a temporary name in its folder, then renamed. Folders are created.
 * @throws {InvalidInputError} if a folder cannot be made or written; nothing is left behind.
 */
export const writeFiles = (files: Readonly<Record<string, Uint8Array | string>>): void => {
  const pending: { file: string; temporary: string }[] = [];
  try {
    for (const [file, contents] of Object.entries(files)) {
      const folder = dirname(file);
      const temporary = join(folder, `.${basename(file)}.${randomUUID().slice(0, 8)}`);
      try {
        makeFolder(folder);
        pending.push({ file, temporary });
        writeFileSync(temporary, contents);
      } catch (error) {
        throw new InvalidInputError(`${file} cannot be written: ${reasonOf(error)}`, { cause: error });
      }
    }
    for (const { file, temporary } of pending) {
      try {
        renameSync(temporary, file);
      } catch (error) {
        throw new InvalidInputError(`${file} cannot be written: ${reasonOf(error)}`, { cause: error });
      }
    }
  } finally {
    for (const { temporary } of pending) rmSync(temporary, { force: true });
  }
};
