import type { NodeOf, Node, Padding, Shape, Window } from '@dgconv/core';
import { contiguousGroups, unsupportedIn, type EmitContext } from './context.js';
import { activate, splitActivation } from './tflite-activations.js';
import type { TfliteBuilder } from './tflite-builder.js';
import { fusedActivation, operators, paddingScheme, type OptionField } from './tflite-schema.js';

const none: OptionField = ['int8', fusedActivation.none];
const int = (value: number): OptionField => ['int32', value];

/** `[O, I, kh, kw]` → `[O, kh, kw, I]`. */
export const outputMajorToOhwi = (
  kernel: Float32Array,
  outputs: number,
  inputs: number,
  patch: number,
): Float32Array => {
  const result = new Float32Array(kernel.length);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let p = 0; p < patch; p++) result[(o * patch + p) * inputs + i] = kernel[(o * inputs + i) * patch + p]!;
  return result;
};

/** How one spatial axis is padded: what TFLite's SAME would add, and what the window really uses of its padding. */
const axisPadding = (input: number, output: number, window: Window, axis: 0 | 1): { used: number; same: boolean } => {
  const before = axis === 0 ? window.padding.top : window.padding.left;
  const extent = (window.kernelSize[axis] - 1) * window.dilations[axis] + 1;
  const stride = window.strides[axis];
  // Padding behind the last window position is never read.
  const used = Math.max(0, (output - 1) * stride + extent - input - before);
  const sameTotal = Math.max(0, (Math.ceil(input / stride) - 1) * stride + extent - input);
  const same = output === Math.ceil(input / stride) && before === sameTotal >> 1 && used === sameTotal - before;
  return { used, same };
};

interface Padded {
  readonly x: number;
  readonly scheme: OptionField;
}

/** Padding of a window as SAME or VALID where they say it, else a PAD before a VALID window. */
const padFor = (
  builder: TfliteBuilder,
  x: number,
  window: Window,
  output: Shape,
  padded: 'zero' | 'lowest',
): Padded => {
  const input = builder.shapeOfTensor(x);
  const vertical = axisPadding(input[1]!, output[1]!, window, 0);
  const horizontal = axisPadding(input[2]!, output[2]!, window, 1);
  const { top, left } = window.padding;
  const amounts: Padding = { top, bottom: vertical.used, left, right: horizontal.used };
  if (top + left + amounts.bottom + amounts.right === 0) return { x, scheme: ['int8', paddingScheme.valid] };
  if (vertical.same && horizontal.same) return { x, scheme: ['int8', paddingScheme.same] };
  return { x: padTensor(builder, x, amounts, padded), scheme: ['int8', paddingScheme.valid] };
};

const padTensor = (
  builder: TfliteBuilder,
  x: number,
  { top, bottom, left, right }: Padding,
  padded: 'zero' | 'lowest',
): number => {
  const [batch, height, width, channels] = builder.shapeOfTensor(x) as [number, number, number, number];
  const shape = [batch, height + top + bottom, width + left + right, channels];
  const amounts = builder.integers('paddings', [0, 0, top, bottom, left, right, 0, 0], [4, 2]);
  return padded === 'zero'
    ? builder.op(operators.pad, [x, amounts], shape)
    : builder.op(operators.padV2, [x, amounts, builder.scalar(-3.4028234663852886e38)], shape);
};

/** Per-channel `x · scale + shift`. */
export const affine = (
  builder: TfliteBuilder,
  x: number,
  scale: Float32Array,
  shift: Float32Array,
  fused: OptionField = none,
): number => {
  const shape = builder.shapeOfTensor(x);
  const scaled = builder.op(operators.multiply, [x, builder.floats('scale', [scale.length], scale)], shape, [none]);
  return builder.op(operators.add, [scaled, builder.floats('shift', [shift.length], shift)], shape, [fused]);
};

export const conv2d = (node: NodeOf<'conv2d'>, builder: TfliteBuilder, { floats, shapeOf }: EmitContext): number => {
  const { attrs, weights, inputs, id } = node;
  const groups = contiguousGroups(node);
  if (groups === null)
    throw unsupportedIn('TFLite', node, `its ${attrs.connectivity.kind} connectivity is not equal contiguous groups`);
  const { channelsIn, channelsOut } = attrs.connectivity;
  const { kernelSize, strides, dilations } = attrs;
  const shape = shapeOf(id);
  let x = builder.tensor(inputs[0]!);
  if (attrs.pre === 'affine-relu')
    x = affine(builder, x, floats(weights.preScale!), floats(weights.preShift!), ['int8', fusedActivation.relu]);
  const { x: padded, scheme } = padFor(builder, x, attrs, shape, 'zero');
  const kernel = floats(weights.kernel);
  const patch = kernelSize[0] * kernelSize[1];
  const bias = weights.bias ? floats(weights.bias) : new Float32Array(channelsOut);
  const { fused, rest } = splitActivation(attrs.activation);
  const convFused = inputs[1] === undefined ? fused : none;
  const depthwise = groups === channelsIn && groups > 1;
  const filter = depthwise
    ? builder.floats('kernel', [1, ...kernelSize, channelsOut], outputMajorToOhwi(kernel, 1, channelsOut, patch))
    : builder.floats(
        'kernel',
        [channelsOut, ...kernelSize, channelsIn / groups],
        outputMajorToOhwi(kernel, channelsOut, channelsIn / groups, patch),
      );
  const operands = [padded, filter, builder.floats('bias', [channelsOut], bias)];
  const stride = [int(strides[1]), int(strides[0])];
  const dilation = [int(dilations[1]), int(dilations[0])];
  const dilated = dilations.some((value) => value !== 1);
  const result = depthwise
    ? builder.layer(dilated ? operators.depthwiseConv2dDilated : operators.depthwiseConv2d, operands, shape, [
        scheme,
        ...stride,
        int(channelsOut / channelsIn),
        convFused,
        ...dilation,
      ])
    : builder.layer(groups > 1 ? operators.conv2dGrouped : operators.conv2d, operands, shape, [
        scheme,
        ...stride,
        convFused,
        ...dilation,
      ]);
  const sum =
    inputs[1] === undefined ? result : builder.op(operators.add, [result, builder.tensor(inputs[1])], shape, [fused]);
  return activate(builder, sum, rest, node);
};

/**
 * Transposed convolution as VALID TRANSPOSE_CONV, whose full output is then cut by the padding. TFLite has neither groups nor
 * dilation of it, so the kernel is written out with zeros.
 */
export const conv2dTranspose = (
  node: NodeOf<'conv2d-transpose'>,
  builder: TfliteBuilder,
  { floats, shapeOf }: EmitContext,
): number => {
  const { attrs, weights, inputs, id } = node;
  const { channelsIn, channelsOut, groups, kernelSize, strides, dilations, padding } = attrs;
  const [batch, height, width] = shapeOf(inputs[0]!) as [number, number, number, number];
  const shape = shapeOf(id);
  const extent = kernelSize.map((size, axis) => (size - 1) * dilations[axis]! + 1) as [number, number];
  const kernel = floats(weights.kernel);
  const filter = new Float32Array(channelsOut * extent[0] * extent[1] * channelsIn);
  const outputsPerGroup = channelsOut / groups;
  const inputsPerGroup = channelsIn / groups;
  for (let i = 0; i < channelsIn; i++)
    for (let o = 0; o < outputsPerGroup; o++)
      for (let ky = 0; ky < kernelSize[0]; ky++)
        for (let kx = 0; kx < kernelSize[1]; kx++) {
          const output = Math.floor(i / inputsPerGroup) * outputsPerGroup + o;
          const at = (output * extent[0] + ky * dilations[0]) * extent[1] + kx * dilations[1];
          filter[at * channelsIn + i] = kernel[((i * outputsPerGroup + o) * kernelSize[0] + ky) * kernelSize[1] + kx]!;
        }
  // The full output reaches as far as the cut needs; rows beyond the last kernel position hold the bias alone.
  const fullHeight = Math.max((height - 1) * strides[0] + extent[0], padding.top + shape[1]!);
  const fullWidth = Math.max((width - 1) * strides[1] + extent[1], padding.left + shape[2]!);
  const full = [batch, fullHeight, fullWidth, channelsOut];
  const bias = weights.bias ? floats(weights.bias) : new Float32Array(channelsOut);
  const { fused, rest } = splitActivation(attrs.activation);
  const operands = [
    builder.integers('output_shape', full),
    builder.floats('kernel', [channelsOut, ...extent, channelsIn], filter),
    builder.tensor(inputs[0]!),
    builder.floats('bias', [channelsOut], bias),
  ];
  const options: OptionField[] = [['int8', paddingScheme.valid], int(strides[1]), int(strides[0]), fused];
  let result = builder.layer(operators.transposeConv, operands, full, options);
  if (fullHeight !== shape[1] || fullWidth !== shape[2]) {
    const begin = builder.integers('begin', [0, padding.top, padding.left, 0]);
    result = builder.op(operators.slice, [result, begin, builder.integers('size', shape)], shape);
  }
  return activate(builder, result, rest, node);
};

const refuseDilation = (node: NodeOf<'max-pool'> | NodeOf<'average-pool'>): void => {
  if (node.attrs.dilations.some((dilation) => dilation !== 1))
    throw unsupportedIn('TFLite', node, `its pooling has no dilation, here ${node.attrs.dilations.join('×')}`);
};

const poolOptions = (scheme: OptionField, { strides, kernelSize }: Window): OptionField[] => [
  scheme,
  int(strides[1]),
  int(strides[0]),
  int(kernelSize[1]),
  int(kernelSize[0]),
  none,
];

const neverNegative = (node: Node | undefined): boolean =>
  node !== undefined &&
  'activation' in node.attrs &&
  ['relu', 'relu6', 'sigmoid', 'exp', 'abs', 'softplus'].includes(node.attrs.activation.function);

export const maxPool = (node: NodeOf<'max-pool'>, builder: TfliteBuilder, { shapeOf, nodeOf }: EmitContext): number => {
  refuseDilation(node);
  const input = node.inputs[0]!;
  // Behind a ReLU zeros never win over a real element, and PAD stays in XNNPACK, which PADV2 does not.
  const padded = neverNegative(nodeOf(input)) ? 'zero' : 'lowest';
  const { x, scheme } = padFor(builder, builder.tensor(input), node.attrs, shapeOf(node.id), padded);
  return builder.op(operators.maxPool, [x], shapeOf(node.id), poolOptions(scheme, node.attrs));
};

/** Elements of the input under each position of a window along one axis. */
const countsAlong = (input: number, output: number, window: Window, axis: 0 | 1): number[] => {
  const before = axis === 0 ? window.padding.top : window.padding.left;
  return Array.from({ length: output }, (_, position) => {
    const start = position * window.strides[axis] - before;
    return Math.min(start + window.kernelSize[axis], input) - Math.max(start, 0);
  });
};

export const averagePool = (node: NodeOf<'average-pool'>, builder: TfliteBuilder, { shapeOf }: EmitContext): number => {
  refuseDilation(node);
  const { attrs, inputs, id } = node;
  const shape = shapeOf(id);
  const [, height, width] = shapeOf(inputs[0]!) as [number, number, number, number];
  const x = builder.tensor(inputs[0]!);
  const vertical = axisPadding(height, shape[1]!, attrs, 0);
  const horizontal = axisPadding(width, shape[2]!, attrs, 1);
  const { top, left } = attrs.padding;
  const paddedAtAll = top + left + vertical.used + horizontal.used > 0;
  if (!paddedAtAll || (!attrs.countPadding && vertical.same && horizontal.same)) {
    const { scheme } = padFor(builder, x, attrs, shape, 'zero');
    return builder.op(operators.averagePool, [x], shape, poolOptions(scheme, attrs));
  }
  // TFLite's average never counts its own padding: pad first, so that zeros count, then undo the count where they must not.
  const amounts = { top, left, bottom: vertical.used, right: horizontal.used };
  const padded = padTensor(builder, x, amounts, 'zero');
  const pooled = builder.op(operators.averagePool, [padded], shape, poolOptions(['int8', paddingScheme.valid], attrs));
  if (attrs.countPadding) return pooled;
  const rows = countsAlong(height, shape[1]!, attrs, 0);
  const columns = countsAlong(width, shape[2]!, attrs, 1);
  const patch = attrs.kernelSize[0] * attrs.kernelSize[1];
  const factors = Float32Array.from(rows.flatMap((row) => columns.map((column) => patch / (row * column))));
  const correction = builder.floats('correction', [1, shape[1]!, shape[2]!, 1], factors);
  return builder.op(operators.multiply, [pooled, correction], shape, [none]);
};
