import { compile } from '@dgconv/compiler';
import {
  elementCount,
  inferShapes,
  Mask,
  type Model,
  type Node,
  RandomSource,
  recogniseGrouping,
  type Shape,
} from '@dgconv/core';
import type { ConformanceCase } from './conformance-case.js';
import { interpretedOutputs } from './golden-suite.js';

/**
 * A network's own ops as cases: each node alone, with its weights and the constants that it takes, on random inputs in ±1, against
 * the interpreter. Nodes that do the same on the same shapes with other weights are one case; those that no input reaches are none.
 */
export function modelSuite({ graph, weights }: Model): ConformanceCase[] {
  const shapes = inferShapes(graph);
  const constants = new Map(graph.nodes.filter(({ op }) => op === 'constant').map((node) => [node.id, node]));
  const seen = new Set<string>();
  return graph.nodes
    .filter((node) => {
      if (node.inputs.every((input) => constants.has(input))) return false;
      const kind = JSON.stringify(
        [node.op, node.attrs, node.inputs.map((input) => [shapes.get(input), constants.has(input)])],
        (_key, value: unknown) => (value instanceof Mask ? recogniseGrouping(value) : value),
      );
      return !seen.has(kind) && seen.add(kind);
    })
    .map((node) => ({
      name: `${graph.metadata.name || 'model'}/${node.id} (${node.op})`,
      *prepare(format, enter) {
        enter('compile');
        const model: Model = { graph: nodeAlone(node, constants, shapes, graph.metadata.name), weights };
        const random = new RandomSource(1);
        const feeds = Object.fromEntries(
          model.graph.inputs.map(({ name, shape }) => [
            name,
            Float32Array.from({ length: elementCount(shape) }, () => 2 * random.uniform() - 1),
          ]),
        );
        const target = compile(model, { formats: [format] }).targets[format]!;
        const expected = interpretedOutputs(model, feeds);
        // The rule for whole networks: sums of thousands of products, in any order, against float64.
        const largest = Math.max(0, ...Object.values(expected).map(({ data }) => largestMagnitude(data)));
        yield { target, feeds, expected, tolerance: { relative: 1e-5, absolute: 1e-5 * largest } };
      },
    }));
}

/** A graph of one node and its constants; values that it takes twice are one input. */
function nodeAlone(
  node: Node,
  constants: ReadonlyMap<string, Node>,
  shapes: ReadonlyMap<string, Shape>,
  name: string,
): Model['graph'] {
  const taken = [...new Set(node.inputs)];
  return {
    formatVersion: '1.0',
    nodes: [...taken.flatMap((input) => constants.get(input) ?? []), node],
    inputs: taken.filter((input) => !constants.has(input)).map((input) => ({ name: input, shape: shapes.get(input)! })),
    outputs: [{ name: node.id, value: node.id }],
    metadata: { name },
  };
}

function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest) largest = Math.abs(value);
  return largest;
}
