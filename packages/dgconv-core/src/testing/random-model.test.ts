import test from 'ava';
import { isBatchable } from '../graph/batchable.js';
import { bind } from '../graph/bind.js';
import { encodeGraph } from '../graph/graph-json.js';
import { interpret } from '../graph/interpret.js';
import { verifyGraph } from '../graph/verify.js';
import { connectivityChoices } from './random-connectivity.js';
import { randomFeeds, randomModel, structuralParts } from './random-model.js';

const seeds = Array.from({ length: 150 }, (_, seed) => seed);

test('random models are well formed, bound, batchable and the same for the same seed', (t) => {
  for (const seed of seeds) {
    const { graph, weights } = randomModel(seed);
    t.notThrows(() => verifyGraph(graph));
    t.is(bind(graph, weights).graph, graph);
    t.true(isBatchable(graph));
    t.is(encodeGraph(randomModel(seed).graph), encodeGraph(graph));
  }
});

test('random models have convolutions of every connectivity, residuals and concats', (t) => {
  const seen = new Set<string>();
  for (const seed of seeds)
    for (const node of randomModel(seed, { size: 12 }).graph.nodes) {
      seen.add(node.op);
      if (node.op !== 'conv2d') continue;
      const { connectivity } = node.attrs;
      seen.add(connectivity.kind === 'learned' ? connectivity.rule : connectivity.kind);
      if (node.inputs.length === 2) seen.add('residual');
      if (node.attrs.strides[0] === 2) seen.add('strided');
    }
  const others = [
    'residual',
    'strided',
    'concat',
    'batch-norm',
    'max-pool',
    'average-pool',
    'conv2d-transpose',
    'reduce',
  ];
  for (const what of [...connectivityChoices, ...others]) t.true(seen.has(what), what);
});

test('random models of structural parts are well formed, and have splits, shuffles, transposes and padded channels', (t) => {
  const seen = new Set<string>();
  for (const seed of seeds) {
    const { graph } = randomModel(seed, { size: 20, ops: structuralParts });
    t.notThrows(() => verifyGraph(graph));
    for (const node of graph.nodes) {
      seen.add(node.op);
      if (node.op === 'pad' && node.attrs.before[3]! + node.attrs.after[3]! > 0) seen.add('channel-pad');
    }
  }
  for (const what of ['slice', 'take', 'transpose', 'reshape', 'softmax', 'constant', 'channel-pad'])
    t.true(seen.has(what), what);
});

test('integer models compute what float32 can hold exactly', (t) => {
  for (const seed of seeds) {
    const model = randomModel(seed, { integers: true });
    const outputs = interpret(model, randomFeeds(model.graph, seed, { integers: true }));
    for (const values of Object.values(outputs))
      for (const value of values)
        if (Math.fround(value) !== value || Math.abs(value) > 2 ** 20) t.fail(`seed ${seed}: ${value}`);
  }
  t.pass();
});

test('a batch is computed element by element', (t) => {
  for (const seed of seeds.slice(0, 40)) {
    const model = randomModel(seed);
    const feeds = randomFeeds(model.graph, seed, { batch: 2 });
    const both = interpret(model, feeds, { batch: 2 });
    const half = feeds.x!.length / 2;
    const apart = [0, 1].map((n) => interpret(model, { x: feeds.x!.subarray(n * half, (n + 1) * half) }));
    for (const [name, values] of Object.entries(both))
      t.deepEqual([...values], [...apart[0]![name]!, ...apart[1]![name]!]);
  }
});
