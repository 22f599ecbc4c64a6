import { InvalidInputError } from '../errors.js';

/** `permutation[newPosition] = oldPosition`: `[C]`, each of 0 … C-1 once. */
export type Permutation = readonly number[];

/** @throws {InvalidInputError} unless each of 0 … C-1 occurs once; `what` names the permutation in the message. */
export function checkPermutation(permutation: Permutation, what = 'permutation'): void {
  const seen = new Uint8Array(permutation.length);
  permutation.forEach((old, position) => {
    if (!Number.isInteger(old) || old < 0 || old >= permutation.length)
      throw new InvalidInputError(
        `${what} has ${old} at position ${position}: entries are 0 to ${permutation.length - 1}`,
      );
    if (seen[old] === 1) throw new InvalidInputError(`${what} has ${old} twice`);
    seen[old] = 1;
  });
}

/** `[0, 1, …, length-1]` */
export function identityPermutation(length: number): Permutation {
  return Array.from({ length }, (_, index) => index);
}

export function isIdentityPermutation(permutation: Permutation): boolean {
  return permutation.every((old, position) => old === position);
}

/** `first`, then `second`: `result[p] = first[second[p]]`. */
export function composePermutations(first: Permutation, second: Permutation): Permutation {
  if (first.length !== second.length)
    throw new Error(`internal: permutations of ${first.length} and ${second.length} channels cannot be composed`);
  return second.map((position) => first[position]!);
}

/** `result[permutation[p]] = p` */
export function invertPermutation(permutation: Permutation): Permutation {
  const inverse = new Array<number>(permutation.length);
  permutation.forEach((old, position) => (inverse[old] = position));
  return inverse;
}

/** A permutation as reshape to `shape`, transpose by `axes` (result axis a is axis `axes[a]`), reshape back to `[C]`. */
export interface DigitPermutation {
  readonly shape: readonly number[];
  readonly axes: readonly number[];
}

/**
 * Writes a permutation as reshape-transpose-reshape with as few axes as possible, if it permutes the digits of the channel number
 * in some mixed radix (a bit permutation for powers of two); else null. The identity is one axis.
 */
export function recogniseDigitPermutation(permutation: Permutation): DigitPermutation | null {
  const digits: { size: number; stride: number }[] = [];
  const length = permutation.length;
  // Innermost digit first: the longest run that starts at 0 with one stride is a whole digit, since two digits in a row with
  // matching strides are one.
  let block = 1;
  while (block < length) {
    const stride = permutation[block]!;
    let size = 1;
    while (block * size < length && permutation[block * size] === stride * size) size++;
    if (size < 2 || length % (block * size) !== 0) return null;
    digits.push({ size, stride });
    block *= size;
  }
  const sorted = digits.map((_, index) => index).sort((left, right) => digits[right]!.stride - digits[left]!.stride);
  const shape = sorted.map((index) => digits[index]!.size);
  const axes = digits.map((_, index) => sorted.indexOf(index)).reverse();
  const candidate = length === 1 ? { shape: [1], axes: [0] } : { shape, axes };
  const rebuilt = digitPermutation(candidate);
  return rebuilt.length === length && rebuilt.every((old, position) => old === permutation[position])
    ? candidate
    : null;
}

/** The permutation that reshape-transpose-reshape stands for: the inverse of {@link recogniseDigitPermutation}. */
export function digitPermutation({ shape, axes }: DigitPermutation): Permutation {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  let result = [0];
  for (const axis of axes)
    result = result.flatMap((base) => Array.from({ length: shape[axis]! }, (_, k) => base + k * strides[axis]!));
  return result;
}

/** ShuffleNet's shuffle of `groups`: `out[k·G + g] = in[g·(C/G) + k]`. */
export function channelShuffle(channels: number, groups: number): Permutation {
  if (channels % groups !== 0)
    throw new InvalidInputError(`${channels} channels cannot be shuffled in ${groups} groups: not a multiple`);
  return digitPermutation({ shape: [groups, channels / groups], axes: [1, 0] });
}

/** The number of groups G > 1 for which a permutation is {@link channelShuffle}, or null. */
export function recogniseChannelShuffle(permutation: Permutation): number | null {
  const digits = recogniseDigitPermutation(permutation);
  return digits !== null && digits.shape.length === 2 ? digits.shape[0]! : null;
}
