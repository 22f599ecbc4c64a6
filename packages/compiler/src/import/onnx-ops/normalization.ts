import { elementCount, reshapeWeight, takeWeight, type Weight } from '@dgconv/core';
import type { Constant, Dynamic, Form, Operand } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { activate } from './activation.js';
import { binary, scaleAndShift } from './arithmetic.js';
import { reducedOver } from './reduction.js';
import { reshaped } from './shape.js';

export function BatchNormalization(context: OnnxNodeContext): Dynamic {
  if (context.int('training_mode', 0) !== 0) context.refuse('training mode is not supported');
  if (context.int('spatial', 1) !== 1) context.refuse("'spatial' must be 1");
  context.onlyOutputs(1);
  const x = context.dynamic(0);
  const channels = channelsOf(context, x);
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => vector(context, index, channels)) as [
    Weight,
    Weight,
    Weight,
    Weight,
  ];
  const form = x.shape.length < 3 ? 'given' : 'last';
  const inputs = [context.builder.in(form, x)];
  const attrs = { channels, epsilon: context.float('epsilon', 1e-5) };
  const weights = { gamma, beta, mean, variance };
  return context.result(form, context.add({ op: 'batch-norm', inputs, attrs, weights }));
}

function channelsOf(context: OnnxNodeContext, x: Dynamic): number {
  return x.shape[1] ?? context.refuse(`a value of shape [${x.shape.join(', ')}] has no channels`);
}

/** A constant with one number for each channel. */
function vector(context: OnnxNodeContext, index: number, channels: number): Weight {
  const constant = context.constant(index);
  if (elementCount(constant.shape) !== channels) {
    context.refuse(`input ${index} of shape [${constant.shape.join(', ')}] does not fit ${channels} channels`);
  }
  return reshapeWeight(constant.weight, [channels]);
}

/** `γ·(x - mean)/√(variance + ε) + β` over the pixels of each image and channel. */
export function InstanceNormalization(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const channels = channelsOf(context, x);
  const rank = x.shape.length;
  if (rank < 3) context.refuse(`a value of ${rank} dimensions has no spatial ones`);
  const [scale, shift] = [vector(context, 1, channels), vector(context, 2, channels)];
  const axes = Array.from({ length: rank - 2 }, (_, axis) => axis + 1);
  const { normal } = standardised(context, x, 'last', axes, context.float('epsilon', 1e-5));
  const inputs = [context.builder.in('last', normal)];
  const attrs = { channels };
  return context.result('last', context.add({ op: 'affine', inputs, attrs, weights: { scale, shift } }));
}

/** The same over the channels of each group together; sets before 21 scale and shift by group, later ones by channel. */
export function GroupNormalization(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const channels = channelsOf(context, x);
  const groups = context.int('num_groups', 0);
  if (groups < 1 || channels % groups !== 0) context.refuse(`${groups} groups do not divide ${channels} channels`);
  const rows = reshaped(context, x, [x.shape[0]!, groups, elementCount(x.shape.slice(1)) / groups], 'groups');
  const { normal } = standardised(context, rows, 'given', [2], context.float('epsilon', 1e-5));
  const perChannel = (index: number): Weight => {
    if (context.opset >= 21) return vector(context, index, channels);
    const owner = Array.from({ length: channels }, (_, channel) => Math.floor((channel * groups) / channels));
    return takeWeight(vector(context, index, groups), 0, owner, groups);
  };
  const form = x.shape.length < 3 ? 'given' : 'last';
  const inputs = [context.builder.in(form, reshaped(context, normal, x.shape, 'channels'))];
  const weights = { scale: perChannel(1), shift: perChannel(2) };
  return context.result(form, context.add({ op: 'affine', inputs, attrs: { channels }, weights }));
}

/** `(x - mean) / deviation` over some axes, all but the channels where none are named. */
export function MeanVarianceNormalization(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const axes = (context.ints('axes') ?? [0, 2, 3]).map((axis) => context.axis(axis, rank));
  return standardised(context, x, 'given', axes, 1e-9).normal;
}

/** `x / ‖x‖` along an axis, of the sum of magnitudes (p = 1) or the Euclidean length (p = 2). */
export function LpNormalization(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const axes = [context.axis(context.int('axis', -1), x.shape.length)];
  const isEuclidean = context.int('p', 2) === 2;
  const sizes = isEuclidean
    ? binary(context, 'multiply', x, x, 'squared')
    : activate(context, x, { function: 'abs' }, 'abs');
  const sum = reducedOver(context, sizes, 'sum', axes, true, 'sum');
  return binary(context, 'divide', x, isEuclidean ? activate(context, sum, { function: 'sqrt' }, 'norm') : sum);
}

/** `x / (bias + alpha/size · Σ x²)^beta`, the sum over `size` neighbouring channels: a 1×1 convolution with a band of ones. */
export function LRN(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const channels = channelsOf(context, x);
  if (x.shape.length !== 4 || channels > 4096) context.refuse('only images of at most 4096 channels are supported');
  const size = context.int('size', 1);
  const factor = context.float('alpha', 1e-4) / size;
  const band = new Float32Array(channels * channels);
  for (let output = 0; output < channels; output++) {
    const first = output - Math.floor((size - 1) / 2);
    const last = output + Math.ceil((size - 1) / 2);
    band.fill(factor, output * channels + Math.max(first, 0), output * channels + Math.min(last + 1, channels));
  }
  const { builder } = context;
  const squared = binary(context, 'multiply', x, x, 'squared');
  const one = [1, 1] as const;
  const sum = context.add(
    {
      op: 'conv2d',
      inputs: [builder.in('last', squared)],
      attrs: {
        kernelSize: one,
        strides: one,
        dilations: one,
        padding: { top: 0, bottom: 0, left: 0, right: 0 },
        connectivity: { kind: 'dense', groups: 1, channelsOut: channels, channelsIn: channels },
        pre: 'none',
        activation: { function: 'identity' },
      },
      weights: {
        kernel: builder.store(`${context.id}.band`, [channels, channels, 1, 1], band),
        bias: { kind: 'fill', shape: [channels], value: context.float('bias', 1) },
      },
    },
    'sum',
  );
  const exponent: Constant = builder.constant(
    `${context.id}.exponent`,
    [],
    Float64Array.of(-context.float('beta', 0.75)),
    true,
  );
  return binary(context, 'multiply', x, binary(context, 'power', context.result('last', sum), exponent, 'power'));
}

/** The axis of a softmax, or where operator sets before 13 flatten the rest: one axis over all dimensions from it on. */
function softmax(context: OnnxNodeContext, part: string): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const axis = context.axis(context.int('axis', context.opset < 13 ? 1 : -1), rank);
  const { builder } = context;
  if (context.opset >= 13 || elementCount(x.shape.slice(axis + 1)) === 1) {
    const form = builder.preferredForm([x]);
    const place = form === 'given' || axis === 0 ? axis : axis === 1 ? rank - 1 : axis - 1;
    const inputs = [builder.in(form, x)];
    return context.result(form, context.add({ op: 'softmax', inputs, attrs: { axis: place }, weights: {} }, part));
  }
  const flat = [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))];
  const rows = context.add(
    { op: 'reshape', inputs: [builder.flat(x)], attrs: { shape: flat }, weights: {} },
    `${part}rows`,
  );
  const computed = context.add({ op: 'softmax', inputs: [rows], attrs: { axis: 1 }, weights: {} }, `${part}flat`);
  const shape = x.shape;
  return context.result(
    'given',
    context.add({ op: 'reshape', inputs: [computed], attrs: { shape }, weights: {} }, part),
  );
}

export function Softmax(context: OnnxNodeContext): Dynamic {
  return softmax(context, '');
}

export function LogSoftmax(context: OnnxNodeContext): Dynamic {
  return activate(context, softmax(context, 'softmax'), { function: 'log' });
}

/** The same over the last dimensions from `axis` on, with a scale and a shift for each of their elements. */
export function LayerNormalization(context: OnnxNodeContext): readonly Operand[] {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const first = context.axis(context.int('axis', -1), rank);
  const axes = Array.from({ length: rank - first }, (_, index) => first + index);
  const { normal, mean, deviation } = standardised(context, x, 'given', axes, context.float('epsilon', 1e-5));
  const scaled = binary(context, 'multiply', normal, context.input(1), context.optional(2) === null ? '' : 'scaled');
  const result = context.optional(2) === null ? scaled : binary(context, 'add', scaled, context.input(2));
  return [result, mean, activate(context, deviation, { function: 'reciprocal' }, 'inverse')];
}

/** `(x - mean) / √(variance + ε)` over some axes, as the form has them. */
function standardised(
  context: OnnxNodeContext,
  x: Dynamic,
  form: Form,
  axes: readonly number[],
  epsilon: number,
): { normal: Dynamic; mean: Dynamic; deviation: Dynamic } {
  const meanOf = (value: Dynamic, part: string): Dynamic => {
    const inputs = [context.builder.in(form, value)];
    const attrs = { function: 'mean', axes, keepDims: true } as const;
    return context.result(form, context.add({ op: 'reduce', inputs, attrs, weights: {} }, part));
  };
  const mean = meanOf(x, 'mean');
  const centred = binary(context, 'subtract', x, mean, 'centred');
  const variance = meanOf(binary(context, 'multiply', centred, centred, 'squared'), 'variance');
  const deviation = activate(
    context,
    scaleAndShift(context, variance, 1, epsilon, 'stabilised'),
    { function: 'sqrt' },
    'deviation',
  );
  return { normal: binary(context, 'divide', centred, deviation, 'normal'), mean, deviation };
}
