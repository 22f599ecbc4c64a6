import { InvalidInputError } from '../errors.js';
import type { Grouping } from './grouping.js';
import { identityPermutation } from './permutation.js';

/**
 * Contiguous groups: channel c of C belongs to group `⌊c·groups/C⌋`, as in the grouped convolutions of every framework.
 * @throws {InvalidInputError} if a channel count is not a multiple of `groups`.
 */
export function contiguousGrouping(channelsOut: number, channelsIn: number, groups: number): Grouping {
  if (!Number.isInteger(groups) || groups < 1 || channelsOut % groups !== 0 || channelsIn % groups !== 0) {
    throw new InvalidInputError(
      `${channelsIn} input and ${channelsOut} output channels cannot be split into ${groups} groups: both must be multiples of the number of groups`,
    );
  }
  if (groups === 1) return { kind: 'dense', groups: 1, channelsOut, channelsIn };
  return {
    kind: 'equal',
    groups,
    channelsOut,
    channelsIn,
    outputOrder: identityPermutation(channelsOut),
    inputOrder: identityPermutation(channelsIn),
  };
}
