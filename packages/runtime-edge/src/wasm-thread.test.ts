import { GraphBuilder, mapSource } from '@dgconv/core';
import test from 'ava';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { encodeEdge } from './edge-encode.js';
import { EdgeSession } from './session.js';

/** y = relu(x) or, `times` over, relu(x) + … + relu(x), on [1, 1, 1, 4]. */
function sumOfRelus(times: number): Uint8Array {
  const builder = new GraphBuilder({ name: 'sum' });
  const term = builder.relu('relu', builder.input('x', [1, 1, 1, 4]));
  let value = term;
  for (let index = 1; index < times; index++) value = builder.add(`add${index}`, value, term);
  return encodeEdge({ graph: builder.build([{ name: 'y', value }]), weights: mapSource(new Map()) });
}

const x = Float32Array.of(-1, 2, 0.5, -3);
const positive = [0, 2, 0.5, 0];

test('an asynchronous run leaves the calling thread alone: nothing is there when the call returns', async (t) => {
  const session = await EdgeSession.load(sumOfRelus(1), { engine: 'wasm' });
  for (let run = 0; run < 2; run++) {
    const y = new Float32Array(4);
    const running = session.runAsync({ x }, { y });
    t.deepEqual([...session.run({ x })['y']!], positive, 'the same session runs here meanwhile');
    t.deepEqual([...y], [0, 0, 0, 0]);
    t.is((await running)['y'], y);
    t.deepEqual([...y], positive);
  }
  session.dispose();
});

test('a feed that is changed after the call does not change the run', async (t) => {
  const session = await EdgeSession.load(sumOfRelus(2), { engine: 'wasm' });
  await session.runAsync({ x });
  const feed = x.slice();
  const running = session.runAsync({ x: feed });
  feed.fill(7);
  t.deepEqual([...(await running)['y']!], [0, 4, 1, 0]);
  session.dispose();
});

test('bytes that hold something else by then are not loaded in the worker: the run happens here', async (t) => {
  const bytes = sumOfRelus(1);
  const other = sumOfRelus(2);
  for (const spoil of [
    (copy: Uint8Array) => copy.fill(0),
    (copy: Uint8Array) => copy.set(other.subarray(0, copy.length)),
    (copy: Uint8Array) => (copy[bytes.length - 1]! ^= 1),
    (copy: Uint8Array) => structuredClone(copy, { transfer: [copy.buffer as ArrayBuffer] }),
  ]) {
    const copy = new Uint8Array(bytes);
    const session = await EdgeSession.load(copy, { engine: 'wasm' });
    spoil(copy);
    t.deepEqual([...(await session.runAsync({ x }))['y']!], positive);
    session.dispose();
  }
});

test('runs that were asked for before disposing are finished, also while the worker is starting', async (t) => {
  const session = await EdgeSession.load(sumOfRelus(3), { engine: 'wasm', maxBatch: 2 });
  const running = [session.runAsync({ x }), session.runAsync({ x: Float32Array.of(...x, ...x) })];
  session.dispose();
  const [one, two] = await Promise.all(running);
  t.deepEqual([...one!['y']!], [0, 6, 1.5, 0]);
  t.deepEqual([...two!['y']!], [0, 6, 1.5, 0, 0, 6, 1.5, 0]);
});

test('a process ends although nobody disposed of a session that has run asynchronously', async (t) => {
  const script = `
    import { EdgeSession } from ${JSON.stringify(new URL('./session.js', import.meta.url).href)};
    const bytes = Buffer.from('${Buffer.from(sumOfRelus(1)).toString('base64')}', 'base64');
    const session = await EdgeSession.load(bytes, { engine: 'wasm' });
    const { y } = await session.runAsync({ x: Float32Array.of(${x.join()}) });
    console.log(y.join());
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 120_000,
  });
  t.is(stdout.trim(), positive.join());
});
