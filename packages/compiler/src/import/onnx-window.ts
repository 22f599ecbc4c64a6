import type { Shape, Window } from '@dgconv/core';
import type { OnnxNodeContext } from './onnx-node.js';

/**
 * Window of a convolution or pooling over one or two spatial dimensions, padding resolved for the size of its input:
 * `auto_pad`, and `ceil_mode` as more padding behind. One dimension becomes the width of a height of 1.
 * @throws {UnsupportedError} for negative padding or lists that do not fit.
 */
export function windowOf(
  context: OnnxNodeContext,
  input: Shape,
  kernel: readonly [number, number],
  options: { readonly ceil?: boolean } = {},
): { readonly window: Window; readonly hasCeilPadding: boolean } {
  const spatial = input.length;
  const pair = (name: string, fallback: number): [number, number] => {
    const values = context.ints(name);
    if (values === null || values.length === 0) return [fallback, fallback];
    if (values.length !== spatial) context.refuse(`'${name}' has ${values.length} entries, not ${spatial}`);
    return spatial === 1 ? [1, values[0]!] : [values[0]!, values[1]!];
  };
  const strides = pair('strides', 1);
  const dilations = pair('dilations', 1);
  if ([...strides, ...dilations, ...kernel].some((size) => !Number.isInteger(size) || size < 1)) {
    context.refuse(
      `strides [${strides.join(', ')}], dilations [${dilations.join(', ')}] and kernel must be at least 1`,
    );
  }
  const sizes = spatial === 1 ? [1, input[0]!] : input;
  const autoPad = context.string('auto_pad', 'NOTSET');
  const pads = context.ints('pads') ?? [];
  if (pads.length !== 0 && pads.length !== 2 * spatial) {
    context.refuse(`'pads' has ${pads.length} entries, not ${2 * spatial}`);
  }
  const resolved = [0, 1].map((axis): [before: number, after: number, ceil: number] => {
    const given = spatial === 1 ? axis - 1 : axis;
    if (given < 0) return [0, 0, 0];
    const [size, stride] = [sizes[axis]!, strides[axis]!];
    const extent = (kernel[axis]! - 1) * dilations[axis]! + 1;
    if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') {
      const total = Math.max((Math.ceil(size / stride) - 1) * stride + extent - size, 0);
      const small = Math.floor(total / 2);
      return autoPad === 'SAME_UPPER' ? [small, total - small, 0] : [total - small, small, 0];
    }
    const [before, after] = autoPad === 'VALID' ? [0, 0] : [pads[given] ?? 0, pads[given + spatial] ?? 0];
    const spare = (size + before + after - extent) % stride;
    const missing = options.ceil === true && spare > 0 ? stride - spare : 0;
    // A window that would start behind the input and its padding in front is not taken.
    const startsInside = size + before + after - extent + missing < size + before;
    return [before, after, startsInside ? missing : 0];
  });
  const [[top, bottom, ceilBottom], [left, right, ceilRight]] = resolved as [
    [number, number, number],
    [number, number, number],
  ];
  if ([top, bottom, left, right].some((pixels) => pixels < 0)) context.refuse('negative padding is not supported');
  const padding = { top, bottom: bottom + ceilBottom, left, right: right + ceilRight };
  return { window: { kernelSize: kernel, strides, dilations, padding }, hasCeilPadding: ceilBottom + ceilRight > 0 };
}
