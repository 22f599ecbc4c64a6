import { InvalidInputError } from '../errors.js';

/**
 * The paper's budget of connections `o = Σ C² / b`: b = 32 allows what 32 groups everywhere have.
 * @param channels - channels of every learned layer.
 * @throws {InvalidInputError} unless `b` is positive and finite and every count is a positive integer.
 * @see Zhang et al. 2019, arXiv:1908.05867, Section 3.3
 */
export function budgetConnections(channels: readonly number[], b: number): number {
  if (!Number.isFinite(b) || b <= 0)
    throw new InvalidInputError(`budget b is ${b}: it must be positive and finite, the budget is Σ C² / b`);
  for (const count of channels)
    if (!Number.isSafeInteger(count) || count < 1)
      throw new InvalidInputError(`a layer has ${count} channels: a positive integer is needed`);
  return channels.reduce((sum, count) => sum + (count * count) / b, 0);
}
