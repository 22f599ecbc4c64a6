import type { AttrsByOp } from '@dgconv/core';
import { scaledPixels } from '../../onnx-resized.js';
import type { Dynamic } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';

type Attrs = AttrsByOp['resize'];

const coordinates: Readonly<Record<string, Attrs['coordinates']>> = {
  half_pixel: 'half-pixel',
  pytorch_half_pixel: 'pytorch-half-pixel',
  align_corners: 'align-corners',
  asymmetric: 'asymmetric',
};

const roundings: Readonly<Record<string, Attrs['rounding']>> = {
  round_prefer_floor: 'round-prefer-floor',
  round_prefer_ceil: 'round-prefer-ceil',
  floor: 'floor',
  ceil: 'ceil',
};

/** An image resized by scales or to sizes, given for all four dimensions or for `axes`. */
export function Resize(context: OnnxNodeContext): Dynamic {
  const isOld = context.opset < 11;
  const transformation = context.string('coordinate_transformation_mode', isOld ? 'asymmetric' : 'half_pixel');
  const rounding = context.string('nearest_mode', isOld ? 'floor' : 'round_prefer_floor');
  const attrs = {
    mode: modeOf(context),
    coordinates:
      coordinates[transformation] ??
      context.refuse(`'coordinate_transformation_mode' ${transformation} is not supported`),
    rounding: roundings[rounding] ?? context.refuse(`'nearest_mode' ${rounding} is not supported`),
  };
  if (context.int('antialias', 0) !== 0) context.refuse("'antialias' is not supported");
  if (context.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch') {
    context.refuse("'keep_aspect_ratio_policy' is not supported");
  }
  if (context.int('exclude_outside', 0) !== 0) context.refuse("'exclude_outside' is not supported");
  const x = context.dynamic(0);
  const list = (index: number): number[] => (context.optional(index) === null ? [] : context.numbers(index));
  const scales = list(isOld ? 1 : 2);
  const sizes = isOld ? [] : list(3);
  return resized(context, x, scales, sizes, attrs);
}

/** Operator sets 7 to 9: scales only, pixels by their upper left corner. */
export function Upsample(context: OnnxNodeContext): Dynamic {
  const scales = context.floats('scales') ?? context.numbers(1);
  const attrs = { mode: modeOf(context), coordinates: 'asymmetric', rounding: 'floor' } as const;
  return resized(context, context.dynamic(0), scales, [], attrs);
}

function modeOf(context: OnnxNodeContext): Attrs['mode'] {
  const mode = context.string('mode', 'nearest');
  if (mode === 'nearest') return 'nearest';
  if (mode === 'linear' || mode === 'bilinear') return 'linear';
  return context.refuse(`mode '${mode}' is not supported, only nearest and linear`);
}

function resized(
  context: OnnxNodeContext,
  x: Dynamic,
  scales: readonly number[],
  sizes: readonly number[],
  attrs: Omit<Attrs, 'size' | 'scales'>,
): Dynamic {
  const rank = x.shape.length;
  if (rank !== 4) context.refuse(`a value of shape [${x.shape.join(', ')}] is no image`);
  const listed = context.ints('axes')?.map((axis) => context.axis(axis, rank)) ?? [0, 1, 2, 3];
  const values = sizes.length > 0 ? sizes : scales;
  if (values.length !== listed.length)
    context.refuse(`${values.length} numbers do not fit ${listed.length} dimensions`);
  const entry = (axis: number): number | null => {
    const index = listed.indexOf(axis);
    return index < 0 ? null : values[index]!;
  };
  const target = [0, 1, 2, 3].map((axis) => {
    const value = entry(axis);
    if (value === null) return x.shape[axis]!;
    return sizes.length > 0 ? value : scaledPixels(x.shape[axis]!, value);
  });
  if (target[0] !== x.shape[0] || target[1] !== x.shape[1]) context.refuse('only height and width can be resized');
  if (target.some((size) => !Number.isInteger(size) || size < 1)) {
    context.refuse(`the result would have shape [${target.join(', ')}]`);
  }
  const size = [target[2]!, target[3]!] as const;
  // ONNX gives output per input pixel, the graph's resize input per output pixel.
  const inverse = [1 / (entry(2) ?? 1), 1 / (entry(3) ?? 1)] as const;
  const inputs = [context.builder.in('last', x)];
  const complete = { ...attrs, size, scales: sizes.length > 0 ? null : inverse };
  return context.result('last', context.add({ op: 'resize', inputs, attrs: complete, weights: {} }));
}
