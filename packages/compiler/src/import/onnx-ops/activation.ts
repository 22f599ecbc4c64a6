import { type Activation, elementCount, reshapeWeight, takeWeight } from '@dgconv/core';
import type { Dynamic } from '../onnx-graph.js';
import type { OnnxNodeContext, OnnxOp } from '../onnx-node.js';
import { binary, near, scaleAndShift } from './arithmetic.js';

/** Applies a pointwise function. */
export function activate(context: OnnxNodeContext, x: Dynamic, activation: Activation, part = ''): Dynamic {
  return context.pointwise(x, (inputs) => ({ op: 'activation', inputs, attrs: { activation }, weights: {} }), part);
}

const plain =
  (name: Exclude<Activation, { alpha: number }>['function']): OnnxOp =>
  (context) =>
    activate(context, context.dynamic(0), { function: name });

export const Relu = plain('relu');
export const Tanh = plain('tanh');
export const Exp = plain('exp');
export const Sqrt = plain('sqrt');
export const Abs = plain('abs');
export const Neg = plain('negate');
export const Softplus = plain('softplus');
export const Log = plain('log');
export const Floor = plain('floor');
export const Ceil = plain('ceil');
export const Reciprocal = plain('reciprocal');
export const HardSwish = plain('hard-swish');

export function Sigmoid(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  return { ...activate(context, x, { function: 'sigmoid' }), note: { kind: 'sigmoid', of: x } };
}

export function Erf(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const result = activate(context, x, { function: 'erf' });
  return x.note?.kind === 'scaled' && near(x.note.factor, Math.SQRT1_2)
    ? { ...result, note: { kind: 'erf', of: x.note.of } }
    : result;
}

/** With `approximate` = tanh: `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`, which is `x · sigmoid(2·√(2/π) · (…))`. */
export function Gelu(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  if (context.string('approximate', 'none') !== 'tanh') return activate(context, x, { function: 'gelu' });
  const slope = 2 * Math.sqrt(2 / Math.PI);
  const squared = binary(context, 'multiply', x, x, 'squared');
  const factor = scaleAndShift(context, squared, slope * 0.044715, slope, 'factor');
  const inner = binary(context, 'multiply', x, factor, 'inner');
  return binary(context, 'multiply', x, activate(context, inner, { function: 'sigmoid' }, 'gate'));
}

/** `x · tanh(softplus(x))`. */
export function Mish(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const soft = activate(context, x, { function: 'softplus' }, 'softplus');
  return binary(context, 'multiply', x, activate(context, soft, { function: 'tanh' }, 'gate'));
}

/** `x · sigmoid(α·x)`. */
export function Swish(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const alpha = context.float('alpha', 1);
  if (alpha === 1) return activate(context, x, { function: 'swish' });
  const gate = activate(context, scaleAndShift(context, x, alpha, 0, 'scaled'), { function: 'sigmoid' }, 'gate');
  return binary(context, 'multiply', x, gate);
}

export function LeakyRelu(context: OnnxNodeContext): Dynamic {
  return activate(context, context.dynamic(0), { function: 'leaky-relu', alpha: context.float('alpha', 0.01) });
}

export function Elu(context: OnnxNodeContext): Dynamic {
  return activate(context, context.dynamic(0), { function: 'elu', alpha: context.float('alpha', 1) });
}

/** `α·elu(x/α)`. */
export function Celu(context: OnnxNodeContext): Dynamic {
  const alpha = context.float('alpha', 1);
  const inner = scaleAndShift(context, context.dynamic(0), 1 / alpha, 0, 'scaled');
  return scaleAndShift(context, activate(context, inner, { function: 'elu', alpha: 1 }, 'elu'), alpha, 0);
}

/** `γ·elu(x)`. */
export function Selu(context: OnnxNodeContext): Dynamic {
  const alpha = context.float('alpha', 1.6732631921768188);
  const gamma = context.float('gamma', 1.0507010221481323);
  return scaleAndShift(context, activate(context, context.dynamic(0), { function: 'elu', alpha }, 'elu'), gamma, 0);
}

export function HardSigmoid(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const [alpha, beta] = [context.float('alpha', 0.2), context.float('beta', 0.5)];
  return {
    ...activate(context, x, { function: 'hard-sigmoid', alpha, beta }),
    note: { kind: 'hard-sigmoid', of: x, alpha, beta },
  };
}

export function Clip(context: OnnxNodeContext): Dynamic {
  const limit = (attribute: string, index: number, fallback: number): number =>
    context.has(attribute) || context.optional(index) === null
      ? context.float(attribute, fallback)
      : (context.numbers(index)[0] ?? fallback);
  const x = context.dynamic(0);
  const min = limit('min', 1, -Infinity);
  const max = limit('max', 2, Infinity);
  const note = x.note?.kind === 'plus' && min === 0 ? { ...x.note, kind: 'clip-plus' as const, max } : undefined;
  const result = clip(context, x, min, max);
  return note === undefined ? result : { ...result, note };
}

/** The largest finite float32 stands for no limit: formats cannot all write infinity. */
const unlimited = 3.4028234663852886e38;

function clip(context: OnnxNodeContext, x: Dynamic, min: number, max: number): Dynamic {
  if (min === 0 && max === 6) return activate(context, x, { function: 'relu6' });
  if (min === 0 && max >= unlimited) return activate(context, x, { function: 'relu' });
  if (min <= -unlimited && max >= unlimited) return x;
  return activate(context, x, {
    function: 'clip',
    alpha: Math.max(min, -unlimited),
    beta: Math.min(max, unlimited),
  });
}

/** `x / (1 + |x|)`. */
export function Softsign(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const magnitude = activate(context, x, { function: 'abs' }, 'abs');
  return binary(context, 'divide', x, scaleAndShift(context, magnitude, 1, 1, 'plus'));
}

/** A slope for each channel or one for all; other shapes as `max(x, 0) + slope · min(x, 0)`. */
export function PRelu(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const slope = context.constant(1);
  const rank = x.shape.length;
  const count = elementCount(slope.shape);
  const aligned = [...new Array<number>(Math.max(rank - slope.shape.length, 0)).fill(1), ...slope.shape];
  const axes = aligned.flatMap((size, axis) => (size === 1 ? [] : [axis]));
  // Old exporters give channel slopes as a plain vector, which would broadcast along the last axis.
  const isPlainChannels = slope.shape.length === 1 && rank > 2 && count === x.shape[1] && count !== x.shape.at(-1);
  const axis = isPlainChannels || (count === 1 && rank > 1) ? 1 : axes.length === 0 ? rank - 1 : axes[0]!;
  if (rank === 0 || (axes.length > 1 && !isPlainChannels) || (axis !== 1 && axis !== rank - 1)) {
    const zero = context.builder.constant(`${context.id}.zero`, [], new Float64Array(1), true);
    const negative = binary(context, 'minimum', x, zero, 'negative');
    const scaled = binary(context, 'multiply', negative, slope, 'scaled');
    return binary(context, 'add', activate(context, x, { function: 'relu' }, 'positive'), scaled);
  }
  const channels = x.shape[axis]!;
  if (channels > 2 ** 20) context.refuse(`${channels} channels are too many`);
  const flat = reshapeWeight(slope.weight, [count]);
  const weight = count === channels ? flat : takeWeight(flat, 0, new Array<number>(channels).fill(0), count);
  const form = axis === 1 && rank > 2 ? 'last' : 'given';
  const inputs = [context.builder.in(form, x)];
  return context.result(form, context.add({ op: 'prelu', inputs, attrs: { channels }, weights: { slope: weight } }));
}
