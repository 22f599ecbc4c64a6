import type { NodeOf, OpKind, Shape } from '@dgconv/core';
import { unsupportedIn, type EmitContext } from './context.js';
import { activate, splitActivation } from './tflite-activations.js';
import type { TfliteBuilder } from './tflite-builder.js';
import { fusedActivation, operators, type OptionField, type TfliteOperator } from './tflite-schema.js';
import { affine, averagePool, conv2d, conv2dTranspose, maxPool } from './tflite-windows.js';

type Rule<K extends OpKind> = (node: NodeOf<K>, builder: TfliteBuilder, context: EmitContext) => number;

const none: OptionField = ['int8', fusedActivation.none];
const int = (value: number): OptionField => ['int32', value];
const flag = (value: boolean): OptionField => ['bool', value ? 1 : 0];

const reshapeTo = (builder: TfliteBuilder, x: number, shape: Shape): number =>
  builder.op(operators.reshape, [x, builder.integers('shape', shape)], shape, [['int32-vector', shape]]);

const transposeBy = (builder: TfliteBuilder, x: number, permutation: readonly number[]): number => {
  const shape = builder.shapeOfTensor(x);
  const result = permutation.map((axis) => shape[axis]!);
  return builder.op(operators.transpose, [x, builder.integers('permutation', permutation)], result);
};

const gather = (builder: TfliteBuilder, x: number, axis: number, indices: readonly number[]): number => {
  const shape = builder.shapeOfTensor(x).with(axis, indices.length);
  return builder.op(operators.gather, [x, builder.integers('indices', indices)], shape, [int(axis), int(0)]);
};

const binaryOperators: Readonly<Record<NodeOf<'binary'>['attrs']['function'], TfliteOperator>> = {
  add: operators.add,
  subtract: operators.subtract,
  multiply: operators.multiply,
  divide: operators.divide,
  maximum: operators.maximum,
  minimum: operators.minimum,
  power: operators.power,
};
const fusing = new Set(['add', 'subtract', 'multiply', 'divide']);

const binary: Rule<'binary'> = (node, builder, { shapeOf }) => {
  const { attrs, inputs, id } = node;
  const canFuse = fusing.has(attrs.function);
  const { fused, rest } = canFuse ? splitActivation(attrs.activation) : { fused: null, rest: attrs.activation };
  const operands = inputs.map((input) => builder.tensor(input));
  const result = builder.op(binaryOperators[attrs.function], operands, shapeOf(id), canFuse ? [fused] : []);
  return activate(builder, result, rest, node);
};

const reducers = {
  mean: operators.mean,
  sum: operators.sum,
  max: operators.reduceMax,
  min: operators.reduceMin,
} as const;

const pad: Rule<'pad'> = (node, builder, { shapeOf }) => {
  const { attrs, inputs, id } = node;
  const x = builder.tensor(inputs[0]!);
  const amounts = attrs.before.flatMap((before, axis) => [before, attrs.after[axis]!]);
  const operands = [x, builder.integers('paddings', amounts, [attrs.before.length, 2])];
  switch (attrs.mode) {
    case 'constant':
      return attrs.value === 0
        ? builder.op(operators.pad, operands, shapeOf(id))
        : builder.op(operators.padV2, [...operands, builder.scalar(attrs.value)], shapeOf(id));
    case 'reflect':
      return builder.op(operators.mirrorPad, operands, shapeOf(id), [['int8', 0]]);
    case 'edge':
      // Mirroring with the border repeated is the same as long as it is one element.
      if (amounts.every((amount) => amount <= 1))
        return builder.op(operators.mirrorPad, operands, shapeOf(id), [['int8', 1]]);
      return attrs.before.reduce((result, before, axis) => {
        const last = builder.shapeOfTensor(result)[axis]! - 1;
        const length = before + last + 1 + attrs.after[axis]!;
        if (length === last + 1) return result;
        const indices = Array.from({ length }, (_, at) => Math.min(Math.max(at - before, 0), last));
        return gather(builder, result, axis, indices);
      }, x);
  }
};

/** Input index of each output index under ONNX's nearest rules, which is what `resize` means. */
const nearestIndices = (attrs: NodeOf<'resize'>['attrs'], input: number, axis: 0 | 1): number[] => {
  const output = attrs.size[axis];
  const pixels = attrs.scales?.[axis] ?? input / output;
  const place = (at: number): number => {
    switch (attrs.coordinates) {
      case 'half-pixel':
        return (at + 0.5) * pixels - 0.5;
      case 'pytorch-half-pixel':
        return output > 1 ? (at + 0.5) * pixels - 0.5 : 0;
      case 'align-corners':
        return output > 1 ? (at * (input - 1)) / (output - 1) : 0;
      case 'asymmetric':
        return at * pixels;
    }
  };
  const round = {
    'round-prefer-floor': (value: number) => Math.ceil(value - 0.5),
    'round-prefer-ceil': (value: number) => Math.floor(value + 0.5),
    floor: Math.floor,
    ceil: Math.ceil,
  }[attrs.rounding];
  return Array.from({ length: output }, (_, at) => Math.min(Math.max(round(place(at)), 0), input - 1));
};

const resize: Rule<'resize'> = (node, builder, { shapeOf }) => {
  const { attrs, inputs, id } = node;
  const x = builder.tensor(inputs[0]!);
  const input = [shapeOf(inputs[0]!)[1]!, shapeOf(inputs[0]!)[2]!] as const;
  const operands = [x, builder.integers('size', attrs.size)];
  if (attrs.mode === 'linear') {
    const ownScale = attrs.scales?.some(
      (pixels, axis) => Math.abs((pixels * attrs.size[axis]!) / input[axis]! - 1) > 1e-6,
    );
    if (ownScale)
      throw unsupportedIn('TFLite', node, `its scales ${attrs.scales!.join('×')} are not input size / output size`);
    if (attrs.coordinates === 'pytorch-half-pixel' && attrs.size.includes(1))
      throw unsupportedIn('TFLite', node, 'TFLite has no pytorch-half-pixel coordinates for an output of one pixel');
    const options = [
      null,
      null,
      flag(attrs.coordinates === 'align-corners'),
      flag(attrs.coordinates.endsWith('half-pixel')),
    ];
    return builder.op(operators.resizeBilinear, operands, shapeOf(id), options);
  }
  const rows = nearestIndices(attrs, input[0], 0);
  const columns = nearestIndices(attrs, input[1], 1);
  const matches = (rule: (at: number, size: number, output: number) => number): boolean =>
    [rows, columns].every((indices, axis) =>
      indices.every((index, at) => Math.min(rule(at, input[axis]!, indices.length), input[axis]! - 1) === index),
    );
  if (matches((at, size, output) => Math.floor((at + 0.5) * (size / output))))
    return builder.op(operators.resizeNearest, operands, shapeOf(id), [flag(false), flag(true)]);
  if (matches((at, size, output) => Math.floor(at * (size / output))))
    return builder.op(operators.resizeNearest, operands, shapeOf(id), [flag(false), flag(false)]);
  return gather(builder, gather(builder, x, 1, rows), 2, columns);
};

const slice: Rule<'slice'> = ({ attrs, inputs, id }, builder, { shapeOf }) => {
  const x = builder.tensor(inputs[0]!);
  const { starts, sizes, steps } = attrs;
  const begin = builder.integers('begin', starts);
  if (steps.every((step) => step === 1))
    return builder.op(operators.slice, [x, begin, builder.integers('size', sizes)], shapeOf(id));
  const ends = starts.map((start, axis) => start + sizes[axis]! * steps[axis]!);
  // A backward slice that reaches element 0 ends before it: the mask says "to the end".
  const endMask = ends.reduce((mask, end, axis) => (end < 0 ? mask | (1 << axis) : mask), 0);
  const operands = [x, begin, builder.integers('end', ends), builder.integers('strides', steps)];
  return builder.op(operators.stridedSlice, operands, shapeOf(id), [int(0), int(endMask), int(0), int(0), int(0)]);
};

const softmax: Rule<'softmax'> = ({ attrs, inputs, id }, builder, { shapeOf }) => {
  const rank = shapeOf(id).length;
  const axis = attrs.axis < 0 ? attrs.axis + rank : attrs.axis;
  const x = builder.tensor(inputs[0]!);
  const beta: OptionField = ['float', 1];
  if (axis === rank - 1) return builder.op(operators.softmax, [x], shapeOf(id), [beta]);
  const swap = [...Array(rank).keys()].with(axis, rank - 1).with(rank - 1, axis);
  const moved = transposeBy(builder, x, swap);
  return transposeBy(builder, builder.op(operators.softmax, [moved], builder.shapeOfTensor(moved), [beta]), swap);
};

/** How each op is written in TFLite: emits operations and returns the tensor of the result. */
export const tfliteRules: { readonly [K in OpKind]: Rule<K> } = {
  conv2d,
  'conv2d-transpose': conv2dTranspose,
  dense: (node, builder, { floats, shapeOf }) => {
    const { attrs, weights, inputs, id } = node;
    const { fused, rest } = splitActivation(attrs.activation);
    const bias = weights.bias ? floats(weights.bias) : new Float32Array(attrs.channelsOut);
    const operands = [
      builder.tensor(inputs[0]!),
      builder.floats('kernel', [attrs.channelsOut, attrs.channelsIn], floats(weights.kernel)),
      builder.floats('bias', [attrs.channelsOut], bias),
    ];
    return activate(builder, builder.layer(operators.fullyConnected, operands, shapeOf(id), [fused]), rest, node);
  },
  matmul: ({ inputs, id }, builder, { shapeOf }) =>
    builder.op(
      operators.batchMatmul,
      inputs.map((input) => builder.tensor(input)),
      shapeOf(id),
    ),
  'batch-norm': ({ attrs, weights, inputs }, builder, { floats }) => {
    const variance = floats(weights.variance);
    const mean = floats(weights.mean);
    const gamma = weights.gamma ? floats(weights.gamma) : variance.map(() => 1);
    const scale = gamma.map((value, channel) => value / Math.sqrt(variance[channel]! + attrs.epsilon));
    const beta = weights.beta ? floats(weights.beta) : variance.map(() => 0);
    const shift = beta.map((value, channel) => value - mean[channel]! * scale[channel]!);
    return affine(builder, builder.tensor(inputs[0]!), scale, shift);
  },
  affine: ({ weights, inputs }, builder, { floats }) =>
    affine(builder, builder.tensor(inputs[0]!), floats(weights.scale), floats(weights.shift)),
  activation: (node, builder) => activate(builder, builder.tensor(node.inputs[0]!), node.attrs.activation, node),
  prelu: ({ attrs, weights, inputs, id }, builder, { floats, shapeOf }) => {
    const slope = builder.floats('slope', [...Array<number>(shapeOf(id).length - 2).fill(1), attrs.channels], floats(weights.slope)); // prettier-ignore
    return builder.op(operators.prelu, [builder.tensor(inputs[0]!), slope], shapeOf(id));
  },
  binary,
  constant: ({ attrs, weights }, builder, { floats }) => builder.floats('value', attrs.shape, floats(weights.value)),
  softmax,
  'max-pool': maxPool,
  'average-pool': averagePool,
  reduce: ({ attrs, inputs, id }, builder, { shapeOf }) => {
    const rank = shapeOf(inputs[0]!).length;
    const axes = attrs.axes.map((axis) => (axis < 0 ? axis + rank : axis));
    const operands = [builder.tensor(inputs[0]!), builder.integers('axes', axes)];
    return builder.op(reducers[attrs.function], operands, shapeOf(id), [flag(attrs.keepDims)]);
  },
  concat: ({ attrs, inputs, id }, builder, { shapeOf }) => {
    const rank = shapeOf(id).length;
    const axis = attrs.axis < 0 ? attrs.axis + rank : attrs.axis;
    return builder.op(
      operators.concatenation,
      inputs.map((input) => builder.tensor(input)),
      shapeOf(id),
      [int(axis), none],
    );
  },
  slice,
  pad,
  resize,
  transpose: ({ attrs, inputs }, builder) => transposeBy(builder, builder.tensor(inputs[0]!), attrs.permutation),
  reshape: ({ inputs, id }, builder, { shapeOf }) => reshapeTo(builder, builder.tensor(inputs[0]!), shapeOf(id)),
  take: ({ attrs, inputs, id }, builder, { shapeOf }) => {
    const rank = shapeOf(id).length;
    return gather(builder, builder.tensor(inputs[0]!), attrs.axis < 0 ? attrs.axis + rank : attrs.axis, attrs.indices);
  },
  identity: ({ inputs }, builder) => builder.tensor(inputs[0]!),
  dropout: ({ inputs }, builder) => builder.tensor(inputs[0]!),
};
