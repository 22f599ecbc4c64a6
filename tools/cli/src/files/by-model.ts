import type { ModelFormat } from '@dgconv/runtimes';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { formatOf } from '../artifacts.js';

/**
 * Files of one name are one network: each runtime takes the format that it runs. Where folders have files of the same name and
 * format, the name is the path.
 * @throws {UsageError} if a file is of no format of ours.
 */
export const filesByModel = (files: readonly string[]): Map<string, Partial<Record<ModelFormat, string>>> => {
  const different = [...new Map(files.map((file) => [resolve(file), file])).values()];
  const nameOf = (file: string): string => basename(file, extname(file));
  const isTaken = (file: string): boolean =>
    different.some((other) => other !== file && basename(other) === basename(file));
  const longNames = new Set(different.filter(isTaken).map(nameOf));
  const models = new Map<string, Partial<Record<ModelFormat, string>>>();
  for (const file of different) {
    const short = nameOf(file);
    const name = longNames.has(short) ? join(dirname(file), short) : short;
    models.set(name, { ...models.get(name), [formatOf(file)]: file });
  }
  return models;
};
