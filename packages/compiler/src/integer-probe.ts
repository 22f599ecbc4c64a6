import {
  elementCount,
  filledSlots,
  hardGrouping,
  layeredSource,
  mapSource,
  type Model,
  type Node,
  type Shape,
  slotShapes,
  type StoredTensor,
  supportsOf,
  type WeightSource,
} from '@dgconv/core';

/** Slots that decide who is connected with whom: a probe keeps them, so that it has the groups of the model. */
const deciding = new Set(['gates', 'inputAssignment', 'outputAssignment', 'mask']);

/**
 * The same network with other floats: kernels of -1, 0 and 1 with few of them a row, small integers as biases, batch norm by factors that
 * are exactly 1 with epsilon 0. On small integers as input every order of summation gives the same bits, so two stages of the
 * compiler, or two runtimes, must agree to the bit: that separates a wrong permutation from rounding.
 *
 * Means over pixels are the one thing that is not exact in float32.
 * @param options.connections - kernel values of ±1 for each output (default 4): more find more, fewer keep deep networks within the
 * 24 bits that float32 holds exactly.
 */
export function integerProbe(
  model: Model,
  { seed = 1, connections = 4 }: { readonly seed?: number; readonly connections?: number } = {},
): Model {
  const tensors = new Map<string, StoredTensor>();
  const nodes = model.graph.nodes.map((node): Node => {
    const shapes = slotShapes(node);
    const weights = Object.fromEntries(
      filledSlots(node).map(([slot, weight]) => {
        if (deciding.has(slot)) return [slot, weight];
        const name = `probe ${node.id} ${slot}`;
        const shape = shapes[slot]!;
        tensors.set(name, {
          shape,
          values: slotValues(node, slot, shape, model.weights, hash(seed, name), connections),
        });
        return [slot, { kind: 'stored', name }];
      }),
    );
    // Same op, same slots: only what they hold is another.
    const probed = { ...node, weights } as Node;
    return probed.op === 'batch-norm' ? { ...probed, attrs: { ...probed.attrs, epsilon: 0 } } : probed;
  });
  return { graph: { ...model.graph, nodes }, weights: layeredSource(mapSource(tensors), model.weights) };
}

function slotValues(
  node: Node,
  slot: string,
  shape: Shape,
  source: WeightSource,
  seed: number,
  connections: number,
): Float32Array {
  const values = new Float32Array(elementCount(shape));
  const random = (index: number, below: number): number => hash(seed, String(index)) % below;
  if (slot === 'kernel') {
    fillKernel(values, kernelRows(node, shape, source), random, connections);
  } else if (slot === 'gamma' || slot === 'variance') {
    // γ/√σ² = 1 for each channel, by different factors.
    const roots = [0.5, 1, 2];
    const channelSeed = hash(0, node.id);
    values.forEach((_, index) => {
      const root = roots[hash(channelSeed, String(index)) % roots.length]!;
      values[index] = slot === 'gamma' ? root : root * root;
    });
  } else if (slot === 'scale' || slot === 'preScale' || slot === 'slope') {
    values.fill(1);
  } else {
    values.forEach((_, index) => (values[index] = random(index, 3) - 1));
  }
  return values;
}

/** For each output, where its kernel values are; only connected ones matter. */
function kernelRows(node: Node, shape: Shape, source: WeightSource): readonly (readonly number[])[] {
  const total = elementCount(shape);
  if (node.op === 'conv2d') {
    const patch = elementCount(node.attrs.kernelSize);
    const isDense = node.attrs.connectivity.kind === 'masked' || node.attrs.connectivity.kind === 'learned';
    const { channelsIn } = node.attrs.connectivity;
    let pair = 0;
    return supportsOf(hardGrouping(node, source)).map((inputs, output) =>
      inputs.flatMap((input) => {
        const first = (isDense ? output * channelsIn + input : pair++) * patch;
        return Array.from({ length: patch }, (_, tap) => first + tap);
      }),
    );
  }
  const rows = shape[0]!;
  const size = total / rows;
  return Array.from({ length: rows }, (_, row) => Array.from({ length: size }, (_, tap) => row * size + tap));
}

/** `connections` values of ±1 a row, at random places. */
function fillKernel(
  values: Float32Array,
  rows: readonly (readonly number[])[],
  random: (index: number, below: number) => number,
  connections: number,
): void {
  rows.forEach((places, row) => {
    for (let tap = 0; tap < Math.min(connections, places.length); tap += 1) {
      const draw = 2 * (row * connections + tap);
      values[places[random(draw, places.length)]!] = random(draw + 1, 2) === 0 ? -1 : 1;
    }
  });
}

/** A 32-bit hash of a text (FNV-1a with a final mix). */
function hash(seed: number, text: string): number {
  let mixed = (0x811c9dc5 ^ seed) >>> 0;
  for (let index = 0; index < text.length; index += 1) mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
