import {
  type Connectivity,
  type Graph,
  inferShapes,
  interpret,
  Mask,
  mapSource,
  type Model,
  type Node,
  type StoredTensor,
} from '@dgconv/core';
import { randomFeeds, randomModel } from '@dgconv/core/testing';
import test from 'ava';
import fc from 'fast-check';
import { foldBatchNorm } from './fold-batch-norm.js';
import { hardenGates } from './harden-gates.js';
import { recogniseGroups } from './recognise-groups.js';
import { removeDeadChannels } from './remove-dead-channels.js';

function explicit(model: Model): Model {
  return [hardenGates, foldBatchNorm, recogniseGroups].reduce((current, pass) => pass.run(current), model);
}

test('random networks compute the same without their dead channels, to the bit on integers', (t) => {
  let removed = 0;
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 14 }), (seed, size) => {
      const source = explicit(randomModel(seed, { size, integers: true }));
      const result = removeDeadChannels.run(source);
      const feeds = randomFeeds(source.graph, seed, { integers: true });
      t.deepEqual(interpret(result, feeds), interpret(source, feeds));
      const count = (model: Model): number =>
        [...inferShapes(model.graph).values()].reduce((sum, shape) => sum + shape.at(-1)!, 0);
      removed += count(source) - count(result);
    }),
    { numRuns: 400, seed: 1 },
  );
  t.true(removed > 50, `${removed} channels were removed`);
});

const dense = { kind: 'dense', channelsOut: 3, channelsIn: 4, groups: 1 } as const;

/** x [1,4,4,2] → masked 1×1 with outputs 1 and 3 of 4 connected to nothing → ReLU → a 3×3 convolution with or without padding. */
function withZeroRows(padding: number, connectivity: Connectivity = dense): Model {
  const tensors = new Map<string, StoredTensor>();
  const stored = (name: string, shape: readonly number[]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { shape, values: Float32Array.from({ length: count }, (_, index) => (index % 5) + 1) });
    return { kind: 'stored', name } as const;
  };
  const window = (size: number, pad: number) => ({
    kernelSize: [size, size] as const,
    strides: [1, 1] as const,
    dilations: [1, 1] as const,
    padding: { top: pad, bottom: pad, left: pad, right: pad },
    pre: 'none' as const,
    activation: { function: 'identity' as const },
  });
  const mask = Mask.fromRows([
    [1, 1],
    [0, 0],
    [1, 0],
    [0, 0],
  ]);
  const nodes: Node[] = [
    {
      id: 'a',
      op: 'conv2d',
      inputs: ['x'],
      attrs: { ...window(1, 0), connectivity: { kind: 'masked', channelsOut: 4, channelsIn: 2, mask } },
      weights: {
        kernel: stored('a.kernel', [4, 2, 1, 1]),
        bias: { kind: 'literal', shape: [4], values: [1, 2, 3, -4] },
      },
      origin: ['a'],
    },
    { id: 'r', op: 'activation', inputs: ['a'], attrs: { activation: { function: 'relu' } }, weights: {}, origin: [] },
    {
      id: 'b',
      op: 'conv2d',
      inputs: ['r'],
      attrs: { ...window(3, padding), connectivity },
      weights: { kernel: stored('b.kernel', [3, 4, 3, 3]) },
      origin: ['b'],
    },
  ];
  return {
    graph: {
      formatVersion: '1.0',
      nodes,
      inputs: [{ name: 'x', shape: [1, 4, 4, 2] }],
      outputs: [{ name: 'y', value: 'b' }],
      metadata: { name: 'zero rows' },
    },
    weights: mapSource(tensors),
  };
}

test('a constant channel moves into the bias of an unpadded reader and stays before a padded one unless it is zero', (t) => {
  for (const [padding, kept] of [
    [0, 2],
    [1, 3],
  ] as const) {
    const source = withZeroRows(padding);
    const result = removeDeadChannels.run(explicit(source));
    t.is(inferShapes(result.graph).get('r')!.at(-1), kept, `padding ${padding}`);
    const feeds = randomFeeds(source.graph, 3, { integers: true });
    t.deepEqual(interpret(result, feeds), interpret(source, feeds));
  }
});

test('constants pass a convolution whose mask is not recognised yet', (t) => {
  const mask = Mask.fromRows([
    [0, 1, 0, 1],
    [1, 0, 1, 0],
    [0, 1, 0, 0],
  ]);
  const source = withZeroRows(0, { kind: 'masked', channelsOut: 3, channelsIn: 4, mask });
  const result = removeDeadChannels.run(source);
  const feeds = randomFeeds(source.graph, 3, { integers: true });
  t.deepEqual(interpret(result, feeds), interpret(source, feeds));
});

test('a single number that is reshaped to a single number stays one', (t) => {
  const node = { weights: {}, origin: [] };
  const graph: Graph = {
    formatVersion: '1.0',
    inputs: [{ name: 'x', shape: [1, 3] }],
    nodes: [
      { ...node, id: 'sum', op: 'reduce', inputs: ['x'], attrs: { function: 'sum', axes: [0, 1], keepDims: false } },
      { ...node, id: 'y', op: 'reshape', inputs: ['sum'], attrs: { shape: [] } },
    ],
    outputs: [{ name: 'y', value: 'y' }],
    metadata: { name: 'sum' },
  };
  const result = removeDeadChannels.run({ graph, weights: mapSource(new Map()) });
  t.deepEqual([...interpret(result, { x: [1, 2, 4] })['y']!], [7]);
});
