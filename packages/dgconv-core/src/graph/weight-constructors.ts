import type { Grouping } from '../grouping/grouping.js';
import { composePermutations, isIdentityPermutation, type Permutation } from '../grouping/permutation.js';
import { sameShape, type Shape } from './shape.js';
import type { Weight } from './weights.js';

/** The tensor of this name in the source. */
export function storedWeight(name: string): Weight {
  return { kind: 'stored', name };
}

/** A constant vector or tensor, values contiguous. */
export function literalWeight(shape: Shape, values: readonly number[]): Weight {
  return { kind: 'literal', shape, values };
}

/** One value everywhere. */
export function fillWeight(shape: Shape, value: number): Weight {
  return { kind: 'fill', shape, value };
}

/** `of` as `shape`, which has as many values. */
export function reshapeWeight(of: Weight, shape: Shape): Weight {
  if (of.kind === 'reshape') return reshapeWeight(of.of, shape);
  if (of.kind === 'literal' || of.kind === 'fill') return sameShape(of.shape, shape) ? of : { ...of, shape };
  return { kind: 'reshape', of, shape };
}

/** Axis a of the result is axis `permutation[a]` of `of`. */
export function transposeWeight(of: Weight, permutation: readonly number[]): Weight {
  if (isIdentityPermutation(permutation)) return of;
  if (of.kind === 'transpose') return transposeWeight(of.of, composePermutations(of.permutation, permutation));
  return { kind: 'transpose', of, permutation };
}

/**
 * `indices` along `axis`, in that order.
 * @param size - length of that axis of `of`: with it, taking everything in order is recognised as nothing to do.
 */
export function takeWeight(of: Weight, axis: number, indices: readonly number[], size: number): Weight {
  if (indices.length === size && isIdentityPermutation(indices)) return of;
  if (of.kind === 'take' && of.axis === axis) return { ...of, indices: indices.map((index) => of.indices[index]!) };
  if (of.kind === 'fill') return { ...of, shape: of.shape.with(axis, indices.length) };
  if (of.kind === 'literal' && of.shape.length === 1)
    return literalWeight(
      [indices.length],
      indices.map((index) => of.values[index]!),
    );
  return { kind: 'take', of, axis, indices };
}

/** `of · by`, the vector `by` along `axis`. */
export function scaleWeight(of: Weight, axis: number, by: Weight): Weight {
  if (isFill(by, 1)) return of;
  if (of.kind === 'scale' && of.axis === axis) return { ...of, by: multiplyWeights(of.by, by) };
  return { kind: 'scale', of, axis, by };
}

/** Dense kernel `[O, I, kh, kw]` → the compact kernel of `grouping`. */
export function compactWeight(of: Weight, grouping: Grouping): Weight {
  if (grouping.kind === 'dense') return of;
  if (of.kind === 'expand' && of.grouping === grouping) return of.of;
  return { kind: 'compact', of, grouping };
}

/** Compact kernel of `grouping` → dense kernel with zeros. */
export function expandWeight(of: Weight, grouping: Grouping): Weight {
  return grouping.kind === 'dense' ? of : { kind: 'expand', of, grouping };
}

/** Compact kernel of `grouping` → that of `reorderGrouping(grouping, outputOrder, inputOrder)`. */
export function reorderWeight(
  of: Weight,
  grouping: Grouping,
  outputOrder: Permutation,
  inputOrder: Permutation,
): Weight {
  if (isIdentityPermutation(outputOrder) && isIdentityPermutation(inputOrder)) return of;
  if (grouping.kind === 'dense')
    return takeWeight(takeWeight(of, 0, outputOrder, grouping.channelsOut), 1, inputOrder, grouping.channelsIn);
  if (of.kind === 'reorder')
    return reorderWeight(
      of.of,
      of.grouping,
      composePermutations(of.outputOrder, outputOrder),
      composePermutations(of.inputOrder, inputOrder),
    );
  return { kind: 'reorder', of, grouping, outputOrder, inputOrder };
}

/** Each patch of the compact kernel of `grouping` times `by[output]`, `by` `[C_out]`. */
export function scaleOutputsWeight(of: Weight, grouping: Grouping, by: Weight): Weight {
  if (isFill(by, 1)) return of;
  if (grouping.kind === 'dense') return scaleWeight(of, 0, by);
  if (of.kind === 'scale-outputs' && of.grouping === grouping) return { ...of, by: multiplyWeights(of.by, by) };
  return { kind: 'scale-outputs', of, grouping, by };
}

/** Elementwise sum of equal shapes. */
export function addWeights(left: Weight, right: Weight): Weight {
  if (isFill(left, 0)) return right;
  if (isFill(right, 0)) return left;
  return fold('add', left, right, (a, b) => a + b);
}

/** Elementwise difference of equal shapes. */
export function subtractWeights(left: Weight, right: Weight): Weight {
  if (isFill(right, 0)) return left;
  return fold('subtract', left, right, (a, b) => a - b);
}

/** Elementwise product of equal shapes. */
export function multiplyWeights(left: Weight, right: Weight): Weight {
  if (isFill(left, 1)) return right;
  if (isFill(right, 1)) return left;
  return fold('multiply', left, right, (a, b) => a * b);
}

/** `1 / √(of + epsilon)`, elementwise. */
export function inverseRootWeight(of: Weight, epsilon: number): Weight {
  if (of.kind === 'fill') return fillWeight(of.shape, 1 / Math.sqrt(of.value + epsilon));
  return { kind: 'inverse-root', of, epsilon };
}

/** `Σ_{i,y,x} of[o, i, y, x] · by[i]` of a dense kernel, `[C_out]`. */
export function contractInputsWeight(of: Weight, by: Weight): Weight {
  return { kind: 'contract-inputs', of, by };
}

function isFill(weight: Weight, value: number): boolean {
  return weight.kind === 'fill' && weight.value === value;
}

function fold(
  kind: 'add' | 'subtract' | 'multiply',
  left: Weight,
  right: Weight,
  operation: (left: number, right: number) => number,
): Weight {
  if (left.kind === 'fill' && right.kind === 'fill' && sameShape(left.shape, right.shape))
    return fillWeight(left.shape, operation(left.value, right.value));
  if (left.kind === 'literal' && right.kind === 'literal' && sameShape(left.shape, right.shape))
    return literalWeight(
      left.shape,
      left.values.map((value, index) => operation(value, right.values[index]!)),
    );
  return { kind, left, right };
}
