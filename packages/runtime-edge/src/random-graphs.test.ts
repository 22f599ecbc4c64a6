import { type Graph, interpret, mapSource } from '@dgconv/core';
import test from 'ava';
import { decodeEdge } from './edge-decode.js';
import { encodeEdge } from './edge-encode.js';
import { nativeInstructionSets } from './engine-native.js';
import { EdgeSession, type SessionOptions } from './session.js';
import { testEngines } from './testing/engines.js';
import { RandomModel } from './testing/random-model.js';

const seeds = Array.from({ length: 150 }, (_, seed) => seed);

const variants: readonly SessionOptions[] = testEngines.flatMap((engine): SessionOptions[] =>
  engine === 'native'
    ? [{ engine }, { engine, threads: 2 }, ...nativeInstructionSets().map((isa) => ({ engine, isa }))]
    : [{ engine }],
);

for (const options of variants) {
  test(`random networks of small integers agree with the interpreter to the bit on ${JSON.stringify(options)}`, async (t) => {
    for (const seed of seeds) {
      const random = new RandomModel({ seed, nodes: 1 + (seed % 9), exact: true });
      const batch = 1 + (seed % 3);
      const feeds = random.feeds(batch);
      const expected = interpret(random.model, feeds, { batch });
      if (Object.values(expected).some((values) => values.some((value) => Math.abs(value) > 2 ** 23))) continue;
      const session = await EdgeSession.load(encodeEdge(random.model), { ...options, maxBatch: 3 });
      const outputs = session.run(feeds);
      for (const [name, values] of Object.entries(expected))
        if (!t.deepEqual([...outputs[name]!], [...Float32Array.from(values)], `seed ${seed}, output ${name}`)) return;
      session.dispose();
    }
  });
}

for (const engine of testEngines) {
  test(`random networks of floats agree with the interpreter within rounding on ${engine}`, async (t) => {
    for (const seed of seeds) {
      const random = new RandomModel({ seed, nodes: 1 + (seed % 7), exact: false });
      const feeds = random.feeds(1);
      const expected = interpret(random.model, feeds);
      const session = await EdgeSession.load(encodeEdge(random.model), { engine });
      const outputs = session.run(feeds);
      for (const [name, values] of Object.entries(expected)) {
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        const error = values.reduce(
          (most, value, index) => Math.max(most, Math.abs(value - outputs[name]![index]!)),
          0,
        );
        t.true(error <= 1e-5 * largest, `seed ${seed}, output ${name}: ${error} of ${largest}`);
      }
      session.dispose();
    }
  });
}

test('results do not depend on the number of threads, to the bit', async (t) => {
  for (const engine of testEngines)
    for (const seed of seeds.slice(0, 60)) {
      const random = new RandomModel({ seed, nodes: 8, exact: false });
      const feeds = random.feeds(2);
      const bytes = encodeEdge(random.model);
      const results = await Promise.all(
        [1, 2, 3].map(async (threads) => {
          const session = await EdgeSession.load(bytes, { engine, threads, maxBatch: 2 });
          const outputs = session.run(feeds);
          session.dispose();
          return outputs;
        }),
      );
      t.deepEqual(results[1], results[0]);
      t.deepEqual(results[2], results[0]);
    }
});

test('a decoded network is the encoded one: its file is the same, its meaning too', (t) => {
  for (const seed of seeds) {
    const random = new RandomModel({ seed, nodes: 6, exact: true });
    const bytes = encodeEdge(random.model);
    const decoded = decodeEdge(bytes);
    t.deepEqual(Buffer.from(encodeEdge(decoded)), Buffer.from(bytes));
    const feeds = random.feeds(1);
    t.deepEqual(interpret(decoded, feeds), interpret(random.model, feeds));
  }
});

test('an operand whose first dimension is 1 is repeated along it, also where that dimension could be a batch', async (t) => {
  const x = { name: 'x', shape: [3, 4] };
  const node = { weights: {}, origin: [] };
  const nodes = [
    { ...node, id: 'mean', op: 'reduce', inputs: ['x'], attrs: { function: 'mean', axes: [0], keepDims: true } },
    {
      ...node,
      id: 'y',
      op: 'binary',
      inputs: ['x', 'mean'],
      attrs: { function: 'subtract', activation: { function: 'identity' } },
    },
  ] as const;
  const outputs = [{ name: 'y', value: 'y' }];
  const graph: Graph = { formatVersion: '1.0', nodes, inputs: [x], outputs, metadata: { name: 'centre' } };
  for (const engine of testEngines) {
    const session = await EdgeSession.load(encodeEdge({ graph, weights: mapSource(new Map()) }), { engine });
    const { y } = session.run({ x: Float32Array.from([1, 2, 3, 4, 3, 2, 1, 0, 2, 8, 5, 5]) });
    t.deepEqual([...y!], [-1, -2, 0, 1, 1, -2, -2, -3, 0, 4, 2, 2]);
    session.dispose();
  }
});
