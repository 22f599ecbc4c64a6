import {
  type Activation,
  type AttrsByOp,
  type Graph,
  literalWeight,
  mapSource,
  Mask,
  type Model,
  type Node,
  type OpKind,
  type RandomSource,
  recogniseGrouping,
  type Shape,
  slotsOf,
  type StoredTensor,
  type Weight,
  type WeightsByOp,
} from '@dgconv/core';

type Fields = {
  [K in OpKind]: { op: K; shapes: Shape[]; attrs: AttrsByOp[K]; weights?: Partial<WeightsByOp[K]> };
}[OpKind];

const window = (r: RandomSource) => ({
  kernelSize: [1 + r.below(3), 1 + r.below(3)] as const,
  strides: [1 + r.below(2), 1 + r.below(2)] as const,
  dilations: [1 + r.below(2), 1 + r.below(2)] as const,
  padding: { top: r.below(2), bottom: r.below(2), left: r.below(2), right: r.below(2) },
});

const pooling = (r: RandomSource) => ({
  kernelSize: [2, 2 + r.below(2)] as const,
  strides: [1 + r.below(2), 1 + r.below(2)] as const,
  dilations: r.below(3) === 0 ? ([2, 1] as const) : ([1, 1] as const),
  padding: { top: r.below(2), bottom: r.below(2), left: r.below(2), right: r.below(2) },
});

/** Functions of any number. */
export const activations: readonly Activation[] = [
  ...(['identity', 'relu', 'relu6', 'sigmoid', 'hard-swish', 'swish', 'tanh', 'exp', 'abs', 'negate', 'gelu'] as const),
  ...(['softplus', 'erf', 'floor', 'ceil'] as const),
].map((name): Activation => ({ function: name }));
const parametric: readonly Activation[] = [
  { function: 'leaky-relu', alpha: 0.1 },
  { function: 'elu', alpha: 0.7 },
  { function: 'clip', alpha: -0.5, beta: 0.8 },
  { function: 'hard-sigmoid', alpha: 0.2, beta: 0.5 },
];
/** Functions of positive numbers. */
export const positive: readonly Activation[] = (['sqrt', 'log', 'reciprocal'] as const).map((name) => ({
  function: name,
}));
const anyActivation = (r: RandomSource): Activation => pick(r, [...activations.slice(0, 13), ...parametric]);

/** One of some values. */
export function pick<Value>(r: RandomSource, values: readonly Value[]): Value {
  return values[r.below(values.length)]!;
}

const randomMask = (r: RandomSource, rows: number, cols: number) =>
  Mask.fromFunction(rows, cols, () => r.below(2) === 1);

/** A 0/1 mask of each kind that `recogniseGrouping` knows. */
const structuredMasks: readonly ((r: RandomSource) => Mask)[] = [
  () => Mask.ones(4, 6),
  () => Mask.fromFunction(4, 6, (o, i) => o % 2 === i % 2),
  () => Mask.fromSupports(5, [[0], [1, 2, 4], [1, 2, 4], [0], [3]]),
  () =>
    Mask.fromSupports(4, [
      [0, 1],
      [1, 2],
      [0, 1],
      [1, 2],
    ]),
  () =>
    Mask.fromSupports(4, [
      [0, 1],
      [1, 2],
      [0, 1],
      [1, 2],
    ]).transpose(),
  (r) => randomMask(r, 5, 4),
];

/** A random node of every op. */
export const cases: { readonly [K in OpKind]: (r: RandomSource) => Extract<Fields, { op: K }> } = {
  conv2d(r) {
    const mask = pick(r, structuredMasks)(r);
    const grouping = recogniseGrouping(mask);
    const learned = [
      { kind: 'learned', rule: 'dgconv' },
      { kind: 'learned', rule: 'flgc', groups: 3 },
      { kind: 'learned', rule: 'condense', groups: 2, condenseFactor: 2 },
    ] as const;
    const { channelsOut, channelsIn } = grouping;
    const connectivity = pick(r, [
      grouping,
      grouping,
      grouping,
      { kind: 'masked', channelsOut, channelsIn, mask } as const,
      ...learned.map((rule) => ({ ...rule, channelsOut, channelsIn })),
    ]);
    const isCondensed = connectivity.kind === 'learned' && connectivity.rule === 'condense';
    return {
      op: 'conv2d',
      shapes: [[1, 6, 5, channelsIn]],
      attrs: { ...window(r), connectivity, pre: pick(r, ['none', 'affine-relu']), activation: anyActivation(r) },
      ...(isCondensed && { weights: { mask: maskWeight(mask) } }),
    };
  },
  'conv2d-transpose': (r) => {
    const groups = 1 + r.below(2);
    const strides = [1 + r.below(2), 1 + r.below(2)] as const;
    return {
      op: 'conv2d-transpose',
      shapes: [[1, 4, 3, 2 * groups]],
      attrs: {
        ...window(r),
        kernelSize: [3, 2 + r.below(2)],
        strides,
        channelsIn: 2 * groups,
        channelsOut: 3 * groups,
        groups,
        outputPadding: [r.below(strides[0]), r.below(strides[1])],
        activation: anyActivation(r),
      },
    };
  },
  dense: (r) => ({
    op: 'dense',
    shapes: [[1, 4]],
    attrs: { channelsIn: 4, channelsOut: 3, activation: anyActivation(r) },
  }),
  matmul: (r) => ({
    op: 'matmul',
    shapes: pick(r, [
      [
        [1, 3, 4],
        [1, 4, 2],
      ],
      [
        [1, 2, 3, 4],
        [1, 2, 4, 2],
      ],
    ]),
    attrs: {},
  }),
  'batch-norm': (r) => ({
    op: 'batch-norm',
    shapes: pick(r, [[[1, 3, 2, 4]], [[1, 4]]]),
    attrs: { channels: 4, epsilon: 1e-3 },
  }),
  affine: () => ({ op: 'affine', shapes: [[1, 2, 3, 4]], attrs: { channels: 4 } }),
  activation: (r) => ({
    op: 'activation',
    shapes: [[1, 3, 2, 4]],
    attrs: { activation: pick(r, [...activations, ...parametric]) },
  }),
  prelu: () => ({ op: 'prelu', shapes: [[1, 2, 3, 4]], attrs: { channels: 4 } }),
  binary: (r) => ({
    op: 'binary',
    shapes: pick(r, [
      [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
      [
        [1, 2, 3, 4],
        [1, 1, 1, 4],
      ],
      [
        [1, 4],
        [1, 1],
      ],
    ]),
    attrs: {
      function: pick(r, ['add', 'subtract', 'multiply', 'maximum', 'minimum']),
      activation: anyActivation(r),
    },
  }),
  constant: () => ({ op: 'constant', shapes: [[1, 2]], attrs: { shape: [2, 3] } }),
  softmax: (r) => ({ op: 'softmax', shapes: [[1, 3, 2, 4]], attrs: { axis: 1 + r.below(3) } }),
  'max-pool': (r) => ({ op: 'max-pool', shapes: [[1, 6, 7, 3]], attrs: pooling(r) }),
  'average-pool': (r) => ({
    op: 'average-pool',
    shapes: [[1, 6, 7, 3]],
    attrs: { ...pooling(r), countPadding: r.below(2) === 0 },
  }),
  reduce: (r) => ({
    op: 'reduce',
    shapes: [[1, 3, 2, 4]],
    attrs: {
      function: pick(r, ['mean', 'sum', 'max', 'min']),
      axes: pick(r, [[1, 2], [3], [1, 2, 3], [2]]),
      keepDims: r.below(2) === 0,
    },
  }),
  concat: (r) => ({
    op: 'concat',
    shapes: [
      [1, 3, 2, 4],
      [1, 3, 2, 4],
    ],
    attrs: { axis: 1 + r.below(3) },
  }),
  slice: (r) => ({
    op: 'slice',
    shapes: [[1, 5, 6, 4]],
    attrs: pick(r, [
      { starts: [0, 1, 0, 2], sizes: [1, 3, 6, 2], steps: [1, 1, 1, 1] },
      { starts: [0, 4, 1, 3], sizes: [1, 3, 2, 2], steps: [1, -2, 3, -1] },
    ]),
  }),
  pad: (r) => ({
    op: 'pad',
    shapes: [[1, 4, 3, 2]],
    attrs: { before: [0, 2, 1, 1], after: [0, 1, 2, 0], mode: pick(r, ['constant', 'reflect', 'edge']), value: -0.5 },
  }),
  resize: (r) => ({
    op: 'resize',
    shapes: [[1, 4, 3, 2]],
    attrs: {
      size: [1 + r.below(9), 1 + r.below(7)],
      mode: pick(r, ['nearest', 'linear']),
      coordinates: pick(r, ['half-pixel', 'pytorch-half-pixel', 'align-corners', 'asymmetric']),
      rounding: pick(r, ['round-prefer-floor', 'round-prefer-ceil', 'floor', 'ceil']),
      scales: pick(r, [null, [0.5, 0.7]]),
    },
  }),
  transpose: (r) => ({
    op: 'transpose',
    shapes: [[1, 3, 2, 4]],
    attrs: {
      permutation: pick(r, [
        [0, 3, 1, 2],
        [0, 2, 1, 3],
      ]),
    },
  }),
  reshape: (r) => ({
    op: 'reshape',
    shapes: [[1, 3, 2, 4]],
    attrs: {
      shape: pick(r, [
        [1, 24],
        [1, 4, 6],
      ]),
    },
  }),
  take: (r) => ({ op: 'take', shapes: [[1, 3, 2, 4]], attrs: { axis: 1 + r.below(3), indices: [1, 0, 1] } }),
  identity: () => ({ op: 'identity', shapes: [[1, 3]], attrs: {} }),
  dropout: () => ({ op: 'dropout', shapes: [[1, 3]], attrs: { rate: 0.5 } }),
};

function maskWeight(mask: Mask): Weight {
  const values = Array.from({ length: mask.rows * mask.cols }, (_, at) =>
    mask.get(Math.floor(at / mask.cols), at % mask.cols),
  );
  return literalWeight([mask.rows, mask.cols, 1, 1], values);
}

/** A graph of one node, its slots filled with random stored tensors. */
export function randomModel(kind: OpKind, r: RandomSource): Model {
  const { op, shapes, attrs, weights = {} } = (cases[kind] as (r: RandomSource) => Fields)(r);
  const names = shapes.map((_, index) => `input${index}`);
  const bare = {
    id: 'node',
    op,
    inputs: op === 'constant' ? [] : names,
    attrs,
    weights: {},
    origin: [],
  } as unknown as Node;
  const tensors = new Map<string, StoredTensor>();
  const slots: Record<string, Weight> = { ...(weights as Record<string, Weight>) };
  for (const { name, shape, isOptional } of slotsOf(bare)) {
    if (slots[name] || (isOptional && r.below(2) === 0)) continue;
    const values = randomValues(
      r,
      shape.reduce((product, size) => product * size, 1),
      name === 'variance',
    );
    tensors.set(name, { shape, values });
    slots[name] = { kind: 'stored', name };
  }
  const graph: Graph = {
    formatVersion: '1.0',
    nodes: [{ ...bare, weights: slots } as Node],
    inputs: shapes.map((shape, index) => ({ name: names[index]!, shape })),
    outputs: [{ name: 'y', value: 'node' }],
    metadata: { name: kind },
  };
  return { graph, weights: mapSource(tensors) };
}

/** Standard normal, or uniform in [0.5, 1.5). */
export function randomValues(r: RandomSource, length: number, isPositive = false): Float32Array {
  return Float32Array.from({ length }, () => (isPositive ? 0.5 + r.uniform() : r.normal()));
}
