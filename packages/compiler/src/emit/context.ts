import {
  inferShapes,
  isIdentityPermutation,
  readWeight,
  UnsupportedError,
  type Graph,
  type Model,
  type Node,
  type NodeOf,
  type Shape,
  type Weight,
} from '@dgconv/core';

/** What an emitter asks of a model: its graph, the shapes of its values and the floats of its weights. */
export interface EmitContext {
  readonly graph: Graph;
  shapeOf(id: string): Shape;
  /** The node of a value; undefined for an input of the graph. */
  nodeOf(id: string): Node | undefined;
  floats(weight: Weight): Float32Array;
}

/** The context of a model; shapes are derived once. */
export const emitContext = ({ graph, weights }: Model): EmitContext => {
  const shapes = inferShapes(graph);
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  return {
    graph,
    shapeOf: (id) => shapes.get(id)!,
    nodeOf: (id) => nodes.get(id),
    floats: (weight) => readWeight(weight, weights),
  };
};

/**
 * Number of contiguous equal groups of a convolution, which is what ONNX and TFLite can say.
 * @returns null where the connectivity is anything else (the compiler's choose-forms and assign-channel-orders come before).
 */
export const contiguousGroups = (node: NodeOf<'conv2d'>): number | null => {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'dense') return 1;
  if (connectivity.kind !== 'equal') return null;
  return isIdentityPermutation(connectivity.inputOrder) && isIdentityPermutation(connectivity.outputOrder)
    ? connectivity.groups
    : null;
};

/** The error for an op that a format cannot express. */
export const unsupportedIn = (format: string, node: Node, reason: string): UnsupportedError =>
  new UnsupportedError(`${format} cannot express node '${node.id}' (${node.op}): ${reason}`);
