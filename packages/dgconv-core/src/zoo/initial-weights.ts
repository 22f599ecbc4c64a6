import type { Graph, Node } from '../graph/graph.js';
import { elementCount, type Shape } from '../graph/shape.js';
import { filledSlots, slotShapes } from '../graph/slots.js';
import type { StoredTensor } from '../graph/sources.js';
import { RandomSource } from '../random.js';

type Draw = (random: RandomSource) => number;

const constant =
  (value: number): Draw =>
  () =>
    value;
const normal =
  (deviation: number): Draw =>
  (random) =>
    deviation * random.normal();
const uniform =
  (bound: number): Draw =>
  (random) =>
    bound * (2 * random.uniform() - 1);

/** How the values of a weight slot are drawn; kernels and biases depend on the operation too. */
const draws: Readonly<Record<string, (node: Node, shape: Shape) => Draw>> = {
  kernel(node, shape) {
    if (node.op === 'dense') return uniform(1 / Math.sqrt(node.attrs.channelsIn));
    const outputs = node.op === 'conv2d-transpose' ? shape[1]! : shape[0]!;
    return normal(Math.sqrt(2 / (outputs * elementCount(shape.slice(2)))));
  },
  bias: (node) => (node.op === 'dense' ? uniform(1 / Math.sqrt(node.attrs.channelsIn)) : constant(0)),
  gates: () => (random) => (random.nextUint32() >>> 31 === 0 ? -1e-8 : 1e-8),
  inputAssignment: () => normal(1),
  outputAssignment: () => normal(1),
  slope: () => constant(0.25),
  mask: () => constant(1),
  gamma: () => constant(1),
  variance: () => constant(1),
  scale: () => constant(1),
  preScale: () => constant(1),
};

/**
 * First weights of a network whose weights are stored tensors, as the zoo writes them: convolutions Kaiming-normal by fan-out,
 * dense layers uniform in ±1/√C_in, batch norms the identity, gates ±1e-8 at random, FLGC's assignments standard normal,
 * CondenseNet's masks ones. The values depend on graph and seed only.
 * @returns each tensor under its name, in the order of the nodes.
 */
export function initialWeights(graph: Graph, seed: number): Map<string, StoredTensor> {
  const random = new RandomSource(seed);
  const tensors = new Map<string, StoredTensor>();
  for (const node of graph.nodes) {
    const shapes = slotShapes(node);
    for (const [slot, weight] of filledSlots(node)) {
      if (weight.kind !== 'stored' || tensors.has(weight.name)) continue;
      const shape = shapes[slot]!;
      const draw = draws[slot]?.(node, shape) ?? constant(0);
      const values = new Float32Array(elementCount(shape));
      for (let index = 0; index < values.length; index++) values[index] = draw(random);
      tensors.set(weight.name, { shape, values });
    }
  }
  return tensors;
}
