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
  /** Pause before each turn, in milliseconds: thread pools spin for a while after a run and would take a core from the next. */
  readonly settleMs?: number;
  readonly onRound?: (done: number, total: number) => void;
}

/** Times of one subject, in milliseconds, sorted. */
export interface Timing {
  readonly name: string;
  /** The very first run, which pays for lazy initialisation. */
  readonly firstMs: number;
  readonly sortedMs: readonly number[];
}

/** Each turn is timed over at least so long and at most so many runs, so that the clock's resolution does not show. */
const turn = { leastMs: 2, mostRuns: 20 } as const;

/**
 * Runs all subjects in turn, round by round, so that a drift of the machine's speed meets all of them alike; every other
 * round goes backwards, so that nobody always runs after the same neighbour. A turn is a few runs in a row, as in use; the
 * first of them is not timed, because it fetches back what the neighbours have pushed out of the caches.
 */
export async function interleave(subjects: readonly Subject[], options: InterleaveOptions): Promise<Timing[]> {
  const samples = subjects.map((): number[] => []);
  const firsts: number[] = [];
  const total = options.warmup + options.rounds;
  for (let round = 0; round < total; round++) {
    const order = subjects.map((_, index) => (round % 2 === 0 ? index : subjects.length - 1 - index));
    for (const index of order) {
      const subject = subjects[index]!;
      if (options.settleMs) await new Promise((resolve) => setTimeout(resolve, options.settleMs));
      const start = performance.now();
      await subject.run();
      firsts[index] ??= performance.now() - start;
      if (round < options.warmup) continue;
      const begin = performance.now();
      let runs = 0;
      let elapsed = 0;
      while (runs === 0 || (elapsed < turn.leastMs && runs < turn.mostRuns)) {
        await subject.run();
        runs++;
        elapsed = performance.now() - begin;
      }
      samples[index]!.push(elapsed / runs);
    }
    options.onRound?.(round + 1, total);
  }
  return subjects.map(({ name }, index) => ({
    name,
    firstMs: firsts[index] ?? Number.NaN,
    sortedMs: samples[index]!.sort((a, b) => a - b),
  }));
}

/** The middle of sorted numbers; of an even count, the mean of the middle two. */
export function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
