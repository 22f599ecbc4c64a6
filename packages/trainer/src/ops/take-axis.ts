import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { registerPlainKernel } from './plain-kernel.js';

/** Kernel: `{ x }`, `{ axis, indices }` → x with `indices` picked along `axis`. */
const TakeAxis = 'TakeAxis';
/** Kernel: `{ dy }`, `{ axis, indices, size }` → dx: rows of dy added up where they came from. */
const TakeAxisGradient = 'TakeAxisGradient';

interface TakeAxisAttrs {
  readonly axis: number;
  readonly indices: readonly number[];
}

/** x with `indices` (duplicates allowed) picked along `axis`, in that order; differentiable. */
export function takeAxis(x: tfc.Tensor, axis: number, indices: readonly number[]): tfc.Tensor {
  return tf.engine().runKernel(TakeAxis, { x }, { axis, indices } as unknown as tfc.NamedAttrMap);
}

tf.registerGradient({
  kernelName: TakeAxis,
  inputsToSave: ['x'],
  gradFunc: (dy, [x], attrs) => {
    const { axis, indices } = attrs as unknown as TakeAxisAttrs;
    const size = x!.shape[axis]!;
    return {
      x: () =>
        tf.engine().runKernel(TakeAxisGradient, { dy: dy as tfc.Tensor }, {
          axis,
          indices,
          size,
        } as unknown as tfc.NamedAttrMap),
    };
  },
});

/** Calls `visit` with where each contiguous run of `inner` values starts in the taken and in the whole tensor. */
function forEachRun(
  taken: readonly number[],
  { axis, indices }: TakeAxisAttrs,
  size: number,
  visit: (taken: number, whole: number, inner: number) => void,
): void {
  const outer = taken.slice(0, axis).reduce((product, dimension) => product * dimension, 1);
  const inner = taken.slice(axis + 1).reduce((product, dimension) => product * dimension, 1);
  for (let row = 0; row < outer; row++) {
    indices.forEach((index, position) => {
      visit((row * indices.length + position) * inner, (row * size + index) * inner, inner);
    });
  }
}

registerPlainKernel<{ x: tfc.TensorInfo }, TakeAxisAttrs>(TakeAxis, (inputs, attrs, { read, write }) => {
  const x = read(inputs.x);
  const shape = inputs.x.shape.with(attrs.axis, attrs.indices.length);
  const y = new Float32Array(shape.reduce((product, dimension) => product * dimension, 1));
  forEachRun(shape, attrs, inputs.x.shape[attrs.axis]!, (taken, whole, inner) => {
    for (let k = 0; k < inner; k++) y[taken + k] = x[whole + k]!;
  });
  return write(y, shape);
});

registerPlainKernel<{ dy: tfc.TensorInfo }, TakeAxisAttrs & { readonly size: number }>(
  TakeAxisGradient,
  (inputs, attrs, { read, write }) => {
    const dy = read(inputs.dy);
    const shape = inputs.dy.shape.with(attrs.axis, attrs.size);
    const dx = new Float32Array(shape.reduce((product, dimension) => product * dimension, 1));
    forEachRun(inputs.dy.shape, attrs, attrs.size, (taken, whole, inner) => {
      for (let k = 0; k < inner; k++) dx[whole + k]! += dy[taken + k]!;
    });
    return write(dx, shape);
  },
);
