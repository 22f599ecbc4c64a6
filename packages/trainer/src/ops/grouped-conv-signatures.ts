import type * as tfc from '@tensorflow/tfjs-core';

/** Kernel: inputs {@link GroupedConv2DInputs}, attributes {@link GroupedConv2DAttrs} → y `[N, H', W', O]`. */
export const GroupedConv2D = 'GroupedConv2D';
/** Kernel: inputs {@link GroupedConv2DInputGradientInputs}, attributes {@link GroupedConv2DInputGradientAttrs} → dx `[N, H, W, I]`. */
export const GroupedConv2DInputGradient = 'GroupedConv2DInputGradient';
/** Kernel: inputs {@link GroupedConv2DFilterGradientInputs}, attributes {@link GroupedConv2DFilterGradientAttrs} → `[kh, kw, I/G, O]`. */
export const GroupedConv2DFilterGradient = 'GroupedConv2DFilterGradient';

/**
 * Kernel, only where an engine has it: inputs {@link GroupedConv2DFilterGradientInputs}, attributes
 * {@link GroupedConv2DFilterGradientsAttrs} → one `[kh, kw, I/G, O]` a pairing.
 */
export const GroupedConv2DFilterGradients = 'GroupedConv2DFilterGradients';

/**
 * A convolution in `groups` equal groups. Group g reads input channels `inputOrder[g·I/G … (g+1)·I/G)` and writes output
 * channels `outputOrder[g·O/G … (g+1)·O/G)`; null is the identity. Filters are indexed by position, so that the blocks of
 * a filter `[kh, kw, I/G, O]` are contiguous whatever the orders: column `p` makes output channel `outputOrder[p]`.
 */
export interface GroupedConv2DAttrs {
  readonly strides: readonly [height: number, width: number];
  /** Zeros around x, in pixels. */
  readonly padding: readonly [top: number, bottom: number, left: number, right: number];
  readonly dilations: readonly [height: number, width: number];
  readonly groups: number;
  readonly inputOrder: readonly number[] | null;
  readonly outputOrder: readonly number[] | null;
}

export interface GroupedConv2DInputs<T = tfc.Tensor> {
  /** `[N, H, W, I]` */
  readonly x: T;
  /** `[kh, kw, I/G, O]` */
  readonly filter: T;
}

export interface GroupedConv2DInputGradientInputs<T = tfc.Tensor> {
  /** `[N, H', W', O]` */
  readonly dy: T;
  /** `[kh, kw, I/G, O]` */
  readonly filter: T;
}

export interface GroupedConv2DInputGradientAttrs extends GroupedConv2DAttrs {
  /** `[N, H, W, I]` */
  readonly inputShape: readonly number[];
}

export interface GroupedConv2DFilterGradientInputs<T = tfc.Tensor> {
  /** `[N, H, W, I]` */
  readonly x: T;
  /** `[N, H', W', O]` */
  readonly dy: T;
}

export interface GroupedConv2DFilterGradientAttrs extends GroupedConv2DAttrs {
  /** `[kh, kw, I/G, O]` */
  readonly filterShape: readonly number[];
  /** `[G]`: output group g is paired with input group `inputGroups[g]`, not necessarily a permutation; null: with its own. */
  readonly inputGroups: readonly number[] | null;
}

/** Several filter gradients of one convolution. */
export interface GroupedConv2DFilterGradientsAttrs extends GroupedConv2DAttrs {
  /** `[kh, kw, I/G, O]` */
  readonly filterShape: readonly number[];
  /** `inputGroups` of each gradient, as in {@link GroupedConv2DFilterGradientAttrs}. */
  readonly pairings: readonly (readonly number[] | null)[];
}
