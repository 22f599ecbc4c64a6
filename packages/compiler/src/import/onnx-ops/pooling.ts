import type { Dynamic } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { windowOf } from '../onnx-window.js';
import { fromImage, imageOf } from './convolution.js';

/** The pooled value as an image, with its window. */
function pooled(context: OnnxNodeContext): { image: string; spatial: number } & ReturnType<typeof windowOf> {
  const x = context.dynamic(0);
  const spatial = x.shape.length - 2;
  if (spatial !== 1 && spatial !== 2) context.refuse(`${spatial} spatial dimensions are not supported, only 1 and 2`);
  const kernel = context.ints('kernel_shape');
  if (kernel?.length !== spatial) context.refuse(`'kernel_shape' must have ${spatial} entries`);
  const size: readonly [number, number] = spatial === 1 ? [1, kernel![0]!] : [kernel![0]!, kernel![1]!];
  const window = windowOf(context, x.shape.slice(2), size, { ceil: context.int('ceil_mode', 0) === 1 });
  return { image: imageOf(context, x, spatial), spatial, ...window };
}

export function MaxPool(context: OnnxNodeContext): Dynamic {
  const { image, spatial, window } = pooled(context);
  return fromImage(context, context.add({ op: 'max-pool', inputs: [image], attrs: window, weights: {} }), spatial);
}

export function AveragePool(context: OnnxNodeContext): Dynamic {
  const { image, spatial, window, hasCeilPadding } = pooled(context);
  const countPadding = context.int('count_include_pad', 0) === 1;
  if (!countPadding || !hasCeilPadding) {
    const attrs = { ...window, countPadding };
    return fromImage(context, context.add({ op: 'average-pool', inputs: [image], attrs, weights: {} }), spatial);
  }
  // The padding that was asked for counts, what ceil_mode adds does not: only the first is made of real zeros.
  const { top, left } = window.padding;
  const pads = context.ints('pads') ?? [];
  const [bottom, right] = spatial === 1 ? [0, pads[1] ?? 0] : [pads[2] ?? 0, pads[3] ?? 0];
  const padded = context.add(
    {
      op: 'pad',
      inputs: [image],
      attrs: { before: [0, top, left, 0], after: [0, bottom, right, 0], mode: 'constant', value: 0 },
      weights: {},
    },
    'padded',
  );
  const padding = {
    top: 0,
    left: 0,
    bottom: window.padding.bottom - bottom,
    right: window.padding.right - right,
  };
  const attrs = { ...window, padding, countPadding: false };
  return fromImage(context, context.add({ op: 'average-pool', inputs: [padded], attrs, weights: {} }), spatial);
}

/** A reduction of all spatial dimensions, which stay with size 1. */
function global(context: OnnxNodeContext, name: 'mean' | 'max'): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  if (rank < 3) context.refuse(`a value of ${rank} dimensions has no spatial ones`);
  const axes = Array.from({ length: rank - 2 }, (_, axis) => axis + 1);
  const attrs = { function: name, axes, keepDims: true };
  const inputs = [context.builder.in('last', x)];
  return context.result('last', context.add({ op: 'reduce', inputs, attrs, weights: {} }));
}

export function GlobalAveragePool(context: OnnxNodeContext): Dynamic {
  return global(context, 'mean');
}

export function GlobalMaxPool(context: OnnxNodeContext): Dynamic {
  return global(context, 'max');
}
