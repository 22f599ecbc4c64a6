import { InvalidInputError } from '../errors.js';

/** Dimensions of a value, batch first, channels last: `[N, H, W, C]`, `[N, C]`. */
export type Shape = readonly number[];

/** Number of values of a tensor; 1 for rank 0. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(left: Shape, right: Shape): boolean {
  return left.length === right.length && left.every((size, axis) => size === right[axis]);
}

/** `[1, 28, 28, 3]`, as messages show it. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** @throws {InvalidInputError} unless every dimension is a non-negative integer and all values fit in one array. */
export function checkShape(shape: Shape, what: string): void {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new InvalidInputError(`${what} has shape ${formatShape(shape)}: dimensions are non-negative integers`);
  if (elementCount(shape) > 0x7fffffff)
    throw new InvalidInputError(`${what} has shape ${formatShape(shape)}: more than 2³¹ - 1 values`);
}

/** Elements between neighbours along each axis of a contiguous tensor, `[rank]`. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}
