import {
  type BinaryFunction,
  broadcastShape,
  elementCount,
  InvalidInputError,
  reshapeWeight,
  type Weight,
} from '@dgconv/core';
import type { Constant, Dynamic, Operand } from '../onnx-graph.js';
import type { OnnxNodeContext, OnnxOp } from '../onnx-node.js';
import { reshaped } from './shape.js';

const none = { function: 'identity' } as const;

/** `scale·x + shift` with two numbers. */
export function scaleAndShift(context: OnnxNodeContext, x: Dynamic, scale: number, shift: number, part = ''): Dynamic {
  const form = context.builder.preferredForm([x]);
  const id = context.builder.in(form, x);
  const channels = context.builder.shape(id).at(-1);
  if (channels === undefined) {
    const { builder } = context;
    const number = (name: string, value: number): Constant =>
      builder.constant(`${context.id}.${name}`, [], Float64Array.of(value), true);
    const scaled = binary(context, 'multiply', x, number('scale', scale), `${part}scaled`);
    return binary(context, 'add', scaled, number('shift', shift), part);
  }
  const fill = (value: number): Weight => ({ kind: 'fill', shape: [channels], value });
  const weights = { scale: fill(scale), shift: fill(shift) };
  return context.result(form, context.add({ op: 'affine', inputs: [id], attrs: { channels }, weights }, part));
}

/** An elementwise function of two operands with numpy broadcasting, as ONNX aligns them. */
export function binary(
  context: OnnxNodeContext,
  name: BinaryFunction,
  left: Operand,
  right: Operand,
  part = '',
): Dynamic {
  const { builder } = context;
  let shape;
  try {
    shape = broadcastShape(left.shape, right.shape);
  } catch (error) {
    if (error instanceof InvalidInputError) context.refuse(error.message);
    throw error;
  }
  const rank = shape.length;
  const operands = [left, right];
  const full = operands.filter(
    (operand): operand is Dynamic => operand.kind === 'dynamic' && operand.shape.length === rank,
  );
  const form = rank < 3 ? 'given' : builder.preferredForm(full);
  const inputs = operands.map((operand, index) => {
    if (operand.kind === 'constant') {
      return builder.materialiseIn(form, operand, rank, `${context.id}.constant${index}`, context.id);
    }
    if (operand.shape.length === rank || form === 'given') return builder.in(form, operand);
    const aligned = [...new Array<number>(rank - operand.shape.length).fill(1), ...operand.shape];
    const reshaped = context.add(
      { op: 'reshape', inputs: [builder.flat(operand)], attrs: { shape: aligned }, weights: {} },
      `aligned${index}`,
    );
    return builder.in(form, context.result('given', reshaped));
  });
  const attrs = { function: name, activation: none };
  return context.result(form, context.add({ op: 'binary', inputs, attrs, weights: {} }, part));
}

/** One number, or one for each channel of x as ONNX aligns it; null for everything else. */
function perChannel(x: Dynamic, constant: Constant): { axis: number; channels: number } | null {
  const rank = x.shape.length;
  if (rank === 0 || constant.shape.length > rank) return null;
  const count = elementCount(constant.shape);
  const axis = rank === 1 ? 0 : 1;
  if (count === 1) return { axis, channels: x.shape[axis]! };
  const aligned = [...new Array<number>(rank - constant.shape.length).fill(1), ...constant.shape];
  return aligned[axis] === count && x.shape[axis] === count ? { axis, channels: count } : null;
}

/** `x ∘ constant` or `constant ∘ x` as scale and shift of each channel, where it is that. */
function asAffine(
  context: OnnxNodeContext,
  name: 'add' | 'subtract' | 'multiply' | 'divide',
  x: Dynamic,
  constant: Constant,
  isFlipped: boolean,
): Dynamic | null {
  const fit = perChannel(x, constant);
  if (fit === null || (name === 'divide' && isFlipped)) return null;
  const { builder } = context;
  const count = elementCount(constant.shape);
  if (count === 1) {
    const value = constant.read()[0]!;
    switch (name) {
      case 'add':
        return {
          ...scaleAndShift(context, x, 1, value),
          note:
            x.note?.kind === 'erf' && value === 1
              ? { kind: 'erf-plus', of: x.note.of }
              : { kind: 'plus', of: x, constant: value },
        };
      case 'subtract':
        return isFlipped ? scaleAndShift(context, x, -1, value) : scaleAndShift(context, x, 1, -value);
      case 'multiply':
        return scaled(context, x, value);
      case 'divide':
        return scaled(context, x, 1 / value);
    }
  }
  const { channels } = fit;
  const fill = (value: number): Weight => ({ kind: 'fill', shape: [channels], value });
  const map = (part: string, of: (value: number) => number): Weight =>
    builder.store(`${context.id}.${part}`, [channels], Float32Array.from(constant.read(), of));
  const flat: Weight = { kind: 'reshape', of: constant.weight, shape: [channels] };
  const weights = {
    add: () => ({ scale: fill(1), shift: flat }),
    subtract: () =>
      isFlipped ? { scale: fill(-1), shift: flat } : { scale: fill(1), shift: map('negated', (value) => -value) },
    multiply: () => ({ scale: flat, shift: fill(0) }),
    divide: () => ({ scale: map('reciprocal', (value) => 1 / value), shift: fill(0) }),
  }[name]();
  const form = x.shape.length < 3 ? 'given' : 'last';
  const inputs = [builder.in(form, x)];
  return context.result(form, context.add({ op: 'affine', inputs, attrs: { channels }, weights }));
}

function scaled(context: OnnxNodeContext, x: Dynamic, factor: number): Dynamic {
  const isHalfErf = x.note?.kind === 'erf-plus' && factor === 0.5;
  return {
    ...scaleAndShift(context, x, factor, 0),
    note: isHalfErf ? { kind: 'erf-half', of: x.note.of } : { kind: 'scaled', of: x, factor },
  };
}

/**
 * Hard-swish, hard-sigmoid, swish and GELU written as several operators:
 * `clip(x + 3, 0, 6) / 6`, `x · clip(x + 3, 0, 6) / 6`, `x · hardsigmoid(x)`, `x · sigmoid(x)`,
 * and `x · ½ · (1 + erf(x/√2))` in any order.
 */
function composite(context: OnnxNodeContext, name: BinaryFunction, left: Operand, right: Operand): Dynamic | null {
  const apply = (x: Dynamic, activation: { function: 'hard-swish' | 'swish' | 'gelu' }): Dynamic =>
    context.pointwise(x, (inputs) => ({ op: 'activation', inputs, attrs: { activation }, weights: {} }));
  if (name === 'multiply' && left.kind === 'dynamic' && right.kind === 'dynamic') {
    for (const [x, { note }] of [
      [left, right],
      [right, left],
    ] as const) {
      if (note === undefined || !('of' in note)) continue;
      const isHalf = x.note?.kind === 'scaled' && x.note.factor === 0.5 && x.note.of === note.of;
      if (note.kind === 'erf-plus' && isHalf) return apply(note.of, { function: 'gelu' });
      if (note.of !== x) continue;
      if (note.kind === 'erf-half') return apply(x, { function: 'gelu' });
      if (note.kind === 'erf-plus') {
        return { ...binary(context, name, left, right), note: { kind: 'erf-product', of: x } };
      }
      if (note.kind === 'sigmoid') return apply(x, { function: 'swish' });
      const isSixth = note.kind === 'hard-sigmoid' && near(note.alpha, 1 / 6) && near(note.beta, 0.5);
      if (isSixth) return apply(x, { function: 'hard-swish' });
      if (note.kind === 'clip-plus' && note.constant === 3 && note.max === 6) {
        return { ...binary(context, name, left, right), note: { kind: 'clip-product', of: x } };
      }
    }
    return null;
  }
  const [x, constant] = left.kind === 'dynamic' ? [left, right] : [right, left];
  if (x.kind !== 'dynamic' || constant.kind !== 'constant' || x.note === undefined) return null;
  if (elementCount(constant.shape) !== 1) return null;
  const value = constant.read()[0]!;
  const factor = name === 'multiply' ? value : name === 'divide' && left === x ? 1 / value : NaN;
  const { note } = x;
  if (note.kind === 'erf-product' && factor === 0.5) return apply(note.of, { function: 'gelu' });
  if (note.kind === 'clip-product' && near(factor, 1 / 6)) return apply(note.of, { function: 'hard-swish' });
  if (note.kind === 'clip-plus' && near(factor, 1 / note.max)) {
    const [alpha, beta] = [1 / note.max, note.constant / note.max];
    const result = context.pointwise(note.of, (inputs) => ({
      op: 'activation',
      inputs,
      attrs: { activation: { function: 'hard-sigmoid', alpha, beta } },
      weights: {},
    }));
    return { ...result, note: { kind: 'hard-sigmoid', of: note.of, alpha, beta } };
  }
  return null;
}

/** Equal up to float32 rounding. */
export function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-6 * Math.abs(b);
}

/** Operator set 6 says with `axis` where the second operand's dimensions begin; later sets align at the end. */
function secondOperand(context: OnnxNodeContext): Operand {
  const right = context.input(1);
  if (context.opset > 6 || !context.has('axis')) return right;
  const rank = context.input(0).shape.length;
  const trailing = rank - context.axis(context.int('axis', 0), rank) - right.shape.length;
  if (trailing < 0) context.refuse(`a value of shape [${right.shape.join(', ')}] does not fit at its axis`);
  const shape = [...right.shape, ...new Array<number>(trailing).fill(1)];
  return right.kind === 'dynamic'
    ? reshaped(context, right, shape, 'aligned')
    : { ...right, shape, read: () => right.read(), weight: reshapeWeight(right.weight, shape) };
}

const arithmetic =
  (name: 'add' | 'subtract' | 'multiply' | 'divide'): OnnxOp =>
  (context) => {
    const [left, right] = [context.input(0), secondOperand(context)];
    const recognised = composite(context, name, left, right);
    if (recognised !== null) return recognised;
    const affine =
      left.kind === 'dynamic' && right.kind === 'constant'
        ? asAffine(context, name, left, right, false)
        : left.kind === 'constant' && right.kind === 'dynamic'
          ? asAffine(context, name, right, left, true)
          : null;
    return affine ?? binary(context, name, left, right);
  };

export const Add = arithmetic('add');
export const Sub = arithmetic('subtract');
export const Mul = arithmetic('multiply');
export const Div = arithmetic('divide');

export function Pow(context: OnnxNodeContext): Dynamic {
  return binary(context, 'power', context.input(0), secondOperand(context));
}

/** An operator with any number of operands, two at a time. */
function chained(context: OnnxNodeContext, name: BinaryFunction, isLast = true): Operand {
  let result = context.input(0);
  for (let index = 1; index < context.inputs.length; index++) {
    const isFinal = isLast && index === context.inputs.length - 1;
    result = binary(context, name, result, context.input(index), isFinal ? '' : `part${index}`);
  }
  return result;
}

export const Max: OnnxOp = (context) => chained(context, 'maximum');
export const Min: OnnxOp = (context) => chained(context, 'minimum');
export const Sum: OnnxOp = (context) => chained(context, 'add');

export function Mean(context: OnnxNodeContext): Operand {
  const sum = chained(context, 'add', false);
  const count = context.inputs.length;
  return sum.kind === 'constant' || count === 1 ? sum : scaleAndShift(context, sum, 1 / count, 0);
}
