import type { Value } from './interpret-windows.js';
import type { AttrsByOp } from './ops.js';
import type { Shape } from './shape.js';

type ResizeAttrs = AttrsByOp['resize'];

/** Position in the input, in pixels, that output pixel `index` of one axis looks at. */
function sourcePosition(index: number, inSize: number, outSize: number, axis: 0 | 1, attrs: ResizeAttrs): number {
  // Multiplied first: of a quotient that is rounded first the multiples lie beside the pixels that they mean.
  const scale = attrs.scales?.[axis];
  const scaled = (position: number) => (scale === undefined ? (position * inSize) / outSize : position * scale);
  switch (attrs.coordinates) {
    case 'half-pixel':
      return scaled(index + 0.5) - 0.5;
    case 'pytorch-half-pixel':
      return outSize > 1 ? scaled(index + 0.5) - 0.5 : 0;
    case 'align-corners':
      return outSize > 1 ? (index * (inSize - 1)) / (outSize - 1) : 0;
    case 'asymmetric':
      return scaled(index);
  }
}

const rounders: Readonly<Record<ResizeAttrs['rounding'], (position: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  'round-prefer-floor': (position) => Math.ceil(position - 0.5),
  'round-prefer-ceil': (position) => Math.floor(position + 0.5),
};

/** Where an output pixel's value comes from along one axis: `(1 - share) · x[low] + share · x[high]`. */
export interface ResizeTap {
  readonly low: number;
  readonly high: number;
  readonly share: number;
}

/**
 * Input pixels and their shares for every output pixel of one axis, `[outSize]`; pixels beyond the border repeat it.
 * @param axis - 0 for rows, 1 for columns.
 */
export function resizeTaps(inSize: number, axis: 0 | 1, attrs: ResizeAttrs): ResizeTap[] {
  const outSize = attrs.size[axis];
  const clamp = (index: number): number => Math.min(Math.max(index, 0), inSize - 1);
  return Array.from({ length: outSize }, (_, index) => {
    const position = sourcePosition(index, inSize, outSize, axis, attrs);
    if (attrs.mode === 'nearest') {
      const nearest = clamp(rounders[attrs.rounding](position));
      return { low: nearest, high: nearest, share: 0 };
    }
    const low = Math.floor(position);
    return { low: clamp(low), high: clamp(low + 1), share: position - low };
  });
}

/** Nearest or bilinear resampling of `[N, H, W, C]`; pixels beyond the border repeat it. */
export function resize(x: Value, output: Shape, attrs: ResizeAttrs): Float64Array {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth] = output as [number, number, number, number];
  const rows = resizeTaps(height, 0, attrs);
  const columns = resizeTaps(width, 1, attrs);
  // The nearest pixel is taken as it is: nothing times an infinity would be NaN.
  const between = (low: number, high: number, share: number): number =>
    attrs.mode === 'nearest' ? low : low * (1 - share) + high * share;
  const result = new Float64Array(batch * outHeight * outWidth * channels);
  let position = 0;
  for (let n = 0; n < batch; n++)
    for (const { low: top, high: bottom, share: down } of rows)
      for (const { low: left, high: right, share: across } of columns)
        for (let c = 0; c < channels; c++) {
          const at = (row: number, column: number): number =>
            x.data[((n * height + row) * width + column) * channels + c]!;
          const above = between(at(top, left), at(top, right), across);
          const below = between(at(bottom, left), at(bottom, right), across);
          result[position++] = between(above, below, down);
        }
  return result;
}
