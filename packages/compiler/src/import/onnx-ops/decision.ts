import { elementCount } from '@dgconv/core';
import type { Constant, Dynamic, Operand } from '../onnx-graph.js';
import type { OnnxNodeContext, OnnxOp } from '../onnx-node.js';
import { activate } from './activation.js';
import { binary, scaleAndShift } from './arithmetic.js';
import { reducedOver } from './reduction.js';

/** A value that holds whole numbers: a truth value is 0 or 1, an index a number. */
const whole = (value: Dynamic): Dynamic => ({ ...value, note: { kind: 'whole' } });

/** Magnitudes from 2^-100 on become at least 1; a threshold up to 2^27 that is folded into it stays finite. */
const steep = 2 ** 100;

/** 1 where a value is positive, else 0. No scale of its own, which a convolution before it could take into its weights and overflow. */
function isPositive(context: OnnxNodeContext, x: Dynamic, part: string): Dynamic {
  return whole(activate(context, x, { function: 'hard-sigmoid', alpha: steep, beta: 0 }, part));
}

function not(context: OnnxNodeContext, x: Dynamic, part = ''): Dynamic {
  return whole(scaleAndShift(context, x, -1, 1, part));
}

const greater =
  (isSwapped: boolean, isNegated: boolean): OnnxOp =>
  (context) => {
    const [left, right] = isSwapped ? [context.input(1), context.input(0)] : [context.input(0), context.input(1)];
    const difference = binary(context, 'subtract', left, right, 'difference');
    return isNegated ? not(context, isPositive(context, difference, 'opposite')) : isPositive(context, difference, '');
  };

export const Greater = greater(false, false);
export const Less = greater(true, false);
export const GreaterOrEqual = greater(true, true);
export const LessOrEqual = greater(false, true);

export function Equal(context: OnnxNodeContext): Dynamic {
  const difference = binary(context, 'subtract', context.input(0), context.input(1), 'difference');
  const distance = activate(context, difference, { function: 'abs' }, 'distance');
  return not(context, isPositive(context, distance, 'different'));
}

export const Not: OnnxOp = (context) => not(context, context.dynamic(0));
export const And: OnnxOp = (context) => whole(binary(context, 'minimum', context.input(0), context.input(1)));
export const Or: OnnxOp = (context) => whole(binary(context, 'maximum', context.input(0), context.input(1)));

/** `condition · yes + (1 - condition) · no`: both are computed, so that neither may be infinite. */
export function Where(context: OnnxNodeContext): Dynamic {
  const [condition, yes, no] = [context.input(0), context.input(1), context.input(2)];
  for (const choice of [yes, no]) {
    if (choice.kind === 'constant' && !choice.read().every(Number.isFinite)) {
      context.refuse('a choice between values of which one is infinite is not supported');
    }
  }
  const opposite =
    condition.kind === 'dynamic' ? not(context, condition, 'opposite') : mapped(context, condition, (x) => 1 - x);
  return binary(
    context,
    'add',
    binary(context, 'multiply', numeric(context, condition), yes, 'yes'),
    binary(context, 'multiply', opposite, no, 'no'),
  );
}

function mapped(context: OnnxNodeContext, x: Constant, of: (value: number) => number): Constant {
  return context.builder.constant(`${context.id}.opposite`, x.shape, Float64Array.from(x.read(), of), true);
}

/** Truth values as numbers. */
function numeric(context: OnnxNodeContext, condition: Operand): Operand {
  return condition.kind === 'dynamic' || condition.isFloat ? condition : mapped(context, condition, (x) => x);
}

/** 1, 0 or -1. */
export function Sign(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const negated = activate(context, x, { function: 'negate' }, 'negated');
  const isAbove = isPositive(context, x, 'is_positive');
  return whole(binary(context, 'subtract', isAbove, isPositive(context, negated, 'is_negative')));
}

/** `x` where it is above `alpha`, else 0. */
export function ThresholdedRelu(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const above = scaleAndShift(context, x, 1, -context.float('alpha', 1), 'above');
  return binary(context, 'multiply', x, isPositive(context, above, 'is_above'));
}

/**
 * Place of the largest value along an axis, as a number: every place that holds the maximum says how far it is from the end (or from the
 * start, for the last one), and the largest answer is the first such place.
 */
function place(context: OnnxNodeContext, x: Dynamic): Dynamic {
  const rank = x.shape.length;
  const axis = context.axis(context.int('axis', 0), rank);
  const size = x.shape[axis]!;
  const isLast = context.int('select_last_index', 0) === 1;
  const largest = reducedOver(context, x, 'max', [axis], true, 'largest');
  const below = isPositive(context, binary(context, 'subtract', largest, x, 'below'), 'is_below');
  const ranks = Float64Array.from({ length: size }, (_, index) => (isLast ? index + 1 : size - index));
  const shape = [size, ...new Array<number>(rank - 1 - axis).fill(1)];
  const constant = context.builder.constant(`${context.id}.ranks`, shape, ranks, true);
  const answers = binary(context, 'multiply', not(context, below, 'is_largest'), constant, 'answers');
  const best = reducedOver(context, answers, 'max', [axis], context.int('keepdims', 1) === 1, 'best');
  return whole(isLast ? scaleAndShift(context, best, 1, -1) : scaleAndShift(context, best, -1, size));
}

export function ArgMax(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  if (elementCount(x.shape) === 0) context.refuse('a value without elements has no largest one');
  return place(context, x);
}

export function ArgMin(context: OnnxNodeContext): Dynamic {
  return place(context, activate(context, context.dynamic(0), { function: 'negate' }, 'negated'));
}
