import {
  elementCount,
  type Graph,
  inferShapes,
  interpretAll,
  layeredSource,
  mapSource,
  type Model,
  type Node,
  type StoredTensor,
  storedWeight,
} from '@dgconv/core';
import { FreshNames } from '../fresh-names.js';
import type { Pass } from './pass.js';
import { removeUnusedNodes } from './rewrite.js';

/** Values that a folded constant may have beyond those that it is computed from: an expanded one would only make the file large. */
const largestGrowth = 2 ** 16;

/**
 * Computes what depends on constants only, and stores it as a constant.
 *
 * before: `a = constant` `b = constant` `c = add a b` `y = multiply x c` · after: `c = constant` `y = multiply x c`
 */
export const foldConstants: Pass = {
  name: 'fold-constants',
  run: (model) => {
    const folded = foldableNodes(model.graph);
    if (folded.size === 0) return model;
    const values = valuesOf(model, folded);
    const shapes = inferShapes(model.graph);
    const names = new FreshNames(model.weights.names);
    const tensors = new Map<string, StoredTensor>();
    const nodes = model.graph.nodes.map((node): Node => {
      if (!folded.has(node.id)) return node;
      const name = names.take(node.id);
      const shape = shapes.get(node.id)!;
      tensors.set(name, { shape, values: Float32Array.from(values[node.id]!) });
      return {
        id: node.id,
        op: 'constant',
        inputs: [],
        attrs: { shape },
        weights: { value: storedWeight(name) },
        origin: node.origin,
      };
    });
    return {
      graph: removeUnusedNodes({ ...model.graph, nodes }),
      weights: layeredSource(mapSource(tensors), model.weights),
    };
  },
};

/** Nodes that read constants only, themselves or each other's. */
function foldableNodes(graph: Graph): ReadonlySet<string> {
  const shapes = inferShapes(graph);
  const sizeOf = (value: string): number => elementCount(shapes.get(value)!);
  const known = new Set<string>();
  const folded = new Set<string>();
  for (const { id, op, inputs } of graph.nodes) {
    if (op === 'constant') known.add(id);
    if (inputs.length === 0 || !inputs.every((input) => known.has(input))) continue;
    const read = inputs.reduce((sum, input) => sum + sizeOf(input), 0);
    if (sizeOf(id) > read + largestGrowth) continue;
    known.add(id);
    folded.add(id);
  }
  return folded;
}

/** The values of the folded nodes, by what they mean. */
function valuesOf({ graph, weights }: Model, folded: ReadonlySet<string>): Record<string, Float64Array> {
  const nodes = graph.nodes.filter(({ id, op }) => op === 'constant' || folded.has(id));
  const outputs = [...folded].map((id) => ({ name: id, value: id }));
  return interpretAll({ graph: removeUnusedNodes({ ...graph, inputs: [], nodes, outputs }), weights }, {});
}
