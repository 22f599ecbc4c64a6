import { type Graph, GraphBuilder, initialWeights, interpret, mapSource, type Model } from '@dgconv/core';
import test from 'ava';
import { encodeEdge } from './edge-encode.js';
import { nativeInstructionSets } from './engine-native.js';
import { EdgeSession, type SessionOptions } from './session.js';
import { testEngines } from './testing/engines.js';

const engines: readonly SessionOptions[] = testEngines.flatMap((engine): SessionOptions[] =>
  engine === 'native'
    ? [{ engine, threads: 2 }, ...nativeInstructionSets().map((isa) => ({ engine, isa }))]
    : [{ engine }],
);

/** Weights of small integers, so that every engine agrees with the interpreter to the bit. */
function withIntegers(graph: Graph): Model {
  const weights = initialWeights(graph, 5);
  return {
    graph,
    weights: mapSource(
      new Map(
        [...weights].map(([name, { shape, values }]) => [name, { shape, values: values.map((v) => Math.round(v)) }]),
      ),
    ),
  };
}

/** Dense blocks: each layer reads what all before it wrote, concatenated again and again; then a pooled transition. */
function denseBlocks(growth: readonly number[]): Graph {
  const builder = new GraphBuilder({ name: 'dense blocks' });
  let value = builder.conv('stem', builder.input('x', [1, 9, 7, 3]), { channelsOut: 5, kernelSize: 3 });
  for (const block of [0, 1]) {
    for (const [layer, channelsOut] of growth.entries()) {
      const id = `block${block}.${layer}`;
      const wide = builder.conv(`${id}.wide`, value, { channelsOut: 8, kernelSize: 1 });
      const narrow = builder.conv(`${id}.narrow`, wide, { channelsOut, kernelSize: 3 });
      value = builder.concatChannels(`${id}.concat`, [value, narrow]);
    }
    if (block === 0) value = builder.maxPool('transition', value, { kernelSize: 3, stride: 2, padding: 1 });
  }
  return builder.build([
    { name: 'y', value: builder.relu('last', value) },
    { name: 'mean', value: builder.globalAveragePool('pool', value) },
  ]);
}

for (const options of engines) {
  test(`dense blocks concatenate without copies and to the bit, in any batch, on ${JSON.stringify(options)}`, async (t) => {
    for (const growth of [
      [1, 2, 3],
      [4, 16],
      [17, 1, 7],
    ]) {
      const model = withIntegers(denseBlocks(growth));
      const session = await EdgeSession.load(encodeEdge(model), { ...options, maxBatch: 3 });
      t.deepEqual(
        session.plan().steps.filter(({ step }) => step === 'copy'),
        [],
      );
      for (const batch of [3, 1]) {
        const feeds = { x: Float32Array.from({ length: batch * 9 * 7 * 3 }, (_, index) => ((index * 7) % 5) - 2) };
        const expected = interpret(model, feeds, { batch });
        t.true(Object.values(expected).every((values) => values.every((value) => Math.abs(value) < 2 ** 23)));
        t.deepEqual([...session.run(feeds)['y']!], [...expected['y']!]);
      }
      session.dispose();
    }
  });

  test(`what cannot be written in place is copied: inputs, outputs, the same value twice, on ${JSON.stringify(options)}`, async (t) => {
    const builder = new GraphBuilder({ name: 'parts' });
    const x = builder.input('x', [1, 2, 3, 2]);
    const a = builder.relu('a', x);
    const b = builder.add('b', a, x);
    const c = builder.conv('c', a, { channelsOut: 3, kernelSize: 1 });
    const d = builder.relu('d', builder.concatChannels('twice', [c, c, x, b]));
    const e = builder.concatChannels('again', [d, c, a]);
    const graph = builder.build([
      { name: 'a', value: a },
      { name: 'c', value: c },
      { name: 'e', value: builder.concatChannels('twofold', [e, builder.relu('f', e)]) },
      { name: 'one', value: builder.concatChannels('one', [builder.relu('g', b)]) },
    ]);
    const model = withIntegers(graph);
    const session = await EdgeSession.load(encodeEdge(model), { ...options, maxBatch: 2 });
    for (const batch of [2, 1]) {
      const feeds = { x: Float32Array.from({ length: batch * 12 }, (_, index) => (index % 7) - 3) };
      const results = session.run(feeds);
      for (const [name, values] of Object.entries(interpret(model, feeds, { batch })))
        t.deepEqual([...results[name]!], [...values], name);
    }
    session.dispose();
  });
}
