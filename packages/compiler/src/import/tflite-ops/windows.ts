import {
  contiguousGrouping,
  type Padding,
  reshapeWeight,
  type Shape,
  transposeWeight,
  type Window,
} from '@dgconv/core';
import type { Constant, Dynamic } from '../tflite-graph.js';
import type { TfliteNode, TfliteOp } from '../tflite-node.js';

const isSame = (node: TfliteNode, scheme: number): boolean =>
  scheme === 0 || scheme === 1 ? scheme === 0 : node.refuse(`the padding scheme ${scheme} is not supported`);

/** Window over `[N, H, W, C]` with SAME padding resolved for this size. */
function windowOf(
  node: TfliteNode,
  input: Shape,
  kernelSize: readonly [number, number],
  strides: readonly [number, number],
  dilations: readonly [number, number] = [1, 1],
): Window {
  const sizes = [...kernelSize, ...strides, ...dilations];
  if (sizes.some((size) => size < 1)) node.refuse(`kernel, strides and dilations are ${sizes.join(', ')}: at least 1`);
  const same = isSame(node, node.byte(0));
  const [[top, bottom], [left, right]] = [0, 1].map((axis): [number, number] => {
    if (!same) return [0, 0];
    const size = input[1 + axis]!;
    const extent = (kernelSize[axis]! - 1) * dilations[axis]! + 1;
    const total = Math.max((Math.ceil(size / strides[axis]!) - 1) * strides[axis]! + extent - size, 0);
    return [total >> 1, total - (total >> 1)];
  }) as [[number, number], [number, number]];
  return { kernelSize, strides, dilations, padding: { top, bottom, left, right } };
}

/** The filter of a convolution: a constant of rank 4. */
function filterOf(node: TfliteNode, index: number): Constant {
  const filter = node.constant(index);
  if (filter.shape.length !== 4) node.refuse(`its filter has the shape [${filter.shape.join(', ')}], not four sizes`);
  if (!filter.isFloat) node.refuse('its filter is not floating-point');
  return filter;
}

const biasOf = (node: TfliteNode, index: number): { bias?: Constant['weight'] } => {
  if (node.optional(index) === null) return {};
  const bias = node.constant(index);
  return {
    bias: bias.shape.length === 1 ? bias.weight : reshapeWeight(bias.weight, [bias.shape.reduce((a, b) => a * b, 1)]),
  };
};

/** Filter `[C_out, kh, kw, C_in/G]`: fewer channels than the input has mean groups. */
const CONV_2D: TfliteOp = (node) => {
  const x = node.images(0);
  const filter = filterOf(node, 1);
  const [channelsOut, height, width, perGroup] = filter.shape as [number, number, number, number];
  const channelsIn = x.shape[3]!;
  if (perGroup < 1 || channelsIn % perGroup !== 0)
    node.refuse(`its filter takes ${perGroup} of ${channelsIn} input channels, which makes no whole number of groups`);
  return node.add({
    op: 'conv2d',
    inputs: [x.id],
    attrs: {
      ...windowOf(node, x.shape, [height, width], [node.int(2), node.int(1)], [node.int(5, 1), node.int(4, 1)]),
      connectivity: contiguousGrouping(channelsOut, channelsIn, channelsIn / perGroup),
      pre: 'none',
      activation: node.fused(3),
    },
    weights: { kernel: transposeWeight(filter.weight, [0, 3, 1, 2]), ...biasOf(node, 2) },
  });
};

/** Filter `[1, kh, kw, C_out]`; output o reads input `⌊o / multiplier⌋`. */
const DEPTHWISE_CONV_2D: TfliteOp = (node) => {
  const x = node.images(0);
  const filter = filterOf(node, 1);
  const [one, height, width, channelsOut] = filter.shape as [number, number, number, number];
  const channelsIn = x.shape[3]!;
  if (one !== 1 || channelsOut % channelsIn !== 0)
    node.refuse(`its filter [${filter.shape.join(', ')}] does not fit ${channelsIn} input channels`);
  return node.add({
    op: 'conv2d',
    inputs: [x.id],
    attrs: {
      ...windowOf(node, x.shape, [height, width], [node.int(2), node.int(1)], [node.int(6, 1), node.int(5, 1)]),
      connectivity: contiguousGrouping(channelsOut, channelsIn, channelsIn),
      pre: 'none',
      activation: node.fused(4),
    },
    weights: { kernel: transposeWeight(filter.weight, [3, 0, 1, 2]), ...biasOf(node, 2) },
  });
};

/** A transposed convolution with filter `[C_out, kh, kw, C_in]` whose output has the size `given`, or follows from the padding. */
function transposed(
  node: TfliteNode,
  x: Dynamic,
  filterIndex: number,
  options: {
    readonly strides: readonly [number, number];
    readonly same: boolean;
    readonly given: readonly number[] | null;
    readonly fused: ReturnType<TfliteNode['fused']>;
  },
): Dynamic {
  const { strides, same, given, fused } = options;
  const filter = filterOf(node, filterIndex);
  const [channelsOut, height, width, channelsIn] = filter.shape as [number, number, number, number];
  if (strides.some((stride) => stride < 1)) node.refuse(`its strides are ${strides.join(', ')}: at least 1`);
  const kernelSize = [height, width] as const;
  const sides = [0, 1].map((axis) => {
    const [size, stride, kernel] = [x.shape[1 + axis]!, strides[axis]!, kernelSize[axis]!];
    const full = (size - 1) * stride + kernel;
    const output = given?.[1 + axis] ?? (same ? size * stride : full);
    // What the convolution from the output's size to the input's would have been padded by.
    const before = same ? Math.max((Math.ceil(output / stride) - 1) * stride + kernel - output, 0) >> 1 : 0;
    const after = full - before - output;
    return { before, after: Math.max(after, 0), more: Math.max(-after, 0) };
  }) as [Side, Side];
  const padding: Padding = {
    top: sides[0].before,
    bottom: sides[0].after,
    left: sides[1].before,
    right: sides[1].after,
  };
  return node.add({
    op: 'conv2d-transpose',
    inputs: [x.id],
    attrs: {
      channelsIn,
      channelsOut,
      groups: 1,
      kernelSize,
      strides,
      dilations: [1, 1],
      padding,
      outputPadding: [sides[0].more, sides[1].more],
      activation: fused,
    },
    weights: {
      kernel: transposeWeight(filter.weight, [3, 0, 1, 2]),
      ...biasOf(node, filterIndex === 1 && node.operation.isCustom ? 2 : 3),
    },
  });
}

interface Side {
  readonly before: number;
  readonly after: number;
  readonly more: number;
}

const TRANSPOSE_CONV: TfliteOp = (node) => {
  const given = node.isResized ? null : node.numbers(0);
  if (given !== null && given.length !== 4) node.refuse(`its output shape [${given.join(', ')}] has no four sizes`);
  return transposed(node, node.images(2), 1, {
    strides: [node.int(2), node.int(1)],
    same: isSame(node, node.byte(0)),
    given,
    fused: node.fused(3),
  });
};

/** MediaPipe's: like TRANSPOSE_CONV, with inputs x, filter, bias and the options padding (1 is SAME), stride width, stride height. */
const Convolution2DTransposeBias: TfliteOp = (node) => {
  const bytes = node.operation.customOptions;
  if (bytes === null || bytes.length < 12) node.refuse(`its options have ${bytes?.length ?? 0} bytes, not 12`);
  const view = new DataView(bytes!.buffer, bytes!.byteOffset, bytes!.length);
  return transposed(node, node.images(0), 1, {
    strides: [view.getInt32(8, true), view.getInt32(4, true)],
    same: view.getInt32(0, true) === 1,
    given: null,
    fused: { function: 'identity' },
  });
};

const poolWindow = (node: TfliteNode, x: Dynamic): Window =>
  windowOf(node, x.shape, [node.int(4), node.int(3)], [node.int(2), node.int(1)]);

const MAX_POOL_2D: TfliteOp = (node) => {
  const x = node.images(0);
  return node.addActivated({ op: 'max-pool', inputs: [x.id], attrs: poolWindow(node, x), weights: {} }, node.fused(5));
};

const AVERAGE_POOL_2D: TfliteOp = (node) => {
  const x = node.images(0);
  const attrs = { ...poolWindow(node, x), countPadding: false };
  return node.addActivated({ op: 'average-pool', inputs: [x.id], attrs, weights: {} }, node.fused(5));
};

/** Importers of operators that move a window over images, by operator. */
export const windowOps: Readonly<Record<string, TfliteOp>> = {
  CONV_2D,
  DEPTHWISE_CONV_2D,
  TRANSPOSE_CONV,
  Convolution2DTransposeBias,
  MAX_POOL_2D,
  AVERAGE_POOL_2D,
};
