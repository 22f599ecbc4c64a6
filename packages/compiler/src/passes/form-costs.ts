import { costTables, type CostTable, type Machine, type MultiplyAddTimes } from './form-cost-tables.js';

/** What an ONNX or TFLite file is tuned for. `.edge` files are the same everywhere. */
export type Target = 'generic' | Machine;

/** The names of all targets. */
export const targets: readonly Target[] = ['generic', 'arm64', 'x64', 'wasm'];

/** A convolution with groups of one size. */
export interface GroupedWork {
  /** Connected pairs of channels. */
  readonly connections: number;
  /** The smaller side of a group. */
  readonly channelsPerGroup: number;
  /** Of the output. */
  readonly pixels: number;
  /** Of the kernel. */
  readonly positions: number;
}

/** Predicted times on one target, in multiply-adds of a dense 3×3 convolution of the same runtime. */
export interface FormCosts {
  convolution(work: GroupedWork): number;
  /** Putting so many values elsewhere: a gather of channels. */
  move(values: number): number;
  /** Copying so many values in runs: slices, concatenations. */
  copy(values: number): number;
  /** Starting so many more operations. */
  start(operations: number): number;
  /** Running groups of several sizes one after the other, `values` being read and written by all of them. */
  buckets(count: number, values: number): number;
  /** Multiply-adds of a dense convolution a nanosecond, where the target is one machine that was measured. */
  readonly rate: number | undefined;
}

/**
 * What `generic` stands for: ONNX Runtime is mostly run on x64, where small groups cost it most; the other runtimes are run
 * everywhere.
 */
const genericMachines: Readonly<Record<'onnx' | 'tflite' | 'edge', readonly Machine[]>> = {
  onnx: ['x64'],
  tflite: ['x64', 'arm64', 'wasm'],
  edge: ['x64', 'arm64', 'wasm'],
};

/** The predicted times of a format's runtime on a target, from measurements (`form-cost-tables.ts`). */
export function formCosts(format: 'onnx' | 'tflite' | 'edge', target: Target): FormCosts {
  const tables = costTables[format];
  // Of several machines the geometric mean, so that none counts more than another.
  const chosen = (target === 'generic' ? genericMachines[format] : [target]).map((machine) => tables[machine]);
  const mean = (of: (table: CostTable) => number): number =>
    Math.exp(chosen.reduce((sum, table) => sum + Math.log(of(table)), 0) / chosen.length);
  const [move, copy, start] = [mean((table) => table.move), mean((table) => table.copy), mean((table) => table.start)];
  return {
    convolution: ({ connections, channelsPerGroup, pixels, positions }) => {
      const time = mean((table) => timeAt(positions > 1 ? table.window : table.pointwise, channelsPerGroup));
      return connections * pixels * positions * time;
    },
    move: (values) => values * move,
    copy: (values) => values * copy,
    start: (operations) => operations * start,
    // Our engine reads and writes slices where they lie; other formats cut them out and join the results.
    buckets: (count, values) => (format === 'edge' ? count * start : 2 * count * start + values * copy),
    rate: target === 'generic' ? undefined : tables[target].rate,
  };
}

function timeAt(table: MultiplyAddTimes, channels: number): number {
  const above = table.findIndex(([size]) => size >= channels);
  if (above < 0) return table.at(-1)![1];
  const [upperSize, upperTime] = table[above]!;
  if (above === 0 || upperSize === channels) return upperTime;
  const [lowerSize, lowerTime] = table[above - 1]!;
  const share = Math.log(channels / lowerSize) / Math.log(upperSize / lowerSize);
  return Math.exp((1 - share) * Math.log(lowerTime) + share * Math.log(upperTime));
}
