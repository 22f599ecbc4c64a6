import type { Activation, ActivationFunction, NodeOf, OpKind, Padding, Window } from '@dgconv/core';
import { contiguousGroups, unsupportedIn, type EmitContext } from './context.js';
import { mapAxes, mapAxis, type AttributeValue, type OnnxBuilder } from './onnx-builder.js';

type Rule<K extends OpKind> = (node: NodeOf<K>, onnx: OnnxBuilder, context: EmitContext) => string;

/** `float` marks attributes of type FLOAT. */
const float = (value: number): AttributeValue => ({ float: value });

const pads = ({ top, left, bottom, right }: Padding): number[] => [top, left, bottom, right];

const windowAttributes = (window: Window): Record<string, AttributeValue> => ({
  kernel_shape: window.kernelSize,
  strides: window.strides,
  dilations: window.dilations,
  pads: pads(window.padding),
});

/** A vector over channels, shaped to broadcast against the values of a node of this rank. */
const channelVector = (onnx: OnnxBuilder, hint: string, rank: number, values: Float32Array): string =>
  onnx.floats(hint, rank === 4 ? [1, values.length, 1, 1] : [values.length], values);

const affine = (onnx: OnnxBuilder, x: string, rank: number, scale: Float32Array, shift: Float32Array): string =>
  onnx.op('Add', [
    onnx.op('Mul', [x, channelVector(onnx, 'scale', rank, scale)]),
    channelVector(onnx, 'shift', rank, shift),
  ]);

type ActivationRule = (onnx: OnnxBuilder, x: string, alpha: number, beta: number) => string;

const plainly =
  (opType: string): ActivationRule =>
  (onnx, x) =>
    onnx.op(opType, [x]);

const activations: { readonly [F in ActivationFunction]: ActivationRule } = {
  identity: (_, x) => x,
  relu: plainly('Relu'),
  relu6: (onnx, x) => onnx.op('Clip', [x, onnx.scalar(0), onnx.scalar(6)]),
  sigmoid: plainly('Sigmoid'),
  'hard-swish': plainly('HardSwish'),
  swish: (onnx, x) => onnx.op('Mul', [x, onnx.op('Sigmoid', [x])]),
  tanh: plainly('Tanh'),
  exp: plainly('Exp'),
  sqrt: plainly('Sqrt'),
  abs: plainly('Abs'),
  negate: plainly('Neg'),
  gelu: (onnx, x) => {
    const erf = onnx.op('Erf', [onnx.op('Mul', [x, onnx.scalar(Math.SQRT1_2)])]);
    const half = onnx.op('Mul', [x, onnx.scalar(0.5)]);
    return onnx.op('Mul', [half, onnx.op('Add', [erf, onnx.scalar(1)])]);
  },
  softplus: plainly('Softplus'),
  erf: plainly('Erf'),
  log: plainly('Log'),
  floor: plainly('Floor'),
  ceil: plainly('Ceil'),
  reciprocal: plainly('Reciprocal'),
  'leaky-relu': (onnx, x, alpha) => onnx.op('LeakyRelu', [x], { alpha: float(alpha) }),
  elu: (onnx, x, alpha) => onnx.op('Elu', [x], { alpha: float(alpha) }),
  clip: (onnx, x, alpha, beta) => onnx.op('Clip', [x, onnx.scalar(alpha), onnx.scalar(beta)]),
  'hard-sigmoid': (onnx, x, alpha, beta) => onnx.op('HardSigmoid', [x], { alpha: float(alpha), beta: float(beta) }),
};

const activate = (onnx: OnnxBuilder, x: string, activation: Activation): string => {
  const alpha = 'alpha' in activation ? activation.alpha : 0;
  const beta = 'beta' in activation ? activation.beta : 0;
  return activations[activation.function](onnx, x, alpha, beta);
};

const conv2d: Rule<'conv2d'> = (node, onnx, { floats, shapeOf }) => {
  const { attrs, weights, inputs } = node;
  const groups = contiguousGroups(node);
  if (groups === null)
    throw unsupportedIn('ONNX', node, `its ${attrs.connectivity.kind} connectivity is not equal contiguous groups`);
  const { channelsIn, channelsOut } = attrs.connectivity;
  let x = onnx.tensor(inputs[0]!);
  if (attrs.pre === 'affine-relu') {
    const scaled = affine(onnx, x, shapeOf(inputs[0]!).length, floats(weights.preScale!), floats(weights.preShift!));
    x = onnx.op('Relu', [scaled]);
  }
  const operands = [
    x,
    onnx.floats('kernel', [channelsOut, channelsIn / groups, ...attrs.kernelSize], floats(weights.kernel)),
    ...(weights.bias ? [onnx.floats('bias', [channelsOut], floats(weights.bias))] : []),
  ];
  const result = onnx.layer('Conv', operands, { ...windowAttributes(attrs), group: groups });
  const sum = inputs[1] === undefined ? result : onnx.op('Add', [result, onnx.tensor(inputs[1])]);
  return activate(onnx, sum, attrs.activation);
};

const averagePool: Rule<'average-pool'> = (node, onnx) => {
  const { dilations, ...window } = windowAttributes(node.attrs);
  if (node.attrs.dilations.some((dilation) => dilation !== 1))
    throw unsupportedIn('ONNX', node, `opset 15 has no dilation ${String(dilations)} of average pooling`);
  return onnx.op('AveragePool', [onnx.tensor(node.inputs[0]!)], {
    ...window,
    count_include_pad: node.attrs.countPadding ? 1 : 0,
  });
};

/** The smallest normal float32: as good as 0, and not 0. */
const smallestNormal = 2 ** -126;

const binaryOperators = {
  add: 'Add',
  subtract: 'Sub',
  multiply: 'Mul',
  divide: 'Div',
  maximum: 'Max',
  minimum: 'Min',
  power: 'Pow',
} as const;

const binary: Rule<'binary'> = (node, onnx, { shapeOf }) => {
  const { attrs, inputs, id } = node;
  const rank = shapeOf(id).length;
  // Broadcasting aligns the last axes, which in NCHW are not the last axes of NHWC.
  const operand = (input: string): string => {
    const shape = shapeOf(input);
    if (shape.length === rank || shape.length === 0) return rank === 4 ? onnx.tensor(input) : onnx.toPlain(input);
    if (rank === 4) return onnx.reshapeValue(input, [...Array<number>(4 - shape.length).fill(1), ...shape]);
    return onnx.toPlain(input);
  };
  return activate(onnx, onnx.op(binaryOperators[attrs.function], inputs.map(operand)), attrs.activation);
};

const reducers = { mean: 'ReduceMean', sum: 'ReduceSum', max: 'ReduceMax', min: 'ReduceMin' } as const;

const reduce: Rule<'reduce'> = (node, onnx, { shapeOf }) => {
  const { attrs, inputs, id } = node;
  const rank = shapeOf(inputs[0]!).length;
  const reduced = attrs.axes.map((axis) => (axis < 0 ? axis + rank : axis));
  const kept = [...Array(rank).keys()].filter((axis) => !reduced.includes(axis));
  // Without the reduced axes, NCHW order may still differ from the order that the result has here.
  const keptInOnnx = kept.map((axis) => mapAxis(axis, rank));
  const inOrder = attrs.keepDims || keptInOnnx.every((axis, place) => place === 0 || axis > keptInOnnx[place - 1]!);
  const x = inOrder ? onnx.tensor(inputs[0]!) : onnx.toPlain(inputs[0]!);
  const axes = (inOrder ? reduced.map((axis) => mapAxis(axis, rank)) : reduced).sort((a, b) => a - b);
  const keepdims = attrs.keepDims ? 1 : 0;
  const result =
    attrs.function === 'sum'
      ? onnx.op('ReduceSum', [x, onnx.integers('axes', axes)], { keepdims, noop_with_empty_axes: 1 })
      : onnx.op(reducers[attrs.function], [x], { axes, keepdims });
  return rank === 4 || attrs.keepDims ? result : onnx.fromPlain(result, shapeOf(id));
};

const padModes = { constant: 'constant', reflect: 'reflect', edge: 'edge' } as const;
const coordinates = {
  'half-pixel': 'half_pixel',
  'pytorch-half-pixel': 'pytorch_half_pixel',
  'align-corners': 'align_corners',
  asymmetric: 'asymmetric',
} as const;
const roundings = {
  'round-prefer-floor': 'round_prefer_floor',
  'round-prefer-ceil': 'round_prefer_ceil',
  floor: 'floor',
  ceil: 'ceil',
} as const;

const resize: Rule<'resize'> = ({ attrs, inputs }, onnx, { shapeOf }) => {
  const [batch, height, width, channels] = shapeOf(inputs[0]!);
  const scales = attrs.scales?.map((pixels) => Math.fround(1 / pixels));
  // Scales decide only where they give the size that was asked for: a rounded scale must not lose a row.
  const fits =
    scales && Math.floor(height! * scales[0]!) === attrs.size[0] && Math.floor(width! * scales[1]!) === attrs.size[1];
  const size = fits
    ? [onnx.floats('scales', [4], Float32Array.of(1, 1, ...scales))]
    : ['', onnx.integers('sizes', [batch!, channels!, ...attrs.size])];
  return onnx.op('Resize', [onnx.tensor(inputs[0]!), '', ...size], {
    mode: attrs.mode,
    coordinate_transformation_mode: coordinates[attrs.coordinates],
    ...(attrs.mode === 'nearest' ? { nearest_mode: roundings[attrs.rounding] } : {}),
  });
};

const slice: Rule<'slice'> = ({ attrs, inputs }, onnx) => {
  const { starts, sizes, steps } = attrs;
  // A backward slice that reaches element 0 ends before it, which only a number far below -rank says.
  const ends = starts.map((start, axis) => {
    const end = start + sizes[axis]! * steps[axis]!;
    return end < 0 ? -(2 ** 31) : end;
  });
  const axes = starts.map((_, axis) => axis);
  const vector = (hint: string, values: readonly number[]): string => onnx.integers(hint, mapAxes(values));
  const operands = [
    vector('starts', starts),
    vector('ends', ends),
    onnx.integers('axes', axes),
    vector('steps', steps),
  ];
  return onnx.op('Slice', [onnx.tensor(inputs[0]!), ...operands]);
};

const transpose: Rule<'transpose'> = ({ attrs, inputs, id }, onnx, { shapeOf }) => {
  if (shapeOf(id).length !== 4) return onnx.op('Transpose', [onnx.tensor(inputs[0]!)], { perm: attrs.permutation });
  const perm = mapAxes(attrs.permutation).map((axis) => mapAxis(axis, 4));
  if (perm.every((axis, place) => axis === place)) return onnx.tensor(inputs[0]!);
  return onnx.op('Transpose', [onnx.tensor(inputs[0]!)], { perm });
};

/** How each op is written in ONNX opset 15: emits nodes and returns the tensor of the result. */
export const onnxRules: { readonly [K in OpKind]: Rule<K> } = {
  conv2d,
  'conv2d-transpose': ({ attrs, weights, inputs }, onnx, { floats }) => {
    const { channelsIn, channelsOut, groups, kernelSize, outputPadding } = attrs;
    const operands = [
      onnx.tensor(inputs[0]!),
      onnx.floats('kernel', [channelsIn, channelsOut / groups, ...kernelSize], floats(weights.kernel)),
      ...(weights.bias ? [onnx.floats('bias', [channelsOut], floats(weights.bias))] : []),
    ];
    const attributes = { ...windowAttributes(attrs), group: groups, output_padding: outputPadding };
    return activate(onnx, onnx.layer('ConvTranspose', operands, attributes), attrs.activation);
  },
  dense: ({ attrs, weights, inputs }, onnx, { floats }) => {
    const operands = [
      onnx.tensor(inputs[0]!),
      onnx.floats('kernel', [attrs.channelsOut, attrs.channelsIn], floats(weights.kernel)),
      ...(weights.bias ? [onnx.floats('bias', [attrs.channelsOut], floats(weights.bias))] : []),
    ];
    return activate(onnx, onnx.layer('Gemm', operands, { transB: 1 }), attrs.activation);
  },
  matmul: ({ inputs, id }, onnx, { shapeOf }) =>
    onnx.fromPlain(
      onnx.op(
        'MatMul',
        inputs.map((input) => onnx.toPlain(input)),
      ),
      shapeOf(id),
    ),
  'batch-norm': ({ attrs, weights, inputs, id }, onnx, { floats, shapeOf }) => {
    const { channels, epsilon } = attrs;
    const fill = (value: number): Float32Array => new Float32Array(channels).fill(value);
    const gamma = weights.gamma ? floats(weights.gamma) : fill(1);
    const beta = weights.beta ? floats(weights.beta) : fill(0);
    const mean = floats(weights.mean);
    const variance = floats(weights.variance);
    const rank = shapeOf(id).length;
    if (rank === 4 || rank === 2) {
      const vectors = { gamma, beta, mean, variance };
      const operands = Object.entries(vectors).map(([name, values]) => onnx.floats(name, [channels], values));
      return onnx.op('BatchNormalization', [onnx.tensor(inputs[0]!), ...operands], { epsilon: float(epsilon) });
    }
    // ONNX normalises axis 1, ours is the last: of other ranks it is written out.
    const scale = gamma.map((value, channel) => value / Math.sqrt(variance[channel]! + epsilon));
    const shift = beta.map((value, channel) => value - mean[channel]! * scale[channel]!);
    return affine(onnx, onnx.tensor(inputs[0]!), rank, scale, shift);
  },
  affine: ({ weights, inputs, id }, onnx, { floats, shapeOf }) =>
    affine(onnx, onnx.tensor(inputs[0]!), shapeOf(id).length, floats(weights.scale), floats(weights.shift)),
  activation: ({ attrs, inputs }, onnx) => activate(onnx, onnx.tensor(inputs[0]!), attrs.activation),
  prelu: ({ weights, inputs, id }, onnx, { floats, shapeOf }) => {
    const slope = floats(weights.slope);
    return onnx.op('PRelu', [
      onnx.tensor(inputs[0]!),
      onnx.floats('slope', shapeOf(id).length === 4 ? [slope.length, 1, 1] : [slope.length], slope),
    ]);
  },
  binary,
  constant: ({ attrs, weights }, onnx, { floats }) => {
    const { shape } = attrs;
    const values = floats(weights.value);
    return onnx.floats('value', mapAxes(shape), shape.length === 4 ? transposeToNchw(values, shape) : values);
  },
  softmax: ({ attrs, inputs, id }, onnx, { shapeOf }) =>
    onnx.op('Softmax', [onnx.tensor(inputs[0]!)], { axis: mapAxis(attrs.axis, shapeOf(id).length) }),
  'max-pool': ({ attrs, inputs }, onnx) => onnx.op('MaxPool', [onnx.tensor(inputs[0]!)], windowAttributes(attrs)),
  'average-pool': averagePool,
  reduce,
  concat: ({ attrs, inputs, id }, onnx, { shapeOf }) =>
    onnx.op(
      'Concat',
      inputs.map((input) => onnx.tensor(input)),
      { axis: mapAxis(attrs.axis, shapeOf(id).length) },
    ),
  slice,
  pad: ({ attrs, inputs, id }, onnx, { graph }) => {
    const amounts = onnx.integers('pads', [...mapAxes(attrs.before), ...mapAxes(attrs.after)]);
    // ONNX Runtime moves a Pad by 0 into the pooling after it, where the pixels would count as absent, or be refused.
    const isPooled = graph.nodes.some(
      ({ op, inputs: read }) => (op === 'max-pool' || op === 'average-pool') && read.includes(id),
    );
    const padded = attrs.value === 0 && isPooled ? smallestNormal : attrs.value;
    const value = attrs.mode === 'constant' ? [onnx.scalar(padded)] : [];
    return onnx.op('Pad', [onnx.tensor(inputs[0]!), amounts, ...value], { mode: padModes[attrs.mode] });
  },
  resize,
  transpose,
  reshape: ({ inputs, id }, onnx, { shapeOf }) => onnx.reshapeValue(inputs[0]!, shapeOf(id)),
  take: ({ attrs, inputs, id }, onnx, { shapeOf }) =>
    onnx.op('Gather', [onnx.tensor(inputs[0]!), onnx.integers('indices', attrs.indices)], {
      axis: mapAxis(attrs.axis, shapeOf(id).length),
    }),
  identity: ({ inputs }, onnx) => onnx.tensor(inputs[0]!),
  dropout: ({ inputs }, onnx) => onnx.tensor(inputs[0]!),
};

const transposeToNchw = (values: Float32Array, shape: readonly number[]): Float32Array => {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const result = new Float32Array(values.length);
  let at = 0;
  for (let n = 0; n < batch; n++)
    for (let c = 0; c < channels; c++)
      for (let pixel = 0; pixel < height * width; pixel++)
        result[at++] = values[(n * height * width + pixel) * channels + c]!;
  return result;
};
