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
  /** Begins a turn when the process is idle: thread pools spin after a run (ONNX Runtime's for tens of milliseconds) and would take a core from the next. */
  readonly settle?: boolean;
  readonly onRound?: (done: number, total: number) => void;
  /** The clock, in milliseconds; without it the machine's. */
  readonly now?: () => number;
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

/** Each turn begins with so many runs that are not timed, fewer if they take long. */
const untimed = { mostRuns: 3, mostMs: 10 } as const;

const idle = { windowMs: 5, mostShare: 0.2, mostWindows: 100 } as const;

/** Waits until this process, all threads of it, uses next to no processor time, but half a second at most. */
async function untilIdle(): Promise<void> {
  for (let window = 0; window < idle.mostWindows; window++) {
    const before = process.cpuUsage();
    const start = performance.now();
    await new Promise((resolve) => setTimeout(resolve, idle.windowMs));
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 < idle.mostShare * (performance.now() - start)) return;
  }
}

/**
 * Runs all subjects in turn, round by round, so that a drift of the machine's speed meets all of them alike; every other
 * round goes backwards, so that nobody always runs after the same neighbour. A turn is a few runs in a row, as in use; the
 * first three of them are not timed, because they fetch back what the neighbours have pushed out of the caches: a cache that
 * keeps what others evict, as AMD's third level does, has all of it only after two. What takes long needs fewer.
 */
export async function interleave(subjects: readonly Subject[], options: InterleaveOptions): Promise<Timing[]> {
  const now = options.now ?? (() => performance.now());
  const samples = subjects.map((): number[] => []);
  const firsts: number[] = [];
  const total = options.warmup + options.rounds;
  for (let round = 0; round < total; round++) {
    const order = subjects.map((_, index) => (round % 2 === 0 ? index : subjects.length - 1 - index));
    for (const index of order) {
      const subject = subjects[index]!;
      if (options.settle) await untilIdle();
      const start = now();
      await subject.run();
      firsts[index] ??= now() - start;
      for (let run = 1; run < untimed.mostRuns && now() - start < untimed.mostMs; run++) await subject.run();
      if (round < options.warmup) continue;
      const begin = now();
      let runs = 0;
      let elapsed = 0;
      while (runs === 0 || (elapsed < turn.leastMs && runs < turn.mostRuns)) {
        await subject.run();
        runs++;
        elapsed = now() - begin;
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
