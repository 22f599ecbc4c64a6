import { InvalidInputError } from '../errors.js';
import type { GroupBlock, Grouping } from './grouping.js';
import { checkPermutation } from './permutation.js';
import { canonicalGrouping } from './recognise.js';

/** More channels than any layer has; bounds what a hostile file can ask for. */
const mostChannels = 1 << 20;

/** @throws {InvalidInputError} unless `channels` is an integer from 1 to 2²⁰. */
export function checkChannelCount(channels: number, what: string): void {
  if (!Number.isInteger(channels) || channels < 1 || channels > mostChannels)
    throw new InvalidInputError(`${what} is ${channels}: it is an integer from 1 to ${mostChannels}`);
}

function checkBlocks(blocks: readonly GroupBlock[], channelsOut: number, channelsIn: number): void {
  for (const [name, limit] of [
    ['outputs', channelsOut],
    ['inputs', channelsIn],
  ] as const)
    for (const block of blocks)
      block[name].forEach((channel, index) => {
        if (!Number.isInteger(channel) || channel < 0 || channel >= limit)
          throw new InvalidInputError(`a block names ${channel} among its ${name}: they are 0 to ${limit - 1}`);
        if (index > 0 && channel <= block[name][index - 1]!)
          throw new InvalidInputError(`the ${name} of a block do not ascend at ${channel}`);
      });
}

/**
 * Checks that a grouping is what it says and in the canonical form that `recogniseGrouping` gives.
 * @throws {InvalidInputError} naming the rule that it breaks.
 */
export function checkGrouping(grouping: Grouping): void {
  const { channelsOut, channelsIn } = grouping;
  checkChannelCount(channelsOut, 'channelsOut');
  checkChannelCount(channelsIn, 'channelsIn');
  switch (grouping.kind) {
    case 'dense':
      return;
    case 'equal':
      if (!(grouping.groups >= 1) || channelsOut % grouping.groups || channelsIn % grouping.groups)
        throw new InvalidInputError(`${grouping.groups} groups do not divide ${channelsIn} → ${channelsOut} channels`);
      if (grouping.outputOrder.length !== channelsOut || grouping.inputOrder.length !== channelsIn)
        throw new InvalidInputError(
          `channel orders of ${grouping.outputOrder.length} outputs and ${grouping.inputOrder.length} inputs ` +
            `do not fit ${channelsIn} → ${channelsOut} channels`,
        );
      checkPermutation(grouping.outputOrder, 'outputOrder');
      checkPermutation(grouping.inputOrder, 'inputOrder');
      break;
    case 'unequal':
      checkBlocks(grouping.blocks, channelsOut, channelsIn);
      break;
    case 'shared-inputs':
    case 'shared-outputs':
      checkBlocks(grouping.classes, channelsOut, channelsIn);
      break;
    case 'unstructured':
      if (grouping.mask.rows !== channelsOut || grouping.mask.cols !== channelsIn)
        throw new InvalidInputError(
          `a mask [${grouping.mask.rows}, ${grouping.mask.cols}] does not fit ${channelsIn} → ${channelsOut} channels`,
        );
  }
  const canonical = canonicalGrouping(grouping);
  if (JSON.stringify(canonical, sortKeys) !== JSON.stringify(grouping, sortKeys))
    throw new InvalidInputError(
      `a grouping of kind '${grouping.kind}' with ${grouping.groups} groups is not in canonical form: ` +
        `its mask is '${canonical.kind}' with ${canonical.groups}`,
    );
}

function sortKeys(_: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}
