import type { Grouping } from '../grouping/grouping.js';
import type { Permutation } from '../grouping/permutation.js';
import type { Shape } from './shape.js';

/**
 * A weight as an expression over stored tensors: passes compose it, the floats are read once, one layer at a time, at emission.
 * Plain data, so that a graph is JSON.
 */
export type Weight =
  /** The tensor of this name in the `WeightSource`: the key in the public checkpoint, or the ONNX initialiser. */
  | { readonly kind: 'stored'; readonly name: string }
  | { readonly kind: 'literal'; readonly shape: Shape; readonly values: readonly number[] }
  | { readonly kind: 'fill'; readonly shape: Shape; readonly value: number }
  | { readonly kind: 'reshape'; readonly of: Weight; readonly shape: Shape }
  | { readonly kind: 'transpose'; readonly of: Weight; readonly permutation: readonly number[] }
  /** `indices` along `axis`, in that order. */
  | { readonly kind: 'take'; readonly of: Weight; readonly axis: number; readonly indices: readonly number[] }
  /** `of · by` with the vector `by` along `axis`. */
  | { readonly kind: 'scale'; readonly of: Weight; readonly axis: number; readonly by: Weight }
  /** Dense kernel `[O, I, kh, kw]` → the compact kernel of `grouping` (see `WeightsByOp`). */
  | { readonly kind: 'compact'; readonly of: Weight; readonly grouping: Grouping }
  /** Compact kernel of `grouping` → dense kernel with zeros. */
  | { readonly kind: 'expand'; readonly of: Weight; readonly grouping: Grouping }
  /** Compact kernel of `grouping` after channel o' of the result is output `outputOrder[o']` and i' is input `inputOrder[i']`. */
  | {
      readonly kind: 'reorder';
      readonly of: Weight;
      readonly grouping: Grouping;
      readonly outputOrder: Permutation;
      readonly inputOrder: Permutation;
    }
  /** Each compact patch scaled by `by[output]` of its pair, `by` a vector `[C_out]`. */
  | { readonly kind: 'scale-outputs'; readonly of: Weight; readonly grouping: Grouping; readonly by: Weight }
  /** Elementwise on equal shapes. */
  | { readonly kind: 'add' | 'subtract' | 'multiply'; readonly left: Weight; readonly right: Weight }
  /** `1 / √(of + epsilon)`, elementwise. */
  | { readonly kind: 'inverse-root'; readonly of: Weight; readonly epsilon: number }
  /** `Σ_{i,y,x} dense kernel[o, i, y, x] · by[i]`: what constant inputs contribute to each output, `[C_out]`. */
  | { readonly kind: 'contract-inputs'; readonly of: Weight; readonly by: Weight };

/** Where the floats live. `read` may load from disk each time; callers keep no more than they need. */
export interface WeightSource {
  readonly names: readonly string[];
  /** @throws {InvalidInputError} if there is no tensor of that name. */
  shape(name: string): Shape;
  read(name: string): Float32Array;
}
