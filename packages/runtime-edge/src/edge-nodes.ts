import {
  type Activation,
  type AttrsByOp,
  fillWeight,
  inverseRootWeight,
  multiplyWeights,
  type Node,
  type NodeOf,
  type OpKind,
  subtractWeights,
  type Weight,
  type WeightsByOp,
  type Window,
} from '@dgconv/core';
import { connectivityFields, connectivityOf } from './edge-connectivity.js';
import type { EdgeOpName, OpFields, StructFields } from './edge-fields.js';

/** What a file's op is in the graph language, but for its names. */
interface Decoded<K extends OpKind> {
  readonly attrs: AttrsByOp[K];
  readonly weights: WeightsByOp[K];
}

/** One op both ways. */
interface NodeRule<K extends EdgeOpName> {
  encode(node: NodeOf<K>): OpFields<K>;
  decode(fields: OpFields<K>): Decoded<K>;
}

function windowFields({ kernelSize, strides, dilations, padding }: Window): StructFields<'Window'> {
  return {
    kernelHeight: kernelSize[0],
    kernelWidth: kernelSize[1],
    strideHeight: strides[0],
    strideWidth: strides[1],
    dilationHeight: dilations[0],
    dilationWidth: dilations[1],
    paddingTop: padding.top,
    paddingBottom: padding.bottom,
    paddingLeft: padding.left,
    paddingRight: padding.right,
  };
}

function windowOf(fields: StructFields<'Window'>): Window {
  return {
    kernelSize: [fields.kernelHeight, fields.kernelWidth],
    strides: [fields.strideHeight, fields.strideWidth],
    dilations: [fields.dilationHeight, fields.dilationWidth],
    padding: {
      top: fields.paddingTop,
      bottom: fields.paddingBottom,
      left: fields.paddingLeft,
      right: fields.paddingRight,
    },
  };
}

function activationFields(activation: Activation): StructFields<'Activation'> {
  return {
    function: activation.function,
    alpha: 'alpha' in activation ? activation.alpha : 0,
    beta: 'beta' in activation ? activation.beta : 0,
  };
}

function activationOf({ function: name, alpha, beta }: StructFields<'Activation'>): Activation {
  switch (name) {
    case 'leaky-relu':
    case 'elu':
      return { function: name, alpha };
    case 'clip':
    case 'hard-sigmoid':
      return { function: name, alpha, beta };
    case 'identity':
    case 'relu':
    case 'relu6':
    case 'sigmoid':
    case 'hard-swish':
    case 'swish':
    case 'tanh':
    case 'exp':
    case 'sqrt':
    case 'abs':
    case 'negate':
    case 'gelu':
    case 'softplus':
    case 'erf':
    case 'log':
    case 'floor':
    case 'ceil':
    case 'reciprocal':
      return { function: name };
  }
}

const withBias = (kernel: Weight, bias: Weight | undefined): { kernel: Weight; bias?: Weight } =>
  bias === undefined ? { kernel } : { kernel, bias };

/**
 * Input pixels for each output pixel along an axis, as float32; 0 where the sizes say it. What float32 does not hold becomes the neighbour
 * at the side where rounding takes a position on or halfway between pixels to the pixel that it means.
 */
function storedScale({ scales, rounding }: AttrsByOp['resize'], axis: 0 | 1): number {
  const scale = scales?.[axis] ?? 0;
  const stored = Float32Array.of(scale);
  const up = rounding === 'floor' || rounding === 'round-prefer-ceil';
  if (up ? stored[0]! < scale : stored[0]! > scale) new Int32Array(stored.buffer)[0]! += up ? 1 : -1;
  return stored[0]!;
}

const none = { encode: () => ({}), decode: () => ({ attrs: {}, weights: {} }) };

/** Every op of `.edge`: its fields from a node, a node's attributes and weights from its fields. */
const rules: { readonly [K in EdgeOpName]: NodeRule<K> } = {
  conv2d: {
    encode: ({ attrs, weights }) => ({
      window: windowFields(attrs),
      activation: activationFields(attrs.activation),
      pre: attrs.pre,
      ...connectivityFields(attrs.connectivity),
      kernel: weights.kernel,
      bias: weights.bias,
      preScale: attrs.pre === 'none' ? undefined : weights.preScale,
      preShift: attrs.pre === 'none' ? undefined : weights.preShift,
    }),
    decode: (fields) => ({
      attrs: {
        ...windowOf(fields.window),
        connectivity: connectivityOf(fields),
        pre: fields.pre,
        activation: activationOf(fields.activation),
      },
      weights: {
        ...withBias(fields.kernel, fields.bias),
        ...(fields.preScale === undefined ? {} : { preScale: fields.preScale }),
        ...(fields.preShift === undefined ? {} : { preShift: fields.preShift }),
      },
    }),
  },
  'conv2d-transpose': {
    encode: ({ attrs, weights }) => ({
      window: windowFields(attrs),
      activation: activationFields(attrs.activation),
      channelsOut: attrs.channelsOut,
      channelsIn: attrs.channelsIn,
      groups: attrs.groups,
      outputPaddingHeight: attrs.outputPadding[0],
      outputPaddingWidth: attrs.outputPadding[1],
      kernel: weights.kernel,
      bias: weights.bias,
    }),
    decode: ({ window, activation, channelsOut, channelsIn, groups, kernel, bias, ...fields }) => ({
      attrs: {
        ...windowOf(window),
        channelsIn,
        channelsOut,
        groups,
        outputPadding: [fields.outputPaddingHeight, fields.outputPaddingWidth],
        activation: activationOf(activation),
      },
      weights: withBias(kernel, bias),
    }),
  },
  dense: {
    encode: ({ attrs, weights }) => ({
      activation: activationFields(attrs.activation),
      channelsOut: attrs.channelsOut,
      channelsIn: attrs.channelsIn,
      kernel: weights.kernel,
      bias: weights.bias,
    }),
    decode: ({ activation, channelsOut, channelsIn, kernel, bias }) => ({
      attrs: { channelsIn, channelsOut, activation: activationOf(activation) },
      weights: withBias(kernel, bias),
    }),
  },
  matmul: none,
  affine: {
    encode: ({ attrs, weights }) => ({ channels: attrs.channels, scale: weights.scale, shift: weights.shift }),
    decode: ({ channels, scale, shift }) => ({ attrs: { channels }, weights: { scale, shift } }),
  },
  activation: {
    encode: ({ attrs }) => ({ activation: activationFields(attrs.activation) }),
    decode: ({ activation }) => ({ attrs: { activation: activationOf(activation) }, weights: {} }),
  },
  prelu: {
    encode: ({ attrs, weights }) => ({ channels: attrs.channels, slope: weights.slope }),
    decode: ({ channels, slope }) => ({ attrs: { channels }, weights: { slope } }),
  },
  binary: {
    encode: ({ attrs }) => ({ function: attrs.function, activation: activationFields(attrs.activation) }),
    decode: (fields) => ({
      attrs: { function: fields.function, activation: activationOf(fields.activation) },
      weights: {},
    }),
  },
  constant: {
    encode: ({ weights }) => ({ value: weights.value }),
    // The shape is that of the tensor: the reader puts it in.
    decode: ({ value }) => ({ attrs: { shape: [] }, weights: { value } }),
  },
  softmax: {
    encode: ({ attrs }) => ({ axis: attrs.axis }),
    decode: ({ axis }) => ({ attrs: { axis }, weights: {} }),
  },
  'max-pool': {
    encode: ({ attrs }) => ({ window: windowFields(attrs) }),
    decode: ({ window }) => ({ attrs: windowOf(window), weights: {} }),
  },
  'average-pool': {
    encode: ({ attrs }) => ({ window: windowFields(attrs), countPadding: Number(attrs.countPadding) }),
    decode: ({ window, countPadding }) => ({
      attrs: { ...windowOf(window), countPadding: countPadding !== 0 },
      weights: {},
    }),
  },
  reduce: {
    encode: ({ attrs }) => ({ function: attrs.function, keepDims: Number(attrs.keepDims), axes: attrs.axes }),
    decode: (fields) => ({
      attrs: { function: fields.function, axes: fields.axes, keepDims: fields.keepDims !== 0 },
      weights: {},
    }),
  },
  concat: {
    encode: ({ attrs }) => ({ axis: attrs.axis }),
    decode: ({ axis }) => ({ attrs: { axis }, weights: {} }),
  },
  slice: {
    encode: ({ attrs }) => attrs,
    decode: ({ starts, sizes, steps }) => ({ attrs: { starts, sizes, steps }, weights: {} }),
  },
  pad: {
    encode: ({ attrs }) => attrs,
    decode: ({ mode, value, before, after }) => ({ attrs: { mode, value, before, after }, weights: {} }),
  },
  resize: {
    encode: ({ attrs }) => ({
      mode: attrs.mode,
      coordinates: attrs.coordinates,
      rounding: attrs.rounding,
      height: attrs.size[0],
      width: attrs.size[1],
      hasScales: Number(attrs.scales !== null),
      scaleHeight: storedScale(attrs, 0),
      scaleWidth: storedScale(attrs, 1),
    }),
    decode: (fields) => ({
      attrs: {
        size: [fields.height, fields.width],
        mode: fields.mode,
        coordinates: fields.coordinates,
        rounding: fields.rounding,
        scales: fields.hasScales === 0 ? null : [fields.scaleHeight, fields.scaleWidth],
      },
      weights: {},
    }),
  },
  transpose: {
    encode: ({ attrs }) => attrs,
    decode: ({ permutation }) => ({ attrs: { permutation }, weights: {} }),
  },
  reshape: {
    encode: ({ attrs }) => attrs,
    decode: ({ shape }) => ({ attrs: { shape }, weights: {} }),
  },
  take: {
    encode: ({ attrs }) => attrs,
    decode: ({ axis, indices }) => ({ attrs: { axis, indices }, weights: {} }),
  },
  identity: none,
};

/** Batch norm in inference is an affine: `scale = γ / √(σ² + ε)`, `shift = β - μ·scale`. */
function affineOfBatchNorm({ attrs: { channels, epsilon }, weights }: NodeOf<'batch-norm'>): OpFields<'affine'> {
  const inverse = inverseRootWeight(weights.variance, epsilon);
  const scale = weights.gamma === undefined ? inverse : multiplyWeights(weights.gamma, inverse);
  const centre = multiplyWeights(weights.mean, scale);
  const shift = subtractWeights(weights.beta ?? fillWeight([channels], 0), centre);
  return { channels, scale, shift };
}

/** The op of `.edge` that a node becomes, and its fields. */
export function encodeNode(node: Node): {
  readonly op: EdgeOpName;
  readonly fields: Readonly<Record<string, unknown>>;
} {
  if (node.op === 'batch-norm') return { op: 'affine', fields: affineOfBatchNorm(node) };
  if (node.op === 'dropout') return { op: 'identity', fields: {} };
  const encode = rules[node.op].encode as (node: Node) => Readonly<Record<string, unknown>>;
  return { op: node.op, fields: encode(node) };
}

/** Attributes and weights of a node from an op's fields. */
export function decodeNode(op: EdgeOpName, fields: Readonly<Record<string, unknown>>): Decoded<EdgeOpName> {
  const decode = rules[op].decode as (fields: Readonly<Record<string, unknown>>) => Decoded<EdgeOpName>;
  return decode(fields);
}
