import type { Grouping } from '../grouping/grouping.js';
import { supportsOf } from '../grouping/supports.js';
import { compactOffsets } from './compact.js';
import type { NodeOf } from './graph.js';
import type { Window } from './ops.js';
import type { Shape } from './shape.js';

/** A value during interpretation, contiguous. */
export interface Value {
  readonly shape: Shape;
  readonly data: Float64Array;
}

type Dimensions = readonly [batch: number, height: number, width: number, channels: number];

/**
 * Calls `visit` for every output pixel and every input pixel under its window that is not padding; `finish` after the last one.
 * `output` counts pixels of the result, `input` pixels of x, `tap` positions of the window.
 */
function eachWindow(
  input: Shape,
  output: Shape,
  { kernelSize, strides, dilations, padding }: Window,
  visit: (output: number, input: number, tap: number) => void,
  finish: (output: number, row: number, column: number) => void = () => {},
): void {
  const [batch, height, width] = input as Dimensions;
  const [, outHeight, outWidth] = output as Dimensions;
  let pixel = 0;
  for (let n = 0; n < batch; n++)
    for (let row = 0; row < outHeight; row++)
      for (let column = 0; column < outWidth; column++) {
        for (let ky = 0; ky < kernelSize[0]; ky++) {
          const y = row * strides[0] - padding.top + ky * dilations[0];
          if (y < 0 || y >= height) continue;
          for (let kx = 0; kx < kernelSize[1]; kx++) {
            const x = column * strides[1] - padding.left + kx * dilations[1];
            if (x >= 0 && x < width) visit(pixel, (n * height + y) * width + x, ky * kernelSize[1] + kx);
          }
        }
        finish(pixel++, row, column);
      }
}

/** Outputs that see the same inputs, and those inputs. */
interface SupportClass {
  readonly inputs: Int32Array;
  readonly outputs: number[];
}

function supportClasses(grouping: Grouping): SupportClass[] {
  const classes = new Map<readonly number[], SupportClass>();
  supportsOf(grouping).forEach((support, output) => {
    const found = classes.get(support);
    if (found === undefined) classes.set(support, { inputs: Int32Array.from(support), outputs: [output] });
    else found.outputs.push(output);
  });
  return [...classes.values()];
}

/** Pixels convolved at a time, so that each weight is loaded once for all of them. */
const block = 4;

/** Convolution of `[N, H, W, C_in]` with the compact kernel of `grouping`; no bias. */
export function convolve(
  x: Value,
  output: Shape,
  window: Window,
  grouping: Grouping,
  kernel: ArrayLike<number>,
): Float64Array {
  const { channelsIn, channelsOut } = grouping;
  const taps = window.kernelSize[0] * window.kernelSize[1];
  const sources = windowSources(x.shape, output, window);
  const pixels = sources.length / taps;
  const offsets = compactOffsets(grouping);
  const result = new Float64Array(pixels * channelsOut);
  for (const { inputs, outputs } of supportClasses(grouping)) {
    const length = inputs.length * taps;
    const weights = new Float64Array(outputs.length * length);
    outputs.forEach((o, index) => {
      const from = offsets[o]! * taps;
      for (let k = 0; k < length; k++) weights[index * length + k] = kernel[from + k]!;
    });
    const patches = new Float64Array(block * length);
    for (let first = 0; first < pixels; first += block) {
      // Patches in the kernel's order [input][tap]; zero where the window hangs over the border or the last block ends.
      for (let lane = 0; lane < block; lane++)
        for (let tap = 0; tap < taps; tap++) {
          const source = first + lane < pixels ? sources[(first + lane) * taps + tap]! : -1;
          const to = lane * length + tap;
          for (let k = 0; k < inputs.length; k++)
            patches[to + k * taps] = source < 0 ? 0 : x.data[source * channelsIn + inputs[k]!]!;
        }
      for (let index = 0; index < outputs.length; index++) {
        let sum0 = 0;
        let sum1 = 0;
        let sum2 = 0;
        let sum3 = 0;
        const row = index * length;
        for (let k = 0; k < length; k++) {
          const weight = weights[row + k]!;
          sum0 += weight * patches[k]!;
          sum1 += weight * patches[length + k]!;
          sum2 += weight * patches[2 * length + k]!;
          sum3 += weight * patches[3 * length + k]!;
        }
        // Writes beyond the last pixel fall outside the typed array, which ignores them.
        const to = first * channelsOut + outputs[index]!;
        result[to] = sum0;
        result[to + channelsOut] = sum1;
        result[to + 2 * channelsOut] = sum2;
        result[to + 3 * channelsOut] = sum3;
      }
    }
  }
  return result;
}

/** Input pixel under every tap of every output pixel, `[pixels, taps]`; -1 in the padding. */
function windowSources(input: Shape, output: Shape, window: Window): Int32Array {
  const taps = window.kernelSize[0] * window.kernelSize[1];
  const sources = new Int32Array(output[0]! * output[1]! * output[2]! * taps).fill(-1);
  eachWindow(input, output, window, (pixel, source, tap) => (sources[pixel * taps + tap] = source));
  return sources;
}

/** Transposed convolution: every input pixel adds its kernel patch to the result; no bias. */
export function convolveTransposed(
  x: Value,
  output: Shape,
  attrs: NodeOf<'conv2d-transpose'>['attrs'],
  kernel: ArrayLike<number>,
): Float64Array {
  const { channelsIn, channelsOut, groups } = attrs;
  const taps = attrs.kernelSize[0] * attrs.kernelSize[1];
  const groupIn = channelsIn / groups;
  const groupOut = channelsOut / groups;
  const result = new Float64Array(output.reduce((product, size) => product * size, 1));
  // The adjoint of the forward convolution that reads `output` and writes `x`.
  eachWindow(output, x.shape, attrs, (source, target, tap) => {
    for (let i = 0; i < channelsIn; i++) {
      const value = x.data[source * channelsIn + i]!;
      const firstOut = Math.floor(i / groupIn) * groupOut;
      for (let k = 0; k < groupOut; k++)
        result[target * channelsOut + firstOut + k]! += value * kernel[(i * groupOut + k) * taps + tap]!;
    }
  });
  return result;
}

/** Largest value under each window; padding never wins. */
export function maxPool(x: Value, output: Shape, window: Window): Float64Array {
  const channels = output[3]!;
  const result = new Float64Array(output.reduce((product, size) => product * size, 1)).fill(-Infinity);
  eachWindow(x.shape, output, window, (pixel, source) => {
    for (let c = 0; c < channels; c++) {
      const to = pixel * channels + c;
      result[to] = Math.max(result[to]!, x.data[source * channels + c]!);
    }
  });
  return result;
}

/** Mean under each window, over its pixels inside the image, or with `countPadding` also over those in the padding. */
export function averagePool(x: Value, output: Shape, attrs: NodeOf<'average-pool'>['attrs']): Float64Array {
  const channels = output[3]!;
  const [, height, width] = x.shape as Dimensions;
  const { kernelSize, strides, dilations, padding } = attrs;
  const result = new Float64Array(output.reduce((product, size) => product * size, 1));
  let inside = 0;
  const within = (start: number, taps: number, dilation: number, limit: number): number => {
    let count = 0;
    for (let k = 0; k < taps; k++) if (start + k * dilation < limit) count++;
    return count;
  };
  eachWindow(
    x.shape,
    output,
    attrs,
    (pixel, source) => {
      inside++;
      for (let c = 0; c < channels; c++) result[pixel * channels + c]! += x.data[source * channels + c]!;
    },
    (pixel, row, column) => {
      const padded =
        within(row * strides[0], kernelSize[0], dilations[0], height + padding.top + padding.bottom) *
        within(column * strides[1], kernelSize[1], dilations[1], width + padding.left + padding.right);
      const divisor = attrs.countPadding ? padded : inside;
      for (let c = 0; c < channels; c++) result[pixel * channels + c]! /= divisor;
      inside = 0;
    },
  );
  return result;
}
