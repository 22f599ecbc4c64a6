/**
 * Time of one multiply-add by channels a group (the smaller side), in units of one in a dense convolution of the same runtime with
 * such a kernel.
 * Between the entries the logarithms are interpolated; the last entry stands for everything wider.
 */
export type MultiplyAddTimes = readonly (readonly [channels: number, time: number])[];

/** What one runtime on one machine needs for what the compiler can choose between. */
export interface CostTable {
  /** Multiply-adds a nanosecond in a dense 3×3 convolution; absent where instructions were counted, not time. */
  readonly rate?: number;
  /** Kernels of more than one position. */
  readonly window: MultiplyAddTimes;
  /** 1×1 kernels. */
  readonly pointwise: MultiplyAddTimes;
  /** Multiply-adds of a dense convolution that take as long as putting one value elsewhere (a gather of channels). */
  readonly move: number;
  /** The same for copying a value within a run of channels (slices and concatenations). */
  readonly copy: number;
  /** The same for starting one more operation. */
  readonly start: number;
}

/** The machines that something is known about. */
export type Machine = 'x64' | 'arm64' | 'wasm';

/*
 * x64 and wasm: `node scripts/measure-forms.mjs RUNTIME` on one EPYC core (Zen 4, AVX-512), the best of 9 rounds of processor time,
 * 128 channels at 56² and 256 at 28², geometric mean of both. Run it on your own machine to see what it gives there.
 */

/** ONNX Runtime 1.30. */
const onnxX64: CostTable = {
  rate: 56,
  window: [
    [1, 3.0],
    [2, 9.4],
    [4, 5.4],
    [8, 3.3],
    [16, 1.2],
    [32, 1.1],
    [64, 1.04],
  ],
  pointwise: [
    [1, 20],
    [2, 12.8],
    [4, 6.1],
    [8, 3.6],
    [16, 1.75],
    [32, 1.4],
    [64, 1.16],
  ],
  move: 9,
  copy: 6,
  start: 35_000,
};

/** ONNX Runtime Web 1.30 in Node 20, one thread. */
const onnxWasm: CostTable = {
  rate: 13.6,
  window: [
    [1, 5.5],
    [2, 3.85],
    [4, 2.35],
    [8, 1.7],
    [16, 1.35],
    [32, 1.15],
    [64, 1.06],
  ],
  pointwise: [
    [1, 8.3],
    [2, 5.6],
    [4, 3.2],
    [8, 2.1],
    [16, 1.45],
    [32, 1.25],
    [64, 1.11],
  ],
  move: 10,
  copy: 4,
  start: 22_000,
};

/** PyPI's ai-edge-litert 2.3 with XNNPACK. */
const tfliteX64: CostTable = {
  rate: 51.5,
  window: [
    [1, 2.35],
    [2, 15],
    [4, 6.4],
    [8, 2.95],
    [16, 1.6],
    [32, 1.2],
    [64, 1.05],
  ],
  pointwise: [
    [1, 7.7],
    [2, 47],
    [4, 11.2],
    [8, 4.1],
    [16, 1.85],
    [32, 1.4],
    [64, 1.08],
  ],
  move: 120,
  copy: 8,
  start: 1600,
};

/** LiteRT.js 2.5 in Node 20; the start of an operation does not show and is XNNPACK's on x64. */
const tfliteWasm: CostTable = {
  rate: 15.9,
  window: [
    [1, 2.9],
    [2, 5.55],
    [4, 2.6],
    [8, 1.45],
    [16, 1.3],
    [32, 1.12],
    [64, 1.02],
  ],
  pointwise: [
    [1, 7.3],
    [2, 23],
    [4, 6.7],
    [8, 2.8],
    [16, 1.87],
    [32, 1.37],
    [64, 1.08],
  ],
  move: 113,
  copy: 6,
  start: 1600,
};

/** Our own engine, AVX-512. */
const edgeX64: CostTable = {
  rate: 57,
  window: [
    [1, 2.2],
    [2, 1.78],
    [4, 1.38],
    [8, 1.23],
    [16, 1.1],
    [32, 1.04],
    [64, 1.02],
  ],
  pointwise: [
    [1, 27],
    [2, 6.3],
    [4, 3.55],
    [8, 2.25],
    [16, 1.56],
    [32, 1.22],
    [64, 1.06],
  ],
  move: 19,
  copy: 10,
  start: 2800,
};

/** Our own engine, WebAssembly in Node 20. */
const edgeWasm: CostTable = {
  rate: 16.2,
  window: [
    [1, 2.9],
    [2, 2.16],
    [4, 1.7],
    [8, 1.32],
    [16, 1.15],
    [32, 1.07],
    [64, 1.02],
  ],
  pointwise: [
    [1, 50],
    [2, 10],
    [4, 7],
    [8, 3.4],
    [16, 2.08],
    [32, 1.48],
    [64, 1.17],
  ],
  move: 6,
  copy: 4,
  start: 1400,
};

/** What moves and starts cost where only convolutions were counted: the mean of x64 and WebAssembly. */
function meanOverheads(a: CostTable, b: CostTable): Pick<CostTable, 'move' | 'copy' | 'start'> {
  const mean = (one: number, other: number): number => Math.sqrt(one * other);
  return { move: mean(a.move, b.move), copy: mean(a.copy, b.copy), start: mean(a.start, b.start) };
}

/** Instructions for each 4-lane multiply-add by channels a group, against those of the dense convolution. */
function fromCounts(dense: number, counts: MultiplyAddTimes): MultiplyAddTimes {
  return [...counts.map(([channels, count]) => [channels, count / dense] as const), [128, 1]];
}

/*
 * arm64: instructions counted, not time measured: `node scripts/count-arm.mjs` under qemu's cortex-a76, one
 * convolution of 128 channels at 28² with bias and ReLU, the difference between three runs and one. How many of them a core does in a
 * nanosecond is not known here, so there is no rate.
 */

/** The arm64 library of onnxruntime-node 1.30. */
const onnxArm64: CostTable = {
  window: fromCounts(1.44, [
    [1, 8.95],
    [2, 9.4],
    [4, 5.38],
    [8, 3.46],
    [16, 2.4],
    [32, 1.85],
  ]),
  pointwise: fromCounts(1.32, [
    [1, 12.95],
    [2, 8.9],
    [4, 4.45],
    [8, 2.78],
    [16, 1.99],
    [32, 1.6],
  ]),
  ...meanOverheads(onnxX64, onnxWasm),
};

/** LiteRT's arm64 library, 3×3 at 56² only: what was not counted lies between, and 1×1 is taken to be alike. */
const tfliteArm64Counts = fromCounts(1.3, [
  [2, 10.9],
  [4, 6.23],
  [8, 1.75],
]);
const tfliteArm64: CostTable = {
  window: tfliteArm64Counts,
  pointwise: tfliteArm64Counts,
  ...meanOverheads(tfliteX64, tfliteWasm),
};

/** Our own engine, NEON. */
const edgeArm64: CostTable = {
  window: fromCounts(1.19, [
    [1, 2.57],
    [2, 2.38],
    [4, 1.38],
    [8, 1.3],
    [16, 1.24],
    [32, 1.21],
  ]),
  pointwise: fromCounts(1.28, [
    [2, 3.74],
    [4, 2.15],
    [8, 1.95],
    [16, 1.58],
    [32, 1.41],
  ]),
  ...meanOverheads(edgeX64, edgeWasm),
};

/** The measured tables, by format and machine. */
export const costTables: Readonly<Record<'onnx' | 'tflite' | 'edge', Readonly<Record<Machine, CostTable>>>> = {
  onnx: { x64: onnxX64, arm64: onnxArm64, wasm: onnxWasm },
  tflite: { x64: tfliteX64, arm64: tfliteArm64, wasm: tfliteWasm },
  edge: { x64: edgeX64, arm64: edgeArm64, wasm: edgeWasm },
};
