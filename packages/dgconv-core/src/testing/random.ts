import { RandomSource } from '../random.js';

/** A seeded source of random choices: the same seed, the same choices on every machine. */
export class Random extends RandomSource {
  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** A random order of 0 … length-1. */
  permutation(length: number): number[] {
    const order = Array.from({ length }, (_, index) => index);
    this.shuffle(order);
    return order;
  }

  /** `count` of 0 … length-1, ascending. */
  subset(length: number, count: number): number[] {
    return this.permutation(length)
      .slice(0, count)
      .sort((left, right) => left - right);
  }
}
