import type { Graph, Model } from '../graph/graph.js';
import type { OpKind, Padding, Window } from '../graph/ops.js';
import { elementCount, sameShape } from '../graph/shape.js';
import { mapSource } from '../graph/sources.js';
import { nodeShape } from '../graph/types.js';
import { storedWeight } from '../graph/weight-constructors.js';
import { squareWindow } from '../graph/window.js';
import { randomConnectivity } from './random-connectivity.js';
import { Random } from './random.js';
import { RandomNetworkBuilder, type RandomNetworkOptions } from './random-network-builder.js';

/** What {@link randomModel} may make. */
export interface RandomModelOptions extends RandomNetworkOptions {
  /** Number of nodes wanted; default 8. Small sizes give small counterexamples. */
  readonly size?: number;
  /** Default: every op that the generator knows. */
  readonly ops?: readonly GeneratedPart[];
}

/** The ops that {@link randomModel} can make. */
export type GeneratedOp = Extract<
  OpKind,
  | 'conv2d'
  | 'conv2d-transpose'
  | 'batch-norm'
  | 'affine'
  | 'activation'
  | 'prelu'
  | 'binary'
  | 'max-pool'
  | 'average-pool'
  | 'concat'
  | 'slice'
  | 'pad'
  | 'resize'
  | 'take'
  | 'identity'
  | 'dropout'
  | 'reduce'
  | 'dense'
  | 'transpose'
  | 'reshape'
  | 'softmax'
  | 'constant'
>;

/** What {@link randomModel} can make: an op, or several that belong together. */
export type GeneratedPart =
  | GeneratedOp
  /** Slices that together are the whole value. */
  | 'split'
  /** A channel shuffle between groups. */
  | 'shuffle'
  /** Constant channels before and after. */
  | 'channel-pad';

/** What residual networks are made of. */
export const basicOps: readonly GeneratedOp[] = [
  'conv2d',
  'conv2d',
  'conv2d',
  'batch-norm',
  'activation',
  'binary',
  'max-pool',
  'average-pool',
  'concat',
];

const everyOp: readonly GeneratedOp[] = [
  ...basicOps,
  'conv2d-transpose',
  'affine',
  'prelu',
  'slice',
  'pad',
  'resize',
  'take',
  'identity',
  'dropout',
  'reduce',
  'dense',
];

/** Everything, with what moves and joins channels and axes. */
export const structuralParts: readonly GeneratedPart[] = [
  ...everyOp,
  'split',
  'split',
  'shuffle',
  'shuffle',
  'channel-pad',
  'concat',
  'transpose',
  'transpose',
  'transpose',
  'reshape',
  'softmax',
  'constant',
];

const noPadding: Padding = { top: 0, bottom: 0, left: 0, right: 0 };

const channelCounts = [2, 3, 4, 6, 8, 12];

/** One attempt at adding a node of each op; false where nothing fits. */
const makers: { readonly [K in GeneratedPart]: (builder: RandomNetworkBuilder) => boolean } = {
  conv2d(builder) {
    const { random } = builder;
    const x = builder.image();
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const choice = random.pick(builder.connectivities);
    const channelsOut = random.pick(channelCounts);
    const isSame = random.chance(0.5);
    const window: Window =
      choice === 'condense' ? squareWindow(1) : isSame ? squareWindow(3, 1, 1) : builder.window(shape);
    const attrs = {
      ...window,
      connectivity: randomConnectivity(random, choice, channelsOut, shape[3]!),
      pre: random.chance(0.2) ? 'affine-relu' : 'none',
      activation: builder.activation(),
    } as const;
    const out = nodeShape(
      { id: 'draft', op: 'conv2d', inputs: [x], attrs, weights: { kernel: storedWeight('') }, origin: [] },
      { inputs: [shape], single: [shape], batch: 1 },
    );
    const residual = random.chance(0.3) ? builder.value((other) => sameShape(other, out)) : null;
    return builder.add({ op: 'conv2d', inputs: residual === null ? [x] : [x, residual], attrs });
  },
  'conv2d-transpose'(builder) {
    const x = builder.image();
    if (x === null) return false;
    const channelsIn = builder.shapes.get(x)![3]!;
    const groups = channelsIn % 2 === 0 ? builder.random.integer(1, 2) : 1;
    const channelsOut = groups * builder.random.integer(1, 3);
    const kernelSize = [builder.random.integer(1, 3), builder.random.integer(1, 3)] as const;
    const strides = [builder.random.integer(1, 2), builder.random.integer(1, 2)] as const;
    return builder.add({
      op: 'conv2d-transpose',
      inputs: [x],
      attrs: {
        kernelSize,
        strides,
        dilations: [1, 1],
        padding: { ...noPadding, top: builder.random.integer(0, kernelSize[0] - 1) },
        channelsIn,
        channelsOut,
        groups,
        outputPadding: [strides[0] - 1, 0],
        activation: builder.activation(),
      },
    });
  },
  'batch-norm': (builder) => perChannel(builder, 'batch-norm'),
  affine: (builder) => perChannel(builder, 'affine'),
  prelu: (builder) => perChannel(builder, 'prelu'),
  activation(builder) {
    const x = builder.value(() => true);
    return x !== null && builder.add({ op: 'activation', inputs: [x], attrs: { activation: builder.activation() } });
  },
  binary(builder) {
    const left = builder.value(() => true);
    if (left === null) return false;
    const right = builder.random.pick(
      [...builder.shapes].filter(([, shape]) => sameShape(shape, builder.shapes.get(left)!)).map(([name]) => name),
    );
    const name = builder.random.pick(['add', 'add', 'add', 'subtract', 'multiply', 'maximum'] as const);
    return builder.add({
      op: 'binary',
      inputs: [left, right],
      attrs: { function: name, activation: builder.activation() },
    });
  },
  'max-pool'(builder) {
    const x = builder.image();
    return (
      x !== null &&
      builder.add({
        op: 'max-pool',
        inputs: [x],
        attrs: builder.window(builder.shapes.get(x)!, false),
      })
    );
  },
  'average-pool'(builder) {
    const x = builder.image();
    if (x === null || builder.integers) return false;
    const attrs = {
      ...builder.window(builder.shapes.get(x)!, false),
      countPadding: builder.random.chance(0.5),
    };
    return builder.add({ op: 'average-pool', inputs: [x], attrs });
  },
  concat(builder) {
    const x = builder.value(() => true);
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const fits = [...builder.shapes].filter(([, other]) => sameShape(other.slice(0, -1), shape.slice(0, -1)));
    const inputs = [x, ...Array.from({ length: builder.random.integer(1, 2) }, () => builder.random.pick(fits)[0])];
    return builder.add({ op: 'concat', inputs, attrs: { axis: shape.length - 1 } });
  },
  slice(builder) {
    const x = builder.value(() => true);
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const starts = shape.map((size, axis) => (axis === 0 ? 0 : builder.random.integer(0, size - 1)));
    const sizes = shape.map((size, axis) => (axis === 0 ? 1 : builder.random.integer(1, size - starts[axis]!)));
    return builder.add({ op: 'slice', inputs: [x], attrs: { starts, sizes, steps: shape.map(() => 1) } });
  },
  pad(builder) {
    const x = builder.image();
    if (x === null) return false;
    const amount = (): number[] => [0, builder.random.integer(0, 1), builder.random.integer(0, 1), 0];
    return builder.add({
      op: 'pad',
      inputs: [x],
      attrs: { before: amount(), after: amount(), mode: 'constant', value: 0 },
    });
  },
  resize(builder) {
    const x = builder.image();
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const attrs = {
      size: [2 * shape[1]!, 2 * shape[2]!],
      mode: 'nearest',
      coordinates: 'asymmetric',
      rounding: 'floor',
      scales: null,
    } as const;
    return builder.add({ op: 'resize', inputs: [x], attrs });
  },
  take(builder) {
    const x = builder.value(() => true);
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const axis = shape.length - 1;
    return builder.add({ op: 'take', inputs: [x], attrs: { axis, indices: builder.random.permutation(shape[axis]!) } });
  },
  identity(builder) {
    const x = builder.value(() => true);
    return x !== null && builder.add({ op: 'identity', inputs: [x], attrs: {} });
  },
  dropout(builder) {
    const x = builder.value(() => true);
    return x !== null && builder.add({ op: 'dropout', inputs: [x], attrs: { rate: 0.5 } });
  },
  reduce(builder) {
    const x = builder.image();
    if (x === null) return false;
    const name = builder.integers ? 'max' : 'mean';
    return builder.add({ op: 'reduce', inputs: [x], attrs: { function: name, axes: [1, 2], keepDims: false } });
  },
  dense(builder) {
    const x = builder.value((shape) => shape.length === 2);
    if (x === null) return false;
    const channelsIn = builder.shapes.get(x)![1]!;
    const channelsOut = builder.random.integer(1, 6);
    return builder.add({
      op: 'dense',
      inputs: [x],
      attrs: { channelsIn, channelsOut, activation: builder.activation() },
    });
  },
  transpose: randomTranspose,
  reshape(builder) {
    const x = builder.value((shape) => shape.length > 2);
    if (x === null) return false;
    const [, ...sizes] = builder.shapes.get(x)!;
    const [first = 1, second = 1, ...others] = sizes;
    const merged = [1, ...sizes.slice(0, -2), sizes.at(-2)! * sizes.at(-1)!];
    const shape = builder.random.pick([
      [1, elementCount(sizes)],
      [1, first * second, ...others],
      merged,
      ...(sizes.length < 3 && first % 2 === 0 ? [[1, 2, first / 2, second, ...others]] : []),
    ]);
    return builder.add({ op: 'reshape', inputs: [x], attrs: { shape } });
  },
  softmax(builder) {
    const x = builder.value((shape) => shape.length > 1);
    if (x === null || builder.integers) return false;
    const rank = builder.shapes.get(x)!.length;
    return builder.add({ op: 'softmax', inputs: [x], attrs: { axis: builder.random.integer(1, rank - 1) } });
  },
  constant(builder) {
    const like = builder.value((shape) => shape.length > 1);
    if (like === null) return false;
    const shape = builder.shapes.get(like)!.map((size) => (builder.random.chance(0.5) ? size : 1));
    if (!builder.add({ op: 'constant', inputs: [], attrs: { shape } })) return false;
    const constant = builder.nodes.at(-1)!.id;
    const attrs = { function: 'add', activation: builder.activation() } as const;
    return builder.add({ op: 'binary', inputs: [like, constant], attrs });
  },
  split(builder) {
    const x = builder.value((shape) => shape.length > 1 && shape.at(-1)! > 1);
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const channels = shape.at(-1)!;
    const cuts = [0, ...builder.random.subset(channels - 1, builder.random.integer(1, Math.min(2, channels - 1)))];
    const borders = [...cuts.map((cut, index) => (index === 0 ? 0 : cut + 1)), channels].sort((a, b) => a - b);
    return borders.slice(1).every((end, index) => {
      const starts = shape.map(() => 0).with(-1, borders[index]!);
      const sizes = shape.with(-1, end - borders[index]!);
      return builder.add({ op: 'slice', inputs: [x], attrs: { starts, sizes, steps: shape.map(() => 1) } });
    });
  },
  shuffle(builder) {
    const x = builder.value((shape) => shape.length > 1);
    if (x === null) return false;
    const shape = builder.shapes.get(x)!;
    const channels = shape.at(-1)!;
    const groups = builder.random.pick([2, 3, 4].filter((count) => channels % count === 0 && count < channels));
    if (groups === undefined) return false;
    const indices = Array.from(
      { length: channels },
      (_, channel) => (channel % groups) * (channels / groups) + Math.floor(channel / groups),
    );
    return builder.add({ op: 'take', inputs: [x], attrs: { axis: shape.length - 1, indices } });
  },
  'channel-pad'(builder) {
    const x = builder.image();
    if (x === null) return false;
    const amount = (): number[] => [0, 0, 0, builder.random.integer(0, 2)];
    const attrs = { before: amount(), after: amount(), mode: 'constant', value: 0 } as const;
    return builder.add({ op: 'pad', inputs: [x], attrs });
  },
};

/** Every axis but the first in another order. */
function randomTranspose(builder: RandomNetworkBuilder): boolean {
  const x = builder.value((shape) => shape.length > 2);
  if (x === null) return false;
  const rank = builder.shapes.get(x)!.length;
  const permutation = [0, ...builder.random.permutation(rank - 1).map((axis) => axis + 1)];
  return builder.add({ op: 'transpose', inputs: [x], attrs: { permutation } });
}

function perChannel(builder: RandomNetworkBuilder, op: 'batch-norm' | 'affine' | 'prelu'): boolean {
  const x = builder.image();
  if (x === null) return false;
  const channels = builder.shapes.get(x)![3]!;
  if (op === 'batch-norm') {
    const epsilon = builder.integers ? 0 : 1e-5;
    return builder.add({ op, inputs: [x], attrs: { channels, epsilon } });
  }
  return builder.add({ op, inputs: [x], attrs: { channels } });
}

/** Values of every graph input for a batch: integers from -3 to 3, or real numbers from -1 to 1. */
export function randomFeeds(
  graph: Graph,
  seed: number,
  options: { readonly integers?: boolean; readonly batch?: number } = {},
): Record<string, Float32Array> {
  const random = new Random(seed);
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => {
      const length = elementCount(shape) * (options.batch ?? 1);
      return [
        name,
        Float32Array.from({ length }, () => (options.integers ? random.integer(-3, 3) : 2 * random.uniform() - 1)),
      ];
    }),
  );
}

/**
 * A random network with its weights, from a seed: convolutions of every connectivity, residual adds, concats, strides, pools,
 * batch norms. One image in; every value that nothing reads is an output.
 */
export function randomModel(seed: number, options: RandomModelOptions = {}): Model {
  const builder = new RandomNetworkBuilder(seed, options);
  const { random } = builder;
  const shape = [1, random.integer(2, 6), random.integer(2, 6), random.pick(channelCounts)];
  builder.shapes.set('x', shape);
  const ops = options.ops ?? everyOp;
  const size = options.size ?? 8;
  for (let attempt = 0; builder.nodes.length < size && attempt < 20 * size; attempt++)
    makers[random.pick(ops)](builder);
  if (builder.nodes.length === 0) builder.add({ op: 'identity', inputs: ['x'], attrs: {} });
  const read = new Set(builder.nodes.flatMap(({ inputs }) => inputs));
  const leaves = builder.nodes.filter(({ id }) => !read.has(id));
  const graph: Graph = {
    formatVersion: '1.0',
    nodes: builder.nodes,
    inputs: [{ name: 'x', shape }],
    outputs: leaves.map(({ id }) => ({ name: `out_${id}`, value: id })),
    metadata: { name: `random-${seed}` },
  };
  return { graph, weights: mapSource(builder.tensors) };
}
