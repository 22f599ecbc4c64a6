import { InvalidInputError } from '../errors.js';
import { Mask } from './mask.js';

/**
 * FLGC's hard assignment of channels to groups: the column of each row's maximum, the first one on a tie.
 * @param scores - `[channels, groups]`, rows contiguous; softmax does not move the maximum, so raw values serve.
 * @returns `[channels]`, values in `[0, groups)`.
 * @throws {InvalidInputError} if the length does not fit or a score is NaN.
 * @see Wang et al. 2019, arXiv:1904.00346
 */
export function hardAssignment(scores: ArrayLike<number>, channels: number, groups: number): number[] {
  if (scores.length !== channels * groups)
    throw new InvalidInputError(
      `${scores.length} assignment scores do not fit ${channels} channels × ${groups} groups`,
    );
  return Array.from({ length: channels }, (_, channel) => {
    let best = 0;
    for (let group = 0; group < groups; group++) {
      const score = scores[channel * groups + group]!;
      if (Number.isNaN(score)) throw new InvalidInputError(`assignment score [${channel}, ${group}] is NaN`);
      if (score > scores[channel * groups + best]!) best = group;
    }
    return best;
  });
}

/**
 * FLGC's mask `T · Sᵀ` of hard assignments: an output sees the inputs of its group.
 * @param inputGroups - `[channelsIn]`
 * @param outputGroups - `[channelsOut]`
 * @returns `[channelsOut, channelsIn]`
 */
export function assignmentMask(inputGroups: readonly number[], outputGroups: readonly number[]): Mask {
  const members = new Map<number, number[]>();
  inputGroups.forEach((group, input) => {
    const inputs = members.get(group);
    if (inputs === undefined) members.set(group, [input]);
    else inputs.push(input);
  });
  return Mask.fromSupports(
    inputGroups.length,
    outputGroups.map((group) => members.get(group) ?? []),
  );
}
