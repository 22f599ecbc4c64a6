import type { Padding, Shape, Window } from '@dgconv/core';

/** How many taps of a window lie inside of the image, summed over all output positions of one axis. */
function tapsInside(
  input: number,
  output: number,
  kernel: number,
  stride: number,
  dilation: number,
  before: number,
): number {
  let taps = 0;
  for (let position = 0; position < output; position++) {
    for (let tap = 0; tap < kernel; tap++) {
      const pixel = position * stride + tap * dilation - before;
      if (pixel >= 0 && pixel < input) taps++;
    }
  }
  return taps;
}

/**
 * The share of a convolution's nominal multiply-adds that do not fall on zero padding, in (0, 1]: what a kernel that skips
 * the border executes. Shapes are `[N, H, W, C]`.
 */
export function executedShare(input: Shape, output: Shape, window: Window & { readonly padding: Padding }): number {
  const [kernelHeight, kernelWidth] = window.kernelSize;
  const rows = tapsInside(
    input[1]!,
    output[1]!,
    kernelHeight,
    window.strides[0],
    window.dilations[0],
    window.padding.top,
  );
  const columns = tapsInside(
    input[2]!,
    output[2]!,
    kernelWidth,
    window.strides[1],
    window.dilations[1],
    window.padding.left,
  );
  return (rows * columns) / (output[1]! * output[2]! * kernelHeight * kernelWidth);
}
