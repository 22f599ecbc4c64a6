import {
  type Activation,
  type ActivationFunction,
  isIdentityPermutation,
  type NodeOf,
  type OpKind,
  type Padding,
  type Window,
} from '@dgconv/core';
import { scaledPixels } from '../onnx-resized.js';
import { contiguousGroups, unsupportedIn, type EmitContext } from './context.js';
import { type AttributeValue, type Emitted, emitted, type OnnxBuilder } from './onnx-builder.js';
import { mapAxes, mapAxis, type Order } from './onnx-orders.js';

type Rule<K extends OpKind> = (node: NodeOf<K>, onnx: OnnxBuilder, context: EmitContext) => Emitted;

/** `float` marks attributes of type FLOAT. */
const float = (value: number): AttributeValue => ({ float: value });

const pads = ({ top, left, bottom, right }: Padding): number[] => [top, left, bottom, right];

const windowAttributes = (window: Window): Record<string, AttributeValue> => ({
  kernel_shape: window.kernelSize,
  strides: window.strides,
  dilations: window.dilations,
  pads: pads(window.padding),
});

/** x of this rank, channel by channel. */
const affine = (
  onnx: OnnxBuilder,
  x: string,
  { rank, order }: { readonly rank: number; readonly order: Order },
  scale: Float32Array,
  shift: Float32Array,
): string => {
  const vector = (hint: string, values: Float32Array): string =>
    onnx.floats(hint, rank === 4 && order === 'nchw' ? [1, values.length, 1, 1] : [values.length], values);
  return onnx.op('Add', [onnx.op('Mul', [x, vector('scale', scale)]), vector('shift', shift)]);
};

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

const conv2d: Rule<'conv2d'> = (node, onnx, { floats }) => {
  const { attrs, weights, inputs } = node;
  const groups = contiguousGroups(node);
  if (groups === null)
    throw unsupportedIn('ONNX', node, `its ${attrs.connectivity.kind} connectivity is not equal contiguous groups`);
  const { channelsIn, channelsOut } = attrs.connectivity;
  let x = onnx.tensor(inputs[0]!);
  if (attrs.pre === 'affine-relu') {
    const scaled = affine(onnx, x, { rank: 4, order: 'nchw' }, floats(weights.preScale!), floats(weights.preShift!));
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
  const order = onnx.orderFor(inputs.filter((input) => shapeOf(input).length === 4));
  // Broadcasting aligns the last axes, which in NCHW are not the last axes of NHWC.
  const operands = inputs.map((input) => {
    const shape = shapeOf(input);
    const isAligned = shape.length === rank || shape.length === 0 || rank !== 4 || order === 'nhwc';
    return isAligned ? onnx.inOrder(input, order) : onnx.aligned(input);
  });
  return emitted(activate(onnx, onnx.op(binaryOperators[attrs.function], operands), attrs.activation), order);
};

const reducers = { mean: 'ReduceMean', sum: 'ReduceSum', max: 'ReduceMax', min: 'ReduceMin' } as const;

const reduce: Rule<'reduce'> = (node, onnx, { shapeOf }) => {
  const { attrs, inputs } = node;
  const [input] = inputs as [string];
  const rank = shapeOf(input).length;
  const reduced = attrs.axes.map((axis) => (axis < 0 ? axis + rank : axis));
  const kept = [...Array(rank).keys()].filter((axis) => !reduced.includes(axis));
  // Without the reduced axes, NCHW order may still differ from the order that the result has here.
  const keptInOnnx = kept.map((axis) => mapAxis(axis, rank, 'nchw'));
  const inSomeOrder = attrs.keepDims || keptInOnnx.every((axis, place) => place === 0 || axis > keptInOnnx[place - 1]!);
  const order = inSomeOrder ? onnx.orderFor([input]) : 'nhwc';
  const x = onnx.inOrder(input, order);
  const axes = reduced.map((axis) => mapAxis(axis, rank, order)).sort((a, b) => a - b);
  const keepdims = attrs.keepDims ? 1 : 0;
  const result =
    attrs.function === 'sum'
      ? onnx.op('ReduceSum', [x, onnx.integers('axes', axes)], { keepdims, noop_with_empty_axes: 1 })
      : onnx.op(reducers[attrs.function], [x], { axes, keepdims });
  // Of more axes, what is left has its own.
  return emitted(result, rank === 4 ? order : 'nhwc');
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
    scales && scaledPixels(height!, scales[0]!) === attrs.size[0] && scaledPixels(width!, scales[1]!) === attrs.size[1];
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
  const order = onnx.orderFor(inputs);
  const vector = (hint: string, values: readonly number[]): string => onnx.integers(hint, mapAxes(values, order));
  const operands = [
    vector('starts', starts),
    vector('ends', ends),
    onnx.integers('axes', axes),
    vector('steps', steps),
  ];
  return emitted(onnx.op('Slice', [onnx.inOrder(inputs[0]!, order), ...operands]), order);
};

const transpose: Rule<'transpose'> = ({ attrs, inputs, id }, onnx, { shapeOf }) => {
  const [input] = inputs as [string];
  if (shapeOf(id).length !== 4) return onnx.op('Transpose', [onnx.tensor(input)], { perm: attrs.permutation });
  const from = onnx.orderFor(inputs);
  const permutationTo = (order: Order): number[] =>
    mapAxes(attrs.permutation, order).map((axis) => mapAxis(axis, 4, from));
  // In one of the orders the tensor may be there already.
  const free = (['nchw', 'nhwc'] as const).find((order) => isIdentityPermutation(permutationTo(order)));
  if (free !== undefined) return emitted(onnx.inOrder(input, from), free);
  const order = onnx.orderWanted(id);
  return emitted(onnx.op('Transpose', [onnx.inOrder(input, from)], { perm: permutationTo(order) }), order);
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
  matmul: ({ inputs }, onnx) => ({
    nhwc: onnx.op(
      'MatMul',
      inputs.map((input) => onnx.inOrder(input, 'nhwc')),
    ),
  }),
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
    return affine(onnx, onnx.tensor(inputs[0]!), { rank, order: 'nchw' }, scale, shift);
  },
  affine: ({ weights, inputs, id }, onnx, { floats, shapeOf }) => {
    const order = onnx.orderFor(inputs);
    const x = onnx.inOrder(inputs[0]!, order);
    const form = { rank: shapeOf(id).length, order };
    return emitted(affine(onnx, x, form, floats(weights.scale), floats(weights.shift)), order);
  },
  activation: ({ attrs, inputs }, onnx) => {
    const order = onnx.orderFor(inputs);
    return emitted(activate(onnx, onnx.inOrder(inputs[0]!, order), attrs.activation), order);
  },
  prelu: ({ weights, inputs, id }, onnx, { floats, shapeOf }) => {
    const slope = floats(weights.slope);
    const order = onnx.orderFor(inputs);
    const dims = shapeOf(id).length === 4 && order === 'nchw' ? [slope.length, 1, 1] : [slope.length];
    return emitted(onnx.op('PRelu', [onnx.inOrder(inputs[0]!, order), onnx.floats('slope', dims, slope)]), order);
  },
  binary,
  constant: ({ attrs, weights }, onnx, { floats }) => {
    const { shape } = attrs;
    return (order) => {
      const values = floats(weights.value);
      const isMoved = shape.length === 4 && order === 'nchw';
      return onnx.floats('value', mapAxes(shape, order), isMoved ? transposeToNchw(values, shape) : values);
    };
  },
  softmax: ({ attrs, inputs, id }, onnx, { shapeOf }) => {
    const order = onnx.orderFor(inputs);
    const axis = mapAxis(attrs.axis, shapeOf(id).length, order);
    return emitted(onnx.op('Softmax', [onnx.inOrder(inputs[0]!, order)], { axis }), order);
  },
  'max-pool': ({ attrs, inputs }, onnx) => onnx.op('MaxPool', [onnx.tensor(inputs[0]!)], windowAttributes(attrs)),
  'average-pool': averagePool,
  reduce,
  concat: ({ attrs, inputs, id }, onnx, { shapeOf }) => {
    const order = onnx.orderFor(inputs);
    const operands = inputs.map((input) => onnx.inOrder(input, order));
    return emitted(onnx.op('Concat', operands, { axis: mapAxis(attrs.axis, shapeOf(id).length, order) }), order);
  },
  slice,
  pad: ({ attrs, inputs, id }, onnx, { graph }) => {
    const order = onnx.orderFor(inputs);
    const amounts = onnx.integers('pads', [...mapAxes(attrs.before, order), ...mapAxes(attrs.after, order)]);
    // ONNX Runtime moves a Pad by 0 into the pooling after it, where the pixels would count as absent, or be refused.
    const isPooled = graph.nodes.some(
      ({ op, inputs: read }) => (op === 'max-pool' || op === 'average-pool') && read.includes(id),
    );
    const padded = attrs.value === 0 && isPooled ? smallestNormal : attrs.value;
    const value = attrs.mode === 'constant' ? [onnx.scalar(padded)] : [];
    const operands = [onnx.inOrder(inputs[0]!, order), amounts, ...value];
    return emitted(onnx.op('Pad', operands, { mode: padModes[attrs.mode] }), order);
  },
  resize,
  transpose,
  reshape: ({ inputs, id }, onnx, { shapeOf }) => onnx.reshapeValue(inputs[0]!, shapeOf(id), onnx.orderWanted(id)),
  take: ({ attrs, inputs, id }, onnx, { shapeOf }) => {
    const order = onnx.orderFor(inputs);
    const operands = [onnx.inOrder(inputs[0]!, order), onnx.integers('indices', attrs.indices)];
    return emitted(onnx.op('Gather', operands, { axis: mapAxis(attrs.axis, shapeOf(id).length, order) }), order);
  },
  identity: ({ inputs }, onnx) => asItIs(inputs[0]!, onnx),
  dropout: ({ inputs }, onnx) => asItIs(inputs[0]!, onnx),
};

const asItIs = (input: string, onnx: OnnxBuilder): Emitted => {
  const order = onnx.orderFor([input]);
  return emitted(onnx.inOrder(input, order), order);
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
