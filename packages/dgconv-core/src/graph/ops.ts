import type { Connectivity } from './connectivity.js';
import type { Shape } from './shape.js';
import type { Weight } from './weights.js';

/** Zero padding in pixels. */
export interface Padding {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** The pointwise functions without parameters. */
export const plainActivations = [
  'identity',
  'relu',
  'relu6',
  'sigmoid',
  'hard-swish',
  'swish',
  'tanh',
  'exp',
  'sqrt',
  'abs',
  'negate',
  'gelu',
  'softplus',
  'erf',
  'log',
  'floor',
  'ceil',
  'reciprocal',
] as const;

/** A pointwise function; `alpha` and `beta` mean: leaky-relu slope; clip min, max; hard-sigmoid slope, offset; elu alpha. */
export type Activation =
  | { readonly function: (typeof plainActivations)[number] }
  | { readonly function: 'leaky-relu' | 'elu'; readonly alpha: number }
  | { readonly function: 'clip' | 'hard-sigmoid'; readonly alpha: number; readonly beta: number };

export type ActivationFunction = Activation['function'];

/** Window of a convolution or pooling: kernel, strides and dilations in pixels, `[height, width]`. */
export interface Window {
  readonly kernelSize: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly padding: Padding;
}

/**
 * Attributes of each op. Values are NHWC; one output each.
 *
 * - `conv2d` x [N,H,W,C_in] (, residual [N,H',W',C_out]) → `activation(conv(pre(x)) + bias + residual)`; `pre` is the
 *   affine of the slots `preScale`, `preShift` followed by ReLU (CondenseNet), applied before zero padding.
 * - `conv2d-transpose` kernel `[C_in, C_out/G, kh, kw]` as in PyTorch; `outputPadding` adds rows and columns at the bottom and right.
 * - `dense` x [N, C_in] → [N, C_out].
 * - `matmul` [..., M, K] × [..., K, N], both values.
 * - `binary` numpy broadcasting. `constant` has no input.
 * - `take` picks `indices` (duplicates allowed) along `axis`; on the channel axis with a permutation it is a channel shuffle.
 * - `slice` takes `[starts, starts + sizes·steps)`; a `sizes[0]` of a batchable graph is the batch.
 * - `average-pool` `countPadding` says whether padded zeros count in the divisor; `ceilMode` is resolved into `padding` by importers.
 * - `reshape` `shape` is for batch 1; when `shape[0]` and the input's first dimension are 1 it follows the batch.
 */
export interface AttrsByOp {
  readonly conv2d: Window & {
    readonly connectivity: Connectivity;
    readonly pre: 'none' | 'affine-relu';
    readonly activation: Activation;
  };
  readonly 'conv2d-transpose': Window & {
    readonly channelsIn: number;
    readonly channelsOut: number;
    readonly groups: number;
    readonly outputPadding: readonly [number, number];
    readonly activation: Activation;
  };
  readonly dense: { readonly channelsIn: number; readonly channelsOut: number; readonly activation: Activation };
  readonly matmul: Record<never, never>;
  readonly 'batch-norm': { readonly channels: number; readonly epsilon: number };
  readonly affine: { readonly channels: number };
  readonly activation: { readonly activation: Activation };
  readonly prelu: { readonly channels: number };
  readonly binary: { readonly function: BinaryFunction; readonly activation: Activation };
  readonly constant: { readonly shape: Shape };
  readonly softmax: { readonly axis: number };
  readonly 'max-pool': Window;
  readonly 'average-pool': Window & { readonly countPadding: boolean };
  readonly reduce: {
    readonly function: 'mean' | 'sum' | 'max' | 'min';
    readonly axes: readonly number[];
    readonly keepDims: boolean;
  };
  readonly concat: { readonly axis: number };
  readonly slice: {
    readonly starts: readonly number[];
    readonly sizes: readonly number[];
    readonly steps: readonly number[];
  };
  readonly pad: {
    readonly before: readonly number[];
    readonly after: readonly number[];
    readonly mode: 'constant' | 'reflect' | 'edge';
    readonly value: number;
  };
  readonly resize: {
    readonly size: readonly [number, number];
    readonly mode: 'nearest' | 'linear';
    readonly coordinates: 'half-pixel' | 'pytorch-half-pixel' | 'align-corners' | 'asymmetric';
    readonly rounding: 'round-prefer-floor' | 'round-prefer-ceil' | 'floor' | 'ceil';
    /** Input pixels per output pixel where the format gives them (ONNX `scales`); otherwise input size / output size. */
    readonly scales: readonly [number, number] | null;
  };
  readonly transpose: { readonly permutation: readonly number[] };
  readonly reshape: { readonly shape: Shape };
  readonly take: { readonly axis: number; readonly indices: readonly number[] };
  readonly identity: Record<never, never>;
  readonly dropout: { readonly rate: number };
}

export type BinaryFunction = 'add' | 'subtract' | 'multiply' | 'divide' | 'maximum' | 'minimum' | 'power';

/**
 * Weight slots of each op and their logical shapes. Convolution kernels are output-major as in PyTorch and ONNX:
 *
 * - conv2d `kernel`: masked or learned `[C_out, C_in, kh, kw]`; with a Grouping, the connected (output, input) pairs, outputs
 *   ascending, then inputs ascending, each a `[kh, kw]` patch: `[C_out, C_in/G, kh, kw]` where all outputs have equally many
 *   inputs, else `[pairs, kh, kw]`.
 * - learned dgconv `gates` `[K]`; flgc `inputAssignment` S `[C_in, G]`, `outputAssignment` T `[C_out, G]`; condense `mask` `[C_out, C_in, 1, 1]`.
 * - dense `kernel` `[C_out, C_in]`. All others are vectors over channels; `constant` `value` has the attribute's shape.
 */
export interface WeightsByOp {
  readonly conv2d: {
    readonly kernel: Weight;
    readonly bias?: Weight;
    readonly preScale?: Weight;
    readonly preShift?: Weight;
    readonly gates?: Weight;
    readonly inputAssignment?: Weight;
    readonly outputAssignment?: Weight;
    readonly mask?: Weight;
  };
  readonly 'conv2d-transpose': { readonly kernel: Weight; readonly bias?: Weight };
  readonly dense: { readonly kernel: Weight; readonly bias?: Weight };
  readonly matmul: Record<never, never>;
  readonly 'batch-norm': {
    readonly gamma?: Weight;
    readonly beta?: Weight;
    readonly mean: Weight;
    readonly variance: Weight;
  };
  readonly affine: { readonly scale: Weight; readonly shift: Weight };
  readonly activation: Record<never, never>;
  readonly prelu: { readonly slope: Weight };
  readonly binary: Record<never, never>;
  readonly constant: { readonly value: Weight };
  readonly softmax: Record<never, never>;
  readonly 'max-pool': Record<never, never>;
  readonly 'average-pool': Record<never, never>;
  readonly reduce: Record<never, never>;
  readonly concat: Record<never, never>;
  readonly slice: Record<never, never>;
  readonly pad: Record<never, never>;
  readonly resize: Record<never, never>;
  readonly transpose: Record<never, never>;
  readonly reshape: Record<never, never>;
  readonly take: Record<never, never>;
  readonly identity: Record<never, never>;
  readonly dropout: Record<never, never>;
}

export type OpKind = keyof AttrsByOp;

/** One rule for every op: a missing op does not compile. */
export type OpTable<Rules extends Record<OpKind, unknown>> = { readonly [K in OpKind]: Rules[K] };
