import { UnsupportedError, type Model, type Node } from '@dgconv/core';
import { emitContext, type EmitContext } from './context.js';
import { emittedMetadata } from './metadata.js';
import { TfliteBuilder } from './tflite-builder.js';
import { classifierMetadata, metadataName, packLabels } from './tflite-metadata.js';
import { tfliteRules } from './tflite-ops.js';

/** Applies the rule of a node's own op; the cast is safe because `tfliteRules[K]` takes exactly `NodeOf<K>`. */
const applyRule = (node: Node, builder: TfliteBuilder, context: EmitContext): number =>
  (tfliteRules[node.op] as (node: Node, builder: TfliteBuilder, context: EmitContext) => number)(
    node,
    builder,
    context,
  );

/**
 * Writes a model as TFLite (schema version 3) for batch 1: NHWC, weights float32, equal groups as `CONV_2D` with a narrow filter
 * (depthwise ones as `DEPTHWISE_CONV_2D`), one signature `serving_default`. The same model gives the same bytes.
 * @throws {UnsupportedError} if a node cannot be expressed; the message names node, op and reason.
 */
export const emitTflite = (model: Model): Uint8Array => {
  const context = emitContext(model);
  const { graph } = context;
  for (const { name, value } of graph.outputs)
    if (context.shapeOf(value).includes(0))
      throw new UnsupportedError(`TFLite cannot express the empty output '${name}'`);
  const builder = new TfliteBuilder(context.shapeOf);
  for (const { name } of [...graph.inputs, ...graph.outputs]) builder.reserve(name);
  const inputs = graph.inputs.map(({ name, shape }) => ({ name, tensor: builder.input(name, shape) }));
  const outputOf = new Map(graph.outputs.map(({ name, value }) => [value, name]));
  for (const node of graph.nodes)
    builder.define(node.id, outputOf.get(node.id), () => applyRule(node, builder, context));
  // A value under several output names, or an input that is an output, needs a copy for each further name.
  const outputs = graph.outputs.map(({ name, value }) => {
    const tensor = builder.tensor(value);
    return {
      name,
      tensor:
        outputOf.get(value) === name && !graph.inputs.some((input) => input.name === value)
          ? tensor
          : builder.copy(tensor, name),
    };
  });
  const texts = Object.entries(emittedMetadata(graph)).map(([key, text]) => [key, new TextEncoder().encode(text)]);
  const classifier = classifierMetadata(graph);
  const metadata = {
    ...(Object.fromEntries(texts) as Record<string, Uint8Array>),
    ...(classifier === null ? {} : { [metadataName]: classifier }),
  };
  const file = builder.finish(graph.metadata.name, inputs, outputs, metadata);
  return classifier === null ? file : packLabels(file, graph.metadata.classNames!);
};
