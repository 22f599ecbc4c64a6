/** A seeded source of random choices: the same seed, the same choices on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1): mulberry32, a 32-bit mixer with additive state. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]!;
  }

  /** A random order of 0 … length-1. */
  permutation(length: number): number[] {
    const order = Array.from({ length }, (_, index) => index);
    for (let index = length - 1; index > 0; index--) {
      const other = this.integer(0, index);
      [order[index], order[other]] = [order[other]!, order[index]!];
    }
    return order;
  }

  /** `count` of 0 … length-1, ascending. */
  subset(length: number, count: number): number[] {
    return this.permutation(length)
      .slice(0, count)
      .sort((left, right) => left - right);
  }
}
