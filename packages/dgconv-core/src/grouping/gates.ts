import { InvalidInputError } from '../errors.js';

/** Greatest common divisor of two positive integers. */
export function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}

/** Prime factors with multiplicity, ascending; none for 1. */
export function primeFactors(value: number): number[] {
  const factors: number[] = [];
  let rest = value;
  for (let prime = 2; prime * prime <= rest; prime++)
    while (rest % prime === 0) {
      factors.push(prime);
      rest /= prime;
    }
  if (rest > 1) factors.push(rest);
  return factors;
}

/**
 * Sizes of the Kronecker factors that gates control, outermost first: the prime factors of `gcd(channelsOut, channelsIn)`, ascending.
 * For equal powers of two they are the paper's 2×2 factors.
 * @returns `[K]`, one for each gate.
 * @throws {InvalidInputError} unless both counts are positive integers.
 * @see Zhang et al. 2019, arXiv:1908.05867, extended to any channel counts.
 */
export function gateFactors(channelsOut: number, channelsIn: number): number[] {
  for (const channels of [channelsOut, channelsIn])
    if (!Number.isSafeInteger(channels) || channels < 1)
      throw new InvalidInputError(`a layer has ${channels} channels: a positive integer is needed`);
  return primeFactors(greatestCommonDivisor(channelsOut, channelsIn));
}

/** How many gates a layer has: the number of prime factors of `gcd(channelsOut, channelsIn)`. */
export function gateCount(channelsOut: number, channelsIn: number): number {
  return gateFactors(channelsOut, channelsIn).length;
}

/**
 * Hard gates: 1 (merge) iff the raw value is > 0, else 0 (split); 0 is off.
 * @param gates - `[K]` raw gates.
 * @returns `[K]`, each 0 or 1.
 * @throws {InvalidInputError} if a gate is not a number.
 */
export function hardGates(gates: ArrayLike<number>): (0 | 1)[] {
  return Array.from(gates, (gate, index) => {
    if (typeof gate !== 'number' || Number.isNaN(gate))
      throw new InvalidInputError(
        `gate ${index} is ${String(gate)}: a gate must be a number, it is on where it is > 0`,
      );
    return gate > 0 ? 1 : 0;
  });
}

/** A hard gate with the size of its Kronecker factor. */
export interface GateFactor {
  readonly size: number;
  readonly isMerge: boolean;
}

/**
 * The Kronecker factors of a layer, outermost first, each ones (merge) or identity (split).
 * @throws {InvalidInputError} if the number of gates does not fit the channel counts, or a gate is NaN.
 */
export function hardFactors(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): GateFactor[] {
  const sizes = gateFactors(channelsOut, channelsIn);
  if (gates.length !== sizes.length)
    throw new InvalidInputError(
      `${gates.length} gates do not fit ${channelsIn} → ${channelsOut} channels: gcd ${greatestCommonDivisor(channelsOut, channelsIn)} ` +
        `= ${sizes.join('·') || '1'} needs ${sizes.length}`,
    );
  return hardGates(gates).map((gate, index) => ({ size: sizes[index]!, isMerge: gate === 1 }));
}
