import { InvalidInputError, type Model } from '@dgconv/core';
import { encodeEdge } from '@dgconv/runtime-edge';
import test, { type ExecutionContext } from 'ava';
import { edgeArm64Runtime } from './edge-arm64.js';

const missing = await edgeArm64Runtime.whyUnavailable();
const onArm = (title: string, run: (t: ExecutionContext) => Promise<void>) =>
  missing === null ? test(title, run) : test.skip(`${title} (skipped: ${missing})`, run);

/** `sum = a + b` and `product = a · b`. */
const model: Model = {
  graph: {
    formatVersion: '1.0',
    inputs: [
      { name: 'a', shape: [1, 1, 2, 3] },
      { name: 'b', shape: [1, 1, 2, 3] },
    ],
    nodes: (['add', 'multiply'] as const).map((op) => ({
      id: op,
      op: 'binary',
      inputs: ['a', 'b'],
      attrs: { function: op, activation: { function: 'identity' } },
      weights: {},
      origin: [op],
    })) as unknown as Model['graph']['nodes'],
    outputs: [
      { name: 'sum', value: 'add' },
      { name: 'product', value: 'multiply' },
    ],
    metadata: { name: 'two' },
  },
  weights: { names: [], shape: () => [], read: () => new Float32Array() },
};

onArm('the arm64 program takes several inputs and gives several outputs', async (t) => {
  const session = await edgeArm64Runtime.load(encodeEdge(model));
  t.teardown(() => session.dispose());
  t.deepEqual(
    session.outputs.map(({ name, shape }) => [name, shape]),
    [
      ['sum', [1, 1, 2, 3]],
      ['product', [1, 1, 2, 3]],
    ],
  );
  const results = await session.run({
    a: Float32Array.of(1, 2, 3, 4, 5, 6),
    b: Float32Array.of(10, 20, 30, 40, 50, 60),
  });
  t.deepEqual([...results['sum']!.data], [11, 22, 33, 44, 55, 66]);
  t.deepEqual([...results['product']!.data], [10, 40, 90, 160, 250, 360]);
  await t.throwsAsync(async () => session.run({ a: new Float32Array(6) }), {
    instanceOf: InvalidInputError,
    message: "input 'b' is missing",
  });
});

onArm('the arm64 program says what is wrong with a file', async (t) => {
  const bytes = encodeEdge(model);
  bytes[100]! ^= 1;
  await t.throwsAsync(edgeArm64Runtime.load(bytes), {
    instanceOf: InvalidInputError,
    message: /^the model: the checksum is /,
  });
});
