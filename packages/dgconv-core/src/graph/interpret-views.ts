import type { Value } from './interpret-windows.js';
import { elementCount, sameShape, type Shape, stridesOf } from './shape.js';

/**
 * Gathers a tensor of `shape` by one index list an axis: `result[p] = data[offset + Σ_axis positions[axis][p_axis]]`.
 * A negative position stands for `outside`.
 */
export function gather(
  data: Float64Array,
  shape: Shape,
  positions: readonly ArrayLike<number>[],
  outside = 0,
): Float64Array {
  const result = new Float64Array(elementCount(shape));
  if (shape.length === 0) result[0] = data[0]!;
  let to = 0;
  const walk = (axis: number, base: number): void => {
    const offsets = positions[axis]!;
    const isLast = axis === shape.length - 1;
    for (let k = 0; k < shape[axis]!; k++) {
      const from = base < 0 || offsets[k]! < 0 ? -1 : base + offsets[k]!;
      if (!isLast) walk(axis + 1, from);
      else result[to++] = from < 0 ? outside : data[from]!;
    }
  };
  if (shape.length > 0) walk(0, 0);
  return result;
}

/** Positions of each axis when `index(axis, k)` is the source index of result index k; -1 is outside. */
export function positionsOf(from: Shape, to: Shape, index: (axis: number, k: number) => number): Int32Array[] {
  const strides = stridesOf(from);
  return to.map((size, axis) =>
    Int32Array.from({ length: size }, (_, k) => {
      const source = index(axis, k);
      return source < 0 ? -1 : source * strides[axis]!;
    }),
  );
}

/** A value repeated to `shape` by numpy broadcasting. */
export function broadcast({ shape, data }: Value, to: Shape): Float64Array {
  if (sameShape(shape, to)) return data.slice();
  const skipped = to.length - shape.length;
  const aligned = [...new Array<number>(skipped).fill(1), ...shape];
  return gather(
    data,
    to,
    positionsOf(aligned, to, (axis, k) => (aligned[axis] === 1 ? 0 : k)),
  );
}

/** Axis a of the result is axis `permutation[a]`. */
export function transpose({ shape, data }: Value, to: Shape, permutation: readonly number[]): Float64Array {
  const strides = stridesOf(shape);
  return gather(
    data,
    to,
    to.map((size, axis) => Int32Array.from({ length: size }, (_, k) => k * strides[permutation[axis]!]!)),
  );
}
