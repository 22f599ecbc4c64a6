import type { Graph, Node, NodeOf } from './graph.js';
import type { OpKind } from './ops.js';
import type { Shape } from './shape.js';
import { inferShapes } from './types.js';

/** What a rule knows: shapes for batch 1, and which inputs carry the batch in their first dimension (the others are constants). */
interface BatchContext {
  readonly shapes: readonly Shape[];
  readonly hasBatch: readonly boolean[];
}

/** Whether the op treats the elements of a batch one by one, given that at least one input carries the batch. */
type BatchRule<K extends OpKind> = (node: NodeOf<K>, context: BatchContext) => boolean;

const always = (): boolean => true;

const rules: { readonly [K in OpKind]: BatchRule<K> } = {
  conv2d: (_, { hasBatch }) => hasBatch.every(Boolean),
  'conv2d-transpose': always,
  dense: always,
  matmul(_, { shapes: [left, right], hasBatch: [leftHas, rightHas] }) {
    if (leftHas && rightHas) return left!.length === right!.length && left!.length >= 3;
    const [withBatch, constant] = leftHas ? [left!, right!] : [right!, left!];
    if (withBatch.length < constant.length) return false;
    if (withBatch.length === 2) return leftHas!;
    return constant.length < withBatch.length || constant[0] === 1;
  },
  'batch-norm': always,
  affine: always,
  activation: always,
  prelu: always,
  binary(_, { shapes: [left, right], hasBatch: [leftHas, rightHas] }) {
    if (leftHas && rightHas) return left!.length === right!.length;
    const [withBatch, constant] = leftHas ? [left!, right!] : [right!, left!];
    return constant.length < withBatch.length || (constant.length === withBatch.length && constant[0] === 1);
  },
  constant: always,
  softmax: ({ attrs }) => attrs.axis !== 0,
  'max-pool': always,
  'average-pool': always,
  reduce: ({ attrs }) => !attrs.axes.includes(0),
  concat: ({ attrs }, { hasBatch }) => attrs.axis !== 0 && hasBatch.every(Boolean),
  slice: ({ attrs }) => attrs.starts[0] === 0 && attrs.sizes[0] === 1,
  pad: ({ attrs }) => attrs.before[0] === 0 && attrs.after[0] === 0,
  resize: always,
  transpose: ({ attrs }) => attrs.permutation[0] === 0,
  reshape: ({ attrs }) => attrs.shape[0] === 1,
  take: ({ attrs }) => attrs.axis !== 0,
  identity: always,
  dropout: always,
};

/** Whether a graph, made for batch 1, can be evaluated for any batch by changing only the first dimension of its values. */
export function isBatchable(graph: Graph): boolean {
  if (!graph.inputs.every(({ shape }) => shape[0] === 1)) return false;
  const shapes = inferShapes(graph);
  const carriers = new Set(graph.inputs.map(({ name }) => name));
  for (const node of graph.nodes) {
    const hasBatch = node.inputs.map((value) => carriers.has(value));
    if (!hasBatch.some(Boolean)) continue;
    const context = { shapes: node.inputs.map((value) => shapes.get(value)!), hasBatch };
    if (!(rules[node.op] as (node: Node, context: BatchContext) => boolean)(node, context)) return false;
    carriers.add(node.id);
  }
  return graph.outputs.every(({ value }) => carriers.has(value));
}
