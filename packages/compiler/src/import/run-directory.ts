import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidInputError } from '@dgconv/core';

/**
 * The model file of a run directory, which carries the graph, its best weights, preprocessing and class names.
 * @throws {InvalidInputError} if the directory has none.
 */
export function modelFileOf(directory: string): string {
  const file = join(directory, 'model.safetensors');
  if (existsSync(file)) return file;
  throw new InvalidInputError(
    existsSync(join(directory, 'run.json'))
      ? `${directory} has no model.safetensors yet: its training did not finish; \`dgconv train --resume --out ${directory}\` goes on`
      : `${directory} is no run directory: it has no model.safetensors, which \`dgconv train\` writes`,
  );
}
