import { elementCount, interpret } from '@dgconv/core';
import { type Constant, OnnxGraphBuilder, type Operand } from './onnx-graph.js';
import { OnnxNodeContext, type OnnxOp } from './onnx-node.js';

/** Numbers that may be computed at import: the largest weights are smaller. */
const largestCount = 2 ** 25;

/** Operators that multiply more than they read: a file could claim hours of them. */
const costly: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'AveragePool',
  'MaxPool',
  'LRN',
]);

/** What an operator gives, as a list. */
export function operandsOf(result: ReturnType<OnnxOp>): readonly Operand[] {
  return Array.isArray(result) ? (result as readonly Operand[]) : [result as Operand];
}

/**
 * The outputs of an operator on constants, such as a weight that is standardised whenever the network runs: the operator's own graph,
 * interpreted now. Null if an input is computed from the image, or there is nothing to compute with.
 */
export function interpretedConstants(context: OnnxNodeContext, op: OnnxOp): readonly Constant[] | null {
  const inputs = context.inputs.filter((input) => input !== null);
  const isKnown = inputs.every((input): input is Constant => input.kind === 'constant');
  const count = inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (!isKnown || !inputs.some(({ isFloat }) => isFloat) || count > largestCount) return null;
  const builder = new OnnxGraphBuilder(context.builder.source(), context.builder.readExternal);
  const { node, opset } = context;
  if (costly.has(node.operator)) return null;
  const results = operandsOf(op(new OnnxNodeContext(node, context.inputs, opset, builder))).slice(
    0,
    node.outputs.length,
  );
  const dynamics = results.map((result, index) => builder.materialise(result, `result${index}`, context.id));
  const graph = builder.finish(
    dynamics.map((value, index) => ({ name: `${index}`, value: builder.in('given', value) })),
    { name: context.id },
  );
  if (graph.nodes.some(({ id }) => elementCount(builder.shape(id)) > largestCount)) return null;
  const values = interpret({ graph, weights: builder.source() }, {});
  return dynamics.map(({ shape }, index) =>
    context.builder.constant(`${context.id}.${index}`, shape, Float32Array.from(values[index]!), true),
  );
}
