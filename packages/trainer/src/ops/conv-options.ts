import { InvalidInputError } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import type { GroupedConv2DAttrs } from './grouped-conv-signatures.js';

/** How a learned convolution moves over its input `[N, H, W, C_in]`. */
export interface ConvOptions {
  /** Default 1. */
  readonly strides?: number | readonly [height: number, width: number];
  /** `same` and `valid` as in TensorFlow, or zeros around `[N, H, W, C]`; default `valid`. */
  readonly padding?:
    | 'same'
    | 'valid'
    | readonly [
        readonly [number, number],
        readonly [top: number, bottom: number],
        readonly [left: number, right: number],
        readonly [number, number],
      ];
  /** Default 1. */
  readonly dilations?: number | readonly [height: number, width: number];
}

/**
 * Strides, dilations and padding in pixels for x `[N, H, W, C_in]` and kernel `[kh, kw, C_in, C_out]`.
 * @throws {InvalidInputError} if the shapes do not fit each other or an option is out of range.
 */
export function convGeometry(
  x: tfc.Tensor,
  kernel: tfc.Tensor,
  options: ConvOptions,
): Pick<GroupedConv2DAttrs, 'strides' | 'padding' | 'dilations'> {
  if (x.rank !== 4 || kernel.rank !== 4 || x.shape[3] !== kernel.shape[2]) {
    throw new InvalidInputError(
      `A convolution takes x [N, H, W, C_in] and kernel [kh, kw, C_in, C_out], not [${x.shape.join(', ')}] and [${kernel.shape.join(', ')}].`,
    );
  }
  const strides = pair(options.strides ?? 1, 'strides');
  const dilations = pair(options.dilations ?? 1, 'dilations');
  const window = [0, 1].map((axis) => (kernel.shape[axis]! - 1) * dilations[axis]! + 1);
  const padding = zeros(options.padding ?? 'valid', [x.shape[1]!, x.shape[2]!], window, strides);
  if (x.shape[1]! + padding[0] + padding[1] < window[0]! || x.shape[2]! + padding[2] + padding[3] < window[1]!) {
    throw new InvalidInputError(
      `A window of ${window.join(' × ')} pixels does not fit x [${x.shape.join(', ')}] with padding ${padding.join(', ')}.`,
    );
  }
  return { strides, padding, dilations };
}

function pair(value: number | readonly [number, number], name: string): [number, number] {
  const [height, width] = typeof value === 'number' ? [value, value] : value;
  if (![height, width].every((step) => Number.isInteger(step) && step >= 1)) {
    throw new InvalidInputError(`The ${name} [${height}, ${width}] must be whole numbers from 1 on.`);
  }
  return [height, width];
}

function zeros(
  padding: NonNullable<ConvOptions['padding']>,
  size: readonly number[],
  window: readonly number[],
  strides: readonly number[],
): [number, number, number, number] {
  if (padding === 'valid') return [0, 0, 0, 0];
  if (padding === 'same') {
    const [height, width] = [0, 1].map((axis) =>
      Math.max((Math.ceil(size[axis]! / strides[axis]!) - 1) * strides[axis]! + window[axis]! - size[axis]!, 0),
    ) as [number, number];
    return [Math.floor(height / 2), Math.ceil(height / 2), Math.floor(width / 2), Math.ceil(width / 2)];
  }
  const [batch, rows, columns, channels] = padding;
  const pixels = [...rows, ...columns];
  if (
    [...batch, ...channels].some((zero) => zero !== 0) ||
    !pixels.every((zero) => Number.isInteger(zero) && zero >= 0)
  ) {
    throw new InvalidInputError(
      `The padding ${JSON.stringify(padding)} must be whole numbers from 0 on, and 0 for batch and channels.`,
    );
  }
  return [rows[0], rows[1], columns[0], columns[1]];
}
