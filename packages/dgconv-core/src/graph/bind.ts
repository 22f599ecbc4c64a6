import { DgconvError, InvalidInputError } from '../errors.js';
import type { Graph, Model } from './graph.js';
import { formatShape, sameShape } from './shape.js';
import { filledSlots, slotShapes } from './slots.js';
import { storedNames } from './sources.js';
import { weightShape } from './weight-rules.js';
import type { WeightSource } from './weights.js';

/**
 * A graph with a source that has every tensor it needs, in the shape that it needs.
 * @throws {InvalidInputError} naming the tensors that are missing, or the first slot whose weight has another shape.
 */
export function bind(graph: Graph, weights: WeightSource): Model {
  const present = new Set(weights.names);
  const missing = storedNames(graph).filter((name) => !present.has(name));
  if (missing.length > 0) {
    const listed = missing.slice(0, 5).map((name) => `'${name}'`);
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : '';
    throw new InvalidInputError(
      `${missing.length === 1 ? 'a tensor is' : `${missing.length} tensors are`} missing: ${listed.join(', ')}${more}`,
    );
  }
  for (const node of graph.nodes) {
    const demanded = slotShapes(node);
    for (const [slot, weight] of filledSlots(node)) {
      const where = `node '${node.id}', slot '${slot}'`;
      const what = weight.kind === 'stored' ? `tensor '${weight.name}'` : 'the weight';
      let shape;
      try {
        shape = weightShape(weight, weights);
      } catch (error) {
        if (error instanceof DgconvError) throw new InvalidInputError(`${where}: ${error.message}`, { cause: error });
        throw error;
      }
      if (demanded[slot] === undefined) throw new InvalidInputError(`${where}: a ${node.op} has no such slot`);
      if (!sameShape(shape, demanded[slot]))
        throw new InvalidInputError(
          `${where}: ${what} has shape ${formatShape(shape)}, the node needs ${formatShape(demanded[slot])}`,
        );
    }
  }
  return { graph, weights };
}
