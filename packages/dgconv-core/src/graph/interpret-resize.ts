import type { Value } from './interpret-windows.js';
import type { AttrsByOp, Shape } from './ops.js';

type ResizeAttrs = AttrsByOp['resize'];

/** Position in the input, in pixels, that output pixel `index` of one axis looks at. */
function sourcePosition(index: number, inSize: number, outSize: number, scale: number, attrs: ResizeAttrs): number {
  switch (attrs.coordinates) {
    case 'half-pixel':
      return (index + 0.5) * scale - 0.5;
    case 'pytorch-half-pixel':
      return outSize > 1 ? (index + 0.5) * scale - 0.5 : 0;
    case 'align-corners':
      return outSize > 1 ? (index * (inSize - 1)) / (outSize - 1) : 0;
    case 'asymmetric':
      return index * scale;
  }
}

const rounders: Readonly<Record<ResizeAttrs['rounding'], (position: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  'round-prefer-floor': (position) => Math.ceil(position - 0.5),
  'round-prefer-ceil': (position) => Math.floor(position + 0.5),
};

/** Input pixels and their shares for every output pixel of one axis. */
function taps(inSize: number, outSize: number, scale: number, attrs: ResizeAttrs): [number, number, number][] {
  const clamp = (index: number): number => Math.min(Math.max(index, 0), inSize - 1);
  return Array.from({ length: outSize }, (_, index) => {
    const position = sourcePosition(index, inSize, outSize, scale, attrs);
    if (attrs.mode === 'nearest') {
      const nearest = clamp(rounders[attrs.rounding](position));
      return [nearest, nearest, 0];
    }
    const low = Math.floor(position);
    return [clamp(low), clamp(low + 1), position - low];
  });
}

/** Nearest or bilinear resampling of `[N, H, W, C]`; pixels beyond the border repeat it. */
export function resize(x: Value, output: Shape, attrs: ResizeAttrs): Float64Array {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth] = output as [number, number, number, number];
  const rows = taps(height, outHeight, attrs.scales?.[0] ?? height / outHeight, attrs);
  const columns = taps(width, outWidth, attrs.scales?.[1] ?? width / outWidth, attrs);
  const result = new Float64Array(batch * outHeight * outWidth * channels);
  let position = 0;
  for (let n = 0; n < batch; n++)
    for (const [top, bottom, down] of rows)
      for (const [left, right, across] of columns)
        for (let c = 0; c < channels; c++) {
          const at = (row: number, column: number): number =>
            x.data[((n * height + row) * width + column) * channels + c]!;
          const above = at(top, left) * (1 - across) + at(top, right) * across;
          const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
          result[position++] = above * (1 - down) + below * down;
        }
  return result;
}
