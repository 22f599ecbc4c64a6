/** What an ONNX or TFLite file is tuned for. `.edge` files are the same everywhere. */
export type Target = 'generic' | 'arm64' | 'x64' | 'wasm';

/** The names of all targets. */
export const targets: readonly Target[] = ['generic', 'arm64', 'x64', 'wasm'];

/**
 * Time of one multiply-add by channels a group (the smaller side), in units of one in a dense convolution of the same runtime.
 * Between the entries the logarithms are interpolated; the last entry stands for everything wider.
 */
type MultiplyAddTimes = readonly (readonly [channels: number, time: number])[];

/** ONNX Runtime 1.32 on an EPYC core (AVX-512), 3×3, 128 channels, 56²: GFLOP/s 28, 12.5, 23, 38, 97, 104, dense 114. */
const onnxX64: MultiplyAddTimes = [
  [1, 114 / 28],
  [2, 114 / 12.5],
  [4, 114 / 23],
  [8, 114 / 38],
  [16, 114 / 97],
  [32, 114 / 104],
  [64, 1],
];

/** LiteRT's XNNPACK on the same core and convolutions: GFLOP/s 23, 7.2, 15, 37, 66, 85, dense 103. */
const tfliteX64: MultiplyAddTimes = [
  [1, 103 / 23],
  [2, 103 / 7.2],
  [4, 103 / 15],
  [8, 103 / 37],
  [16, 103 / 66],
  [32, 103 / 85],
  [64, 1],
];

/** ONNX Runtime's arm64 library, instructions per 4-lane multiply-add counted under qemu: 7.25, 4.23, 2.86, 2.06; dense 1.4. */
const onnxArm64: MultiplyAddTimes = [
  [2, 7.25 / 1.4],
  [4, 4.23 / 1.4],
  [8, 2.86 / 1.4],
  [16, 2.06 / 1.4],
  [64, 1],
];

/** LiteRT's arm64 library, counted likewise: 10.9, 6.23, 1.75; dense 1.4. */
const tfliteArm64: MultiplyAddTimes = [
  [2, 10.9 / 1.4],
  [4, 6.23 / 1.4],
  [8, 1.75 / 1.4],
  [64, 1],
];

const tables: Readonly<Record<'onnx' | 'tflite', Readonly<Record<Target, MultiplyAddTimes>>>> = {
  onnx: { generic: onnxX64, x64: onnxX64, arm64: onnxArm64, wasm: onnxX64 },
  tflite: { generic: tfliteX64, x64: tfliteX64, arm64: tfliteArm64, wasm: tfliteX64 },
};

/** Multiply-adds of a dense convolution that take as long as moving one value (read, written, an op of its own). */
const movePrice = 16;

/** Multiply-adds of a dense convolution that take as long as starting one more operation: about 4 µs at 57 multiply-adds a ns. */
const operationPrice = 200_000;

/** Predicted times on one target, in multiply-adds of a dense convolution. */
export interface FormCosts {
  /** A convolution with `connections` channel pairs at `taps` kernel positions times output pixels. */
  convolution(connections: number, taps: number, channelsPerGroup: number): number;
  move(values: number): number;
  /** Starting so many more operations. */
  start(operations: number): number;
}

/** The edge runtime's kernels are as fast for small groups as for dense convolutions. */
const edge: MultiplyAddTimes = [[1, 1]];

/** The predicted times of a format's runtime on a target, from measurements. */
export function formCosts(format: 'onnx' | 'tflite' | 'edge', target: Target): FormCosts {
  const table = format === 'edge' ? edge : tables[format][target];
  return {
    convolution: (connections, taps, channelsPerGroup) => connections * taps * timeAt(table, channelsPerGroup),
    move: (values) => values * movePrice,
    start: (operations) => operations * operationPrice,
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
