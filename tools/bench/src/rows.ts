import type { RuntimeName } from '@dgconv/runtimes';
import { arch, cpus } from 'node:os';
import { median, type Timing } from './interleave.js';

/** What a share is of: the FMA peak of a core, or a loop of multiply-adds in WebAssembly's registers. */
export type PeakKind = 'native' | 'wasm';

/** The peak that a runtime's shares are of. */
export const peakOf: { readonly [R in RuntimeName]: PeakKind } = {
  edge: 'native',
  'edge-wasm': 'wasm',
  'edge-arm64': 'native',
  ort: 'native',
  litert: 'wasm',
};

/** One model in one runtime; the JSON of `dgconv bench` has a list of them. */
export interface BenchRow {
  readonly name: string;
  readonly runtime: RuntimeName;
  readonly threads: number;
  readonly loadMs: number;
  /** The first run after loading. */
  readonly firstMs: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** 2·MACs of convolutions and dense layers / median; null where the MACs are not known. */
  readonly gflops: number | null;
  /** What the shares are of, {@link peakOf} of the runtime for one core, measured in the same run; null where it cannot be. */
  readonly peakGflops: number | null;
  /** {@link gflops} as a share of {@link peakGflops} of all threads. */
  readonly peakShare: number | null;
  /** The same, counting only multiply-adds that do not fall on zero padding. */
  readonly executedPeakShare: number | null;
  /** Median of ONNX Runtime on the same network in the same run / this median: above 1 is faster than ONNX Runtime. */
  readonly speedup: number | null;
  /** Largest resident memory of a process that does nothing but load and run this; null where it was not measured. */
  readonly peakMemoryBytes: number | null;
}

export interface BenchResult {
  readonly cpu: string;
  /** FMA peak of one core in this run, GFLOP/s, median; null without the native engine. */
  readonly peakGflops: number | null;
  /** A loop of multiply-adds in WebAssembly's registers in this run, GFLOP/s, median; null if no runtime is WebAssembly. */
  readonly wasmPeakGflops: number | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly BenchRow[];
}

/** What was timed, and the figures that do not come from the clock. */
export interface RowFacts {
  readonly name: string;
  readonly runtime: RuntimeName;
  readonly threads: number;
  readonly loadMs: number;
  readonly macs: number | null;
  readonly executedMacs: number | null;
  readonly peakMemoryBytes: number | null;
}

/** Rows of one network: {@link facts} and {@link timings} in the same order. */
export function rowsOf(
  facts: readonly RowFacts[],
  timings: readonly Timing[],
  peaks: { readonly [K in PeakKind]: number | null },
): BenchRow[] {
  const medians = timings.map(({ sortedMs }) => median(sortedMs));
  const peer = facts.findIndex(({ runtime }) => runtime === 'ort');
  return facts.map(({ macs, executedMacs, ...fact }, index) => {
    const { firstMs, sortedMs } = timings[index]!;
    const gflopsOf = (count: number | null) => (count === null ? null : (2 * count) / (medians[index]! * 1e6));
    const peakGflops = peaks[peakOf[fact.runtime]];
    const share = (gflops: number | null) =>
      gflops === null || peakGflops === null ? null : gflops / (peakGflops * fact.threads);
    return {
      ...fact,
      firstMs,
      medianMs: medians[index]!,
      minMs: sortedMs[0]!,
      maxMs: sortedMs.at(-1)!,
      gflops: gflopsOf(macs),
      peakGflops,
      peakShare: share(gflopsOf(macs)),
      executedPeakShare: share(gflopsOf(executedMacs)),
      speedup: peer < 0 ? null : medians[peer]! / medians[index]!,
    };
  });
}

/** Name of the CPU, and what kind it is. */
export const cpuName = (): string => `${cpus()[0]?.model.trim() ?? 'unknown CPU'} (${arch()})`;
