import type { Window } from './ops.js';

/** A window of `kernelSize × kernelSize` pixels with one stride and one zero padding for all sides, in pixels. */
export function squareWindow(kernelSize: number, stride = 1, padding = 0): Window {
  return {
    kernelSize: [kernelSize, kernelSize],
    strides: [stride, stride],
    dilations: [1, 1],
    padding: { top: padding, bottom: padding, left: padding, right: padding },
  };
}

/** Pixels that a window covers with its dilation, `[height, width]`. */
export function windowExtent({ kernelSize, dilations }: Window): [number, number] {
  return [(kernelSize[0] - 1) * dilations[0] + 1, (kernelSize[1] - 1) * dilations[1] + 1];
}
