import { GraphBuilder, mapSource } from '@dgconv/core';
import test from 'ava';
import { createRequire } from 'node:module';
import * as esm from 'onnxruntime-common';
import { encodeEdge } from './edge-encode.js';
import { registerOnnxRuntimeBackend } from './onnxruntime-backend.js';

const builder = new GraphBuilder({ name: 'small' });
const x = builder.input('x', [1, 2, 2, 1]);
const graph = builder.build([{ name: 'y', value: builder.relu('y', x) }]);
const bytes = encodeEdge({ graph, weights: mapSource(new Map()) });

const cjs = createRequire(import.meta.url)('onnxruntime-common') as typeof esm;

for (const [kind, ort] of Object.entries({ esm, cjs })) {
  test(`an application of onnxruntime-common (${kind}) runs a file through the backend`, async (t) => {
    await registerOnnxRuntimeBackend();
    const provider: esm.InferenceSession.ExecutionProviderOption & { maxBatch: number } = {
      name: 'dgconv',
      maxBatch: 2,
    };
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
    t.deepEqual([...session.inputNames], ['x']);
    t.deepEqual([...session.outputNames], ['y']);
    const feed = new ort.Tensor('float32', Float32Array.from([-1, 2, -3, 4, 5, -6, 7, -8]), [2, 2, 2, 1]);
    const { y } = await session.run({ x: feed });
    t.true(y instanceof ort.Tensor);
    t.deepEqual([...y!.dims], [2, 2, 2, 1]);
    t.deepEqual([...(y!.data as Float32Array)], [0, 2, 0, 4, 5, 0, 7, 0]);
    const wrong = new ort.Tensor('float32', new Float32Array(4), [1, 1, 2, 2]);
    await t.throwsAsync(session.run({ x: wrong }), { message: /has shape \[1, 1, 2, 2\], needed is \[N, 2, 2, 1\]/ });
    const ints = new ort.Tensor('int32', new Int32Array(4), [1, 2, 2, 1]);
    await t.throwsAsync(session.run({ x: ints }), { message: /type int32/ });
    await session.release();
    await t.throwsAsync(session.run({ x: feed }), { message: /disposed/ });
  });

  test(`outputs are written to the tensors that an application (${kind}) brings`, async (t) => {
    await registerOnnxRuntimeBackend();
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ['dgconv'] });
    const x = new ort.Tensor('float32', Float32Array.from([-1, 2, -3, 4]), [1, 2, 2, 1]);
    const y = new ort.Tensor('float32', new Float32Array(4), [1, 2, 2, 1]);
    const results = await session.run({ x }, { y });
    t.is(results['y'], y);
    t.deepEqual([...(y.data as Float32Array)], [0, 2, 0, 4]);
    const flat = new ort.Tensor('float32', new Float32Array(4), [4]);
    await t.throwsAsync(session.run({ x }, { y: flat }), {
      message: /float32 \[4\], needed is float32 \[1, 2, 2, 1\]/,
    });
    const ints = new ort.Tensor('int32', new Int32Array(4), [1, 2, 2, 1]);
    await t.throwsAsync(session.run({ x }, { y: ints }), { message: /int32 \[1, 2, 2, 1\], needed is float32/ });
    t.deepEqual([...((await session.run({ x }, ['y']))['y']!.data as Float32Array)], [0, 2, 0, 4]);
    await session.release();
  });

  test(`batches need no option, also many at a time, in an application (${kind})`, async (t) => {
    await registerOnnxRuntimeBackend();
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ['dgconv'] });
    const runs = [1, 5, 2, 8, 3].map(async (batch) => {
      const values = Float32Array.from({ length: 4 * batch }, (_, index) => index - 6);
      const { y } = await session.run({ x: new ort.Tensor('float32', values, [batch, 2, 2, 1]) });
      t.deepEqual([...y!.dims], [batch, 2, 2, 1]);
      t.deepEqual(
        [...(y!.data as Float32Array)],
        [...values].map((value) => Math.max(value, 0)),
      );
    });
    await Promise.all(runs);
    const none = new ort.Tensor('float32', new Float32Array(0), [0, 2, 2, 1]);
    await t.throwsAsync(session.run({ x: none }), { message: /shape \[0, 2, 2, 1\], needed is \[N, 2, 2, 1\]/ });
    const pending = session.run({ x: new ort.Tensor('float32', new Float32Array(4 * 64), [64, 2, 2, 1]) });
    await session.release();
    await t.throwsAsync(pending, { message: /disposed/ });
  });
}

test('a copy of onnxruntime-common that an application brings is served when it is given', async (t) => {
  const registered: string[] = [];
  const copy = {
    Tensor: esm.Tensor,
    registerBackend: (name: string) => void registered.push(name),
  };
  await registerOnnxRuntimeBackend(copy);
  await registerOnnxRuntimeBackend(copy);
  t.deepEqual(registered, ['dgconv']);
});

test('a network for one batch says so when another comes', async (t) => {
  await registerOnnxRuntimeBackend();
  const fixed = new GraphBuilder({ name: 'fixed' });
  const value = fixed.relu('y', fixed.input('x', [2, 2, 2, 1]));
  const file = encodeEdge({ graph: fixed.build([{ name: 'y', value }]), weights: mapSource(new Map()) });
  const session = await esm.InferenceSession.create(file, { executionProviders: ['dgconv'] });
  t.deepEqual(session.inputMetadata[0]!.isTensor && session.inputMetadata[0].shape, [2, 2, 2, 1]);
  const four = new esm.Tensor('float32', new Float32Array(16), [4, 2, 2, 1]);
  await t.throwsAsync(session.run({ x: four }), { message: /batch 1 only/ });
  await session.release();
});
