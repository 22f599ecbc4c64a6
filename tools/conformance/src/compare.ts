import type { Shape } from '@dgconv/core';

/** How near is near enough: `|actual - expected| ≤ absolute + relative · |expected|`; 0 and 0 asks for equal bits (but -0 = 0). */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** ONNX's own tolerance for its operator vectors. */
export const onnxTolerance: Tolerance = { relative: 1e-3, absolute: 1e-7 };

/** For our own float cases: a few units in the last place of sums of some hundred products in ±1. */
export const goldenTolerance: Tolerance = { relative: 1e-5, absolute: 1e-5 };

export const exactly: Tolerance = { relative: 0, absolute: 0 };

/** Null if the tensors agree, else one sentence on the worst value. NaN agrees with NaN, an infinity with itself. */
export function difference(
  expected: { readonly shape: Shape; readonly data: ArrayLike<number> },
  actual: { readonly shape: Shape; readonly data: ArrayLike<number> },
  { relative, absolute }: Tolerance,
): string | null {
  if (expected.shape.join() !== actual.shape.join()) {
    return `the shape is [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`;
  }
  let worst = 0;
  let place = -1;
  for (let index = 0; index < expected.data.length; index++) {
    const [want, got] = [expected.data[index]!, actual.data[index]!];
    if (want === got || (Number.isNaN(want) && Number.isNaN(got))) continue;
    const excess = Math.abs(got - want) - (absolute + relative * Math.abs(want));
    if (Number.isNaN(excess) || excess > worst) {
      worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess;
      place = index;
    }
  }
  if (place < 0) return null;
  return `value ${place} is ${actual.data[place]}, expected ${expected.data[place]} (allowed: ${absolute} + ${relative} · |expected|)`;
}
