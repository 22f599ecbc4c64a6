import type { Graph, Model, Node } from '../graph/graph.js';
import type { Shape } from '../graph/shape.js';
import { mapSource } from '../graph/sources.js';

/** What a test says of a node; the rest has defaults. */
export type NodeFields = Pick<Node, 'op' | 'attrs'> & Partial<Node>;

/** A model of one node named `node` on inputs `a`, `b`, … of the given shapes, with the output `y`; its slots hold literals. */
export function singleNodeModel(shapes: readonly Shape[], fields: NodeFields): Model {
  const names = shapes.map((_, index) => 'abcd'[index]!);
  const graph: Graph = {
    formatVersion: '1.0',
    nodes: [{ id: 'node', inputs: names, weights: {}, origin: [], ...fields } as Node],
    inputs: shapes.map((shape, index) => ({ name: names[index]!, shape })),
    outputs: [{ name: 'y', value: 'node' }],
    metadata: { name: 'single' },
  };
  return { graph, weights: mapSource(new Map()) };
}
