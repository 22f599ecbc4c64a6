import { performance } from 'node:perf_hooks';

/** Something to be timed. */
export interface Subject {
  readonly name: string;
  run(): Promise<void> | void;
}

export interface InterleaveOptions {
  /** Rounds before the first counted one. */
  readonly warmup: number;
  /** Counted rounds; every subject runs once in each. */
  readonly rounds: number;
  readonly onRound?: (done: number, total: number) => void;
}

/** Times of one subject, in milliseconds, sorted. */
export interface Timing {
  readonly name: string;
  /** The very first run, which pays for lazy initialisation. */
  readonly firstMs: number;
  readonly sortedMs: readonly number[];
}

/**
 * Runs all subjects in turn, round by round, so that a drift of the machine's speed meets all of them alike; every other
 * round goes backwards, so that nobody always runs after the same neighbour.
 */
export async function interleave(subjects: readonly Subject[], options: InterleaveOptions): Promise<Timing[]> {
  const samples = subjects.map((): number[] => []);
  const total = options.warmup + options.rounds;
  for (let round = 0; round < total; round++) {
    const order = subjects.map((_, index) => (round % 2 === 0 ? index : subjects.length - 1 - index));
    for (const index of order) {
      const start = performance.now();
      await subjects[index]!.run();
      samples[index]!.push(performance.now() - start);
    }
    options.onRound?.(round + 1, total);
  }
  return subjects.map(({ name }, index) => ({
    name,
    firstMs: samples[index]![0] ?? Number.NaN,
    sortedMs: samples[index]!.slice(options.warmup).sort((a, b) => a - b),
  }));
}

/** The middle of sorted numbers; of an even count, the mean of the middle two. */
export function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
