import type { Shape, Weight } from '@dgconv/core';

/** A tensor whose values are known at import: shape arithmetic, or a weight that is read when it is needed. */
export interface Constant {
  readonly kind: 'constant';
  readonly shape: Shape;
  /** Integers and booleans are for shape arithmetic only. */
  readonly isFloat: boolean;
  /** The values as an expression over the weight source. */
  readonly weight: Weight;
  read(): Float32Array | Float64Array;
}

/** Elements of a value that the network computes; larger ones would not run on a CPU. */
export const largestValue = 2 ** 28;
