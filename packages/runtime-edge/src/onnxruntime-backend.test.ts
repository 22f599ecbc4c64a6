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
  });
}
