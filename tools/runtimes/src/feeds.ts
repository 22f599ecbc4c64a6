import { elementCount, InvalidInputError } from '@dgconv/core';
import type { TensorSpec } from './runtime.js';

/**
 * The arrays of `feeds` in the order of `inputs`.
 * @throws {InvalidInputError} if a name is missing or unknown, or a length does not fit.
 */
export function feedsInOrder(
  inputs: readonly TensorSpec[],
  feeds: Readonly<Record<string, Float32Array>>,
): Float32Array[] {
  const known = new Set(inputs.map(({ name }) => name));
  const unknown = Object.keys(feeds).find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new InvalidInputError(`there is no input '${unknown}'; the model's inputs are ${[...known].join(', ')}`);
  }
  return inputs.map(({ name, shape }) => {
    const data = feeds[name];
    if (data === undefined) throw new InvalidInputError(`input '${name}' is missing`);
    if (data.length !== elementCount(shape)) {
      throw new InvalidInputError(
        `input '${name}' has ${data.length} values, its shape [${shape.join(', ')}] needs ${elementCount(shape)}`,
      );
    }
    return data;
  });
}
