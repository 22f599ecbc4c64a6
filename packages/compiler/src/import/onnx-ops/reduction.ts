import { type Dynamic, axisIn, type Form } from '../onnx-graph.js';
import type { OnnxNodeContext, OnnxOp } from '../onnx-node.js';
import { activate } from './activation.js';
import { binary } from './arithmetic.js';

type ReduceFunction = 'mean' | 'sum' | 'max' | 'min';

/** Reduces x as the node's `axes` and `keepdims` say; axes are an input from operator set 18 on (13 for sums). */
function reduced(context: OnnxNodeContext, x: Dynamic, name: ReduceFunction, part = ''): Dynamic {
  const rank = x.shape.length;
  const listed = context.list('axes', 1);
  if ((listed === null || listed.length === 0) && context.int('noop_with_empty_axes', 0) === 1) return x;
  const axes =
    listed === null || listed.length === 0
      ? Array.from({ length: rank }, (_, axis) => axis)
      : listed.map((axis) => context.axis(axis, rank));
  return reducedOver(context, x, name, axes, context.int('keepdims', 1) === 1, part);
}

/** x reduced over some of its axes, as ONNX counts them. */
export function reducedOver(
  context: OnnxNodeContext,
  x: Dynamic,
  name: ReduceFunction,
  axes: readonly number[],
  keepDims: boolean,
  part = '',
): Dynamic {
  const rank = x.shape.length;
  const { builder } = context;
  const [isBatchReduced, isChannelReduced] = [axes.includes(0), axes.includes(1)];
  // Without its first axis the rest of a channels-last value is in no order that we know.
  const form: Form = keepDims || !isBatchReduced ? builder.preferredForm([x]) : 'given';
  const places = axes.map((axis) => (rank < 3 ? axis : axisIn(form, rank, axis))).sort((a, b) => a - b);
  const attrs = { function: name, axes: places, keepDims };
  const id = context.add({ op: 'reduce', inputs: [builder.in(form, x)], attrs, weights: {} }, part);
  return context.result(form === 'last' && !keepDims && isChannelReduced ? 'given' : form, id);
}

const plain =
  (name: ReduceFunction): OnnxOp =>
  (context) =>
    reduced(context, context.dynamic(0), name);

export const ReduceMean = plain('mean');
export const ReduceSum = plain('sum');
export const ReduceMax = plain('max');
export const ReduceMin = plain('min');

export function ReduceL1(context: OnnxNodeContext): Dynamic {
  return reduced(context, activate(context, context.dynamic(0), { function: 'abs' }, 'abs'), 'sum');
}

function squares(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  return binary(context, 'multiply', x, x, 'squared');
}

export function ReduceSumSquare(context: OnnxNodeContext): Dynamic {
  return reduced(context, squares(context), 'sum');
}

export function ReduceL2(context: OnnxNodeContext): Dynamic {
  return activate(context, reduced(context, squares(context), 'sum', 'sum'), { function: 'sqrt' });
}

export function ReduceLogSum(context: OnnxNodeContext): Dynamic {
  return activate(context, reduced(context, context.dynamic(0), 'sum', 'sum'), { function: 'log' });
}

/** Without subtracting the maximum first: equal in exact arithmetic, and vision networks have no large exponents here. */
export function ReduceLogSumExp(context: OnnxNodeContext): Dynamic {
  const exponentials = activate(context, context.dynamic(0), { function: 'exp' }, 'exp');
  return activate(context, reduced(context, exponentials, 'sum', 'sum'), { function: 'log' });
}
