import { GraphBuilder, InvalidInputError, mapSource, UsageError } from '@dgconv/core';
import test from 'ava';
import { encodeEdge } from './edge-encode.js';
import { pageOffset } from './engine-native.js';
import { EdgeSession } from './session.js';
import { testEngines } from './testing/engines.js';

/** sum = a + b and difference = a - b, on [1, 3]. */
function bytesOfModel(): Uint8Array {
  const builder = new GraphBuilder({ name: 'two' });
  const a = builder.input('a', [1, 3]);
  const b = builder.input('b', [1, 3]);
  const graph = builder.build([
    { name: 'sum', value: builder.add('sum', a, b) },
    { name: 'difference', value: builder.binary('difference', a, b, 'subtract') },
  ]);
  return encodeEdge({ graph, weights: mapSource(new Map()) });
}

const bytes = bytesOfModel();
const valuesOf = (batch: number) => ({
  a: Float32Array.from({ length: 3 * batch }, (_, index) => 10 * index),
  b: Float32Array.from({ length: 3 * batch }, (_, index) => index + 1),
});
const expected = (batch: number) => {
  const { a, b } = valuesOf(batch);
  return { sum: a.map((value, index) => value + b[index]!), difference: a.map((value, index) => value - b[index]!) };
};

for (const engine of testEngines) {
  test(`a session's own arrays may be mixed with others and hold any batch on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, maxBatch: 3 });
    for (const batch of [3, 1, 2]) {
      const { inputs, outputs } = session.buffers(batch);
      const { a, b } = valuesOf(batch);
      const fill = (): void => {
        inputs['a']!.set(a);
        inputs['b']!.set(b);
        for (const values of Object.values(outputs)) values.fill(NaN);
      };
      fill();
      t.is(session.run(inputs, outputs)['sum'], outputs['sum']);
      t.deepEqual(outputs, expected(batch));
      fill();
      t.deepEqual(session.run(inputs), expected(batch));
      fill();
      t.deepEqual(session.run({ a: inputs['a']!, b }, { sum: outputs['sum']! }), expected(batch));
      fill();
      session.run({ a, b }, outputs);
      t.deepEqual(outputs, expected(batch));
      fill();
      await session.runAsync(inputs, outputs);
      t.deepEqual(outputs, expected(batch));
    }
    session.dispose();
  });

  test(`every call gives the same memory on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, maxBatch: 2 });
    const once = session.buffers(2);
    const again = session.buffers();
    for (const name of ['a', 'b']) {
      t.is(again.inputs[name]!.buffer, once.inputs[name]!.buffer);
      t.is(again.inputs[name]!.byteOffset, once.inputs[name]!.byteOffset);
    }
    session.dispose();
  });

  test(`own arrays may stand in for each other on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const { inputs, outputs } = session.buffers();
    inputs['a']!.set([1, 2, 3]);
    inputs['b']!.set([10, 20, 30]);
    const crossed = session.run(
      { a: inputs['b']!, b: inputs['a']! },
      { sum: outputs['difference']!, difference: outputs['sum']! },
    );
    t.deepEqual(crossed, { sum: Float32Array.of(11, 22, 33), difference: Float32Array.of(9, 18, 27) });
    session.dispose();
  });

  test(`a profiled run leaves own arrays valid on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const { inputs, outputs } = session.buffers();
    inputs['a']!.set(valuesOf(1).a);
    inputs['b']!.set(valuesOf(1).b);
    t.is(session.profile(inputs, outputs).length, 2);
    t.deepEqual(outputs, expected(1));
    session.dispose();
  });

  test(`own arrays begin at cache lines, each at another place of a page on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const { inputs, outputs } = session.buffers();
    const offsets = [...Object.values(inputs), ...Object.values(outputs)].map(
      ({ buffer, byteOffset }) => ((engine === 'native' ? pageOffset(buffer as ArrayBuffer) : 0) + byteOffset) % 4096,
    );
    t.deepEqual(
      offsets.map((offset) => offset % 64),
      [0, 0, 0, 0],
    );
    t.is(new Set(offsets).size, 4);
    session.dispose();
  });

  test(`own arrays are refused where a run or a batch does not fit on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, maxBatch: 3 });
    const { inputs } = session.buffers();
    t.throws(() => session.run(inputs, { sum: inputs['a']! }), { message: /overlaps the input 'a'/ });
    for (const batch of [0, 4, 1.5, NaN])
      t.throws(() => session.buffers(batch), { instanceOf: UsageError, message: /^batch is .* from 1 to 3$/ });
    session.dispose();
    t.throws(() => session.buffers(), { instanceOf: InvalidInputError, message: /was disposed of/ });
  });
}
