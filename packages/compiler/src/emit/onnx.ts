import type { Model, Node, Shape } from '@dgconv/core';
import onnxProto, { type onnx } from 'onnx-proto';
import { emitContext, type EmitContext } from './context.js';
import { emittedMetadata } from './metadata.js';
import { type Emitted, OnnxBuilder } from './onnx-builder.js';
import { onnxRules } from './onnx-ops.js';
import { mapAxes, ordersWanted } from './onnx-orders.js';

const { ModelProto, TensorProto } = onnxProto.onnx;

/** ONNX 1.10: what every runtime of the last years reads. */
const irVersion = 8;
const opset = 15;

const valueInfo = (name: string, shape: Shape): onnx.IValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType: TensorProto.DataType.FLOAT,
      shape: { dim: mapAxes(shape, 'nchw').map((dimValue) => ({ dimValue })) },
    },
  },
});

/** Applies the rule of a node's own op; the cast is safe because `onnxRules[K]` takes exactly `NodeOf<K>`. */
const applyRule = (node: Node, builder: OnnxBuilder, context: EmitContext): Emitted =>
  (onnxRules[node.op] as (node: Node, onnx: OnnxBuilder, context: EmitContext) => Emitted)(node, builder, context);

/**
 * Writes a model as ONNX (opset 15, IR version 8) for batch 1: values of rank 4 are NCHW, weights float32, grouped convolutions are
 * `Conv` with `group`. The same model gives the same bytes.
 * @throws {UnsupportedError} if a node cannot be expressed; the message names node, op and reason.
 */
export const emitOnnx = (model: Model): Uint8Array => {
  const context = emitContext(model);
  const { graph } = context;
  const builder = new OnnxBuilder(context.shapeOf, ordersWanted(graph));
  for (const { name } of [...graph.inputs, ...graph.outputs]) builder.reserve(name);
  for (const { name } of graph.inputs) builder.bind(name, name);
  const outputOf = new Map(graph.outputs.map(({ name, value }) => [value, name]));
  for (const node of graph.nodes)
    builder.define(node.id, outputOf.get(node.id), () => applyRule(node, builder, context));
  // A value under several output names, or an input that is an output, needs a copy for each further name.
  for (const { name, value } of graph.outputs)
    if (builder.tensor(value) !== name)
      builder.nodes.push({ opType: 'Identity', name, input: [builder.tensor(value)], output: [name], attribute: [] });
  const message = ModelProto.create({
    irVersion,
    opsetImport: [{ domain: '', version: opset }],
    producerName: 'dgconv',
    graph: {
      name: graph.metadata.name,
      node: builder.nodes,
      initializer: builder.initializers,
      input: graph.inputs.map(({ name, shape }) => valueInfo(name, shape)),
      output: graph.outputs.map(({ name, value }) => valueInfo(name, context.shapeOf(value))),
    },
    metadataProps: Object.entries(emittedMetadata(graph)).map(([key, value]) => ({ key, value })),
  });
  return ModelProto.encode(message).finish();
};
