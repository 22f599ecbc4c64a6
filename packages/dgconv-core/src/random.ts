import { InvalidInputError } from './errors.js';

/** State of a {@link RandomSource}: four unsigned 32-bit words. */
export type RandomState = readonly [number, number, number, number];

/**
 * Deterministic random numbers, the same on every machine: xoshiro128** (Blackman and Vigna, arXiv:1805.01407), seeded by
 * splitmix32. Its state is four words, so that a checkpoint can hold it.
 */
export class RandomSource {
  readonly #state: Uint32Array;

  /** @throws {InvalidInputError} if the seed is not an integer that a double holds exactly. */
  constructor(seed: number | RandomState) {
    if (typeof seed !== 'number') {
      this.#state = Uint32Array.from(seed);
      return;
    }
    if (!Number.isSafeInteger(seed)) {
      throw new InvalidInputError(`seed ${seed}: a seed is an integer between -(2^53 - 1) and 2^53 - 1`);
    }
    const high = Math.floor(seed / 2 ** 32);
    this.#state = Uint32Array.from({ length: 4 }, (_, index) =>
      mix(mix((seed % 2 ** 32) + (index + 1) * 0x9e3779b9) + high),
    );
  }

  /** The place in the sequence; `new RandomSource(state)` goes on from there. */
  get state(): RandomState {
    const [a = 0, b = 0, c = 0, d = 0] = this.#state;
    return [a, b, c, d];
  }

  /** An unsigned 32-bit integer. */
  nextUint32(): number {
    const s = this.#state;
    const scrambled = Math.imul(s[1]!, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.nextUint32() >>> 5) * 2 ** 26 + (this.nextUint32() >>> 6)) / 2 ** 53;
  }

  /** Uniform among 0 … bound-1. */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** Normal with mean 0 and standard deviation 1 (Box and Muller; one of the pair, so that the state is all there is). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher and Yates). */
  shuffle<Element>(array: { [index: number]: Element; readonly length: number }): void {
    for (let last = array.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const swapped = array[last]!;
      array[last] = array[other]!;
      array[other] = swapped;
    }
  }
}

/** The finaliser of splitmix32: a bijection of 32-bit words that spreads every bit. */
function mix(word: number): number {
  let mixed = word | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
