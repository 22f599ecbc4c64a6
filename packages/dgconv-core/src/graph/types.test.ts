import test from 'ava';
import { InvalidInputError } from '../errors.js';
import { isBatchable } from './batchable.js';
import { bind } from './bind.js';
import type { Graph, Node } from './graph.js';
import type { Shape } from './shape.js';
import { slotShapes } from './slots.js';
import { mapSource, storedNames } from './sources.js';
import { inferShapes } from './types.js';
import { storedWeight, takeWeight } from './weight-constructors.js';
import { type NodeFields, singleNodeModel } from '../testing/single-node.js';

const noPadding = { top: 0, bottom: 0, left: 0, right: 0 };
const graphOf = (shape: Shape, nodes: readonly Node[]): Graph => ({
  formatVersion: '1.0',
  nodes,
  inputs: [{ name: 'x', shape }],
  outputs: [{ name: 'y', value: nodes.at(-1)!.id }],
  metadata: { name: 'test' },
});
const node = (fields: Partial<Node> & Pick<Node, 'id' | 'op' | 'attrs'>): Node =>
  ({ inputs: ['x'], weights: {}, origin: [], ...fields }) as Node;
const window = {
  kernelSize: [3, 3],
  strides: [2, 2],
  dilations: [1, 1],
  padding: { ...noPadding, top: 1, left: 1 },
} as const;
const conv = node({
  id: 'conv',
  op: 'conv2d',
  attrs: {
    ...window,
    connectivity: { kind: 'learned', rule: 'dgconv', channelsOut: 8, channelsIn: 4 },
    pre: 'affine-relu',
    activation: { function: 'relu' },
  },
  weights: {
    kernel: storedWeight('w'),
    bias: storedWeight('b'),
    gates: storedWeight('g'),
    preScale: storedWeight('s'),
    preShift: storedWeight('t'),
  },
});

test('shapes follow from windows, channels and the batch', (t) => {
  const graph = graphOf(
    [1, 8, 7, 4],
    [
      conv,
      node({ id: 'flat', op: 'reshape', inputs: ['conv'], attrs: { shape: [1, 96] } }),
      node({ id: 'part', op: 'slice', inputs: ['flat'], attrs: { starts: [0, 1], sizes: [1, 5], steps: [1, 2] } }),
    ],
  );
  t.deepEqual(
    [...inferShapes(graph)],
    [
      ['x', [1, 8, 7, 4]],
      ['conv', [1, 4, 3, 8]],
      ['flat', [1, 96]],
      ['part', [1, 5]],
    ],
  );
  t.deepEqual(
    [...inferShapes(graph, { batch: 5 }).values()],
    [
      [5, 8, 7, 4],
      [5, 4, 3, 8],
      [5, 96],
      [5, 5],
    ],
  );
  t.true(isBatchable(graph));
});

test('a graph that mixes the elements of a batch is not batchable', (t) => {
  const isBatchableWith = (attrs: Node): boolean => isBatchable(graphOf([1, 4, 4, 2], [attrs]));
  t.false(isBatchableWith(node({ id: 'y', op: 'transpose', attrs: { permutation: [1, 0, 2, 3] } })));
  t.true(isBatchableWith(node({ id: 'y', op: 'transpose', attrs: { permutation: [0, 3, 1, 2] } })));
  t.false(isBatchableWith(node({ id: 'y', op: 'reshape', attrs: { shape: [4, 8] } })));
  t.false(isBatchableWith(node({ id: 'y', op: 'softmax', attrs: { axis: 0 } })));
  t.false(isBatchableWith(node({ id: 'y', op: 'reduce', attrs: { function: 'mean', axes: [0, 1], keepDims: true } })));
  t.false(isBatchable(graphOf([2, 4], [node({ id: 'y', op: 'identity', attrs: {} })])));
});

test('operations of two values keep a batch only where both sides agree on it', (t) => {
  const isBatchableWith = (
    shapes: readonly Shape[],
    fields: NodeFields,
    constants: readonly string[] = [],
  ): boolean => {
    const { graph } = singleNodeModel(shapes, fields);
    const made = graph.inputs
      .filter(({ name }) => constants.includes(name))
      .map(({ name, shape }) =>
        node({ id: name, op: 'constant', inputs: [], attrs: { shape }, weights: { value: storedWeight(name) } }),
      );
    const inputs = graph.inputs.filter(({ name }) => !constants.includes(name));
    return isBatchable({ ...graph, inputs, nodes: [...made, ...graph.nodes] });
  };
  const add: NodeFields = { op: 'binary', attrs: { function: 'add', activation: { function: 'identity' } } };
  t.true(
    isBatchableWith(
      [
        [1, 4],
        [1, 4],
      ],
      add,
    ),
  );
  t.false(
    isBatchableWith(
      [
        [1, 4],
        [1, 2, 4],
      ],
      add,
    ),
  );
  t.true(isBatchableWith([[1, 4], [4]], add, ['b']));
  t.true(
    isBatchableWith(
      [
        [1, 4],
        [1, 4],
      ],
      add,
      ['b'],
    ),
  );
  t.false(
    isBatchableWith(
      [
        [1, 4],
        [3, 4],
      ],
      add,
      ['b'],
    ),
  );
  const matmul: NodeFields = { op: 'matmul', attrs: {} };
  t.false(
    isBatchableWith(
      [
        [1, 4],
        [4, 2],
      ],
      matmul,
    ),
    'an input whose first dimension is 4 has no batch',
  );
  t.true(
    isBatchableWith(
      [
        [1, 4],
        [4, 2],
      ],
      matmul,
      ['b'],
    ),
  );
  t.false(
    isBatchableWith(
      [
        [4, 1],
        [1, 2],
      ],
      matmul,
      ['a'],
    ),
  );
  t.true(
    isBatchableWith(
      [
        [1, 3, 4],
        [1, 4, 2],
      ],
      matmul,
    ),
  );
  t.true(
    isBatchableWith(
      [
        [1, 3, 4],
        [4, 2],
      ],
      matmul,
      ['b'],
    ),
  );
  t.false(
    isBatchableWith(
      [
        [1, 3, 4],
        [2, 4, 2],
      ],
      matmul,
      ['b'],
    ),
  );
  const concat: NodeFields = { op: 'concat', attrs: { axis: 1 } };
  t.true(
    isBatchableWith(
      [
        [1, 4],
        [1, 4],
      ],
      concat,
    ),
  );
  t.false(
    isBatchableWith(
      [
        [1, 4],
        [1, 4],
      ],
      concat,
      ['b'],
    ),
  );
  t.false(isBatchableWith([[1, 4]], { op: 'identity', attrs: {} }, ['a']), 'an output that is constant');
});

test('impossible shapes are refused by node, with the values', (t) => {
  const refused = (shape: Shape, nodes: readonly Node[], message: string): void => {
    t.throws(() => inferShapes(graphOf(shape, nodes)), { instanceOf: InvalidInputError, message });
  };
  refused([1, 8, 8, 3], [conv], "node 'conv' (conv2d): the input has shape [1, 8, 8, 3], the node needs 4 channels");
  refused([1, 1, 8, 4], [conv], "node 'conv' (conv2d): a window of 3×3 pixels does not fit into 2×9 padded pixels");
  refused([1, 4], [conv], "node 'conv' (conv2d): the input has shape [1, 4], it must have rank 4");
  refused(
    [1, 4],
    [node({ id: 'y', op: 'binary', inputs: ['x'], attrs: { function: 'add', activation: { function: 'identity' } } })],
    "node 'y' (binary) has 1 inputs: 2 are needed",
  );
  refused(
    [1, 4],
    [node({ id: 'y', op: 'identity', inputs: ['z'], attrs: {} })],
    "node 'y' (identity) reads 'z', which no earlier node computes",
  );
  refused(
    [1, 4],
    [node({ id: 'y', op: 'take', attrs: { axis: 1, indices: [4] } })],
    "node 'y' (take): index 4 along axis 1 of shape [1, 4]",
  );
});

test('binding names the tensors that are missing and the slot that is misshapen', (t) => {
  t.deepEqual(slotShapes(conv), { kernel: [8, 4, 3, 3], bias: [8], preScale: [4], preShift: [4], gates: [2] });
  const graph = graphOf([1, 8, 8, 4], [conv]);
  t.deepEqual(storedNames(graph), ['w', 'b', 'g', 's', 't']);
  const tensor = (...shape: number[]) => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b)) });
  const tensors = new Map([
    ['w', tensor(8, 4, 3, 3)],
    ['b', tensor(8)],
    ['g', tensor(2)],
    ['s', tensor(4)],
    ['t', tensor(4)],
  ]);
  t.is(bind(graph, mapSource(tensors)).graph, graph);
  t.throws(() => bind(graph, mapSource(new Map([...tensors, ['g', tensor(3)]]))), {
    instanceOf: InvalidInputError,
    message: "node 'conv', slot 'gates': tensor 'g' has shape [3], the node needs [2]",
  });
  t.throws(() => bind(graph, mapSource(new Map([['w', tensor(1)]]))), {
    message: "4 tensors are missing: 'b', 'g', 's', 't'",
  });
  const taken = { ...conv.weights, bias: takeWeight(storedWeight('b'), 0, [9], 8) };
  const broken = graphOf([1, 8, 8, 4], [{ ...conv, weights: taken } as Node]);
  t.throws(() => bind(broken, mapSource(tensors)), {
    message: "node 'conv', slot 'bias': take of index 9 along axis 0 of a weight of shape [8]",
  });
});
