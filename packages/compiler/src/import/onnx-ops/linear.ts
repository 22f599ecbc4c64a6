import {
  elementCount,
  fillWeight,
  multiplyWeights,
  reshapeWeight,
  takeWeight,
  transposeWeight,
  type Weight,
} from '@dgconv/core';
import type { Constant, Dynamic, Operand } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { binary, scaleAndShift } from './arithmetic.js';
import { reshaped } from './shape.js';

const none = { function: 'identity' } as const;

/** `alpha·A'·B' + beta·C`; with a constant B (and a constant C that is a row) a dense layer. */
export function Gemm(context: OnnxNodeContext): Dynamic {
  const [alpha, beta] = [context.float('alpha', 1), context.float('beta', 1)];
  const a = oriented(context, context.dynamic(0), context.int('transA', 0) === 1, 'a');
  const b = context.input(1);
  const c = context.optional(2);
  const isTransposed = context.int('transB', 0) === 1;
  if (b.kind === 'constant' && b.shape.length === 2 && (c === null || c.kind === 'constant')) {
    const outputs = b.shape[isTransposed ? 0 : 1]!;
    const bias = c === null ? null : rowOf(c, outputs);
    if (c === null || bias !== null) {
      const kernel = scaledWeight(
        isTransposed ? b.weight : transposeWeight(b.weight, [1, 0]),
        kernelShape(b, isTransposed),
        alpha,
      );
      return dense(
        context,
        a,
        kernel,
        kernelShape(b, isTransposed),
        bias === null ? null : scaledWeight(bias, [outputs], beta),
      );
    }
  }
  const right = oriented(context, context.builder.materialise(b, `${context.id}.b`, context.id), isTransposed, 'b');
  const product = matmul(context, a, right, c === null && alpha === 1 ? '' : 'product');
  const scaled = alpha === 1 ? product : scaleAndShift(context, product, alpha, 0, c === null ? '' : 'scaled');
  if (c === null) return scaled;
  const added =
    beta === 1
      ? c
      : scaleAndShift(context, context.builder.materialise(c, `${context.id}.c`, context.id), beta, 0, 'scaled_c');
  return binary(context, 'add', scaled, added);
}

function kernelShape(b: Constant, isTransposed: boolean): readonly number[] {
  return isTransposed ? b.shape : [b.shape[1]!, b.shape[0]!];
}

function scaledWeight(weight: Weight, shape: readonly number[], factor: number): Weight {
  return factor === 1 ? weight : multiplyWeights(weight, fillWeight(shape, factor));
}

/** C as one number for each output, if all rows are alike. */
function rowOf(c: Constant, outputs: number): Weight | null {
  const count = elementCount(c.shape);
  if (count === outputs && (c.shape.at(-1) === outputs || outputs === 1)) return reshapeWeight(c.weight, [outputs]);
  return count === 1 ? takeWeight(reshapeWeight(c.weight, [1]), 0, new Array<number>(outputs).fill(0), 1) : null;
}

/** A matrix, transposed where it must be. */
function oriented(context: OnnxNodeContext, x: Dynamic, isTransposed: boolean, part: string): Dynamic {
  if (x.shape.length !== 2) context.refuse(`a value of shape [${x.shape.join(', ')}] is no matrix`);
  if (!isTransposed) return x;
  const inputs = [context.builder.flat(x)];
  const attrs = { permutation: [1, 0] };
  return context.result('given', context.add({ op: 'transpose', inputs, attrs, weights: {} }, `${part}_transposed`));
}

/** x `[N, C_in]` times the kernel `[C_out, C_in]`. */
function dense(
  context: OnnxNodeContext,
  x: Dynamic,
  kernel: Weight,
  [channelsOut = 0, channelsIn = 0]: readonly number[],
  bias: Weight | null,
  part = '',
): Dynamic {
  const attrs = { channelsIn, channelsOut, activation: none };
  const weights = { kernel, ...(bias === null ? {} : { bias }) };
  return context.result('given', context.add({ op: 'dense', inputs: [context.builder.flat(x)], attrs, weights }, part));
}

function matmul(context: OnnxNodeContext, a: Dynamic, b: Dynamic, part = ''): Dynamic {
  const inputs = [context.builder.in('given', a), context.builder.in('given', b)];
  return context.result('given', context.add({ op: 'matmul', inputs, attrs: {}, weights: {} }, part));
}

/** With a constant matrix on the right a dense layer over all leading dimensions; vectors are matrices of one row or column. */
export function MatMul(context: OnnxNodeContext): Dynamic {
  const right = context.input(1);
  const a = context.dynamic(0);
  if (a.shape.length >= 2 && right.shape.length >= 2) return product(context, a, right, '');
  const row = a.shape.length === 1 ? reshaped(context, a, [1, a.shape[0]!], 'row') : a;
  const column =
    right.shape.length === 1
      ? reshaped(
          context,
          context.builder.materialise(right, `${context.id}.b`, context.id),
          [right.shape[0]!, 1],
          'column',
        )
      : right;
  const result = product(context, row, column, 'matrix');
  const shape = result.shape.filter(
    (_, axis) =>
      !(a.shape.length === 1 && axis === result.shape.length - 2) &&
      !(right.shape.length === 1 && axis === result.shape.length - 1),
  );
  return reshaped(context, result, shape);
}

function product(context: OnnxNodeContext, a: Dynamic, right: Operand, part: string): Dynamic {
  if (right.kind === 'dynamic' || right.shape.length !== 2) {
    return matmul(context, a, context.builder.materialise(right, `${context.id}.b`, context.id), part);
  }
  const [inputs = 0, outputs = 0] = right.shape;
  if (a.shape.at(-1) !== inputs) {
    context.refuse(`shapes [${a.shape.join(', ')}] and [${right.shape.join(', ')}] cannot be multiplied`);
  }
  const kernel = transposeWeight(right.weight, [1, 0]);
  if (a.shape.length === 2) return dense(context, a, kernel, [outputs, inputs], null, part);
  const leading = a.shape.slice(0, -1);
  const rows = reshaped(context, a, [elementCount(leading), inputs], 'rows');
  return reshaped(context, dense(context, rows, kernel, [outputs, inputs], null, 'dense'), [...leading, outputs], part);
}
