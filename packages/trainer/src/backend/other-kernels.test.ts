import test from 'ava';
import fc from 'fast-check';
import * as tf from '../tf.js';
import type { DgconvBackend } from './backend.js';
import { GroupedConv2DFilterGradients } from '../ops/grouped-conv-signatures.js';
import { AddRelu, addRelu, ReluGradient } from '../ops/relu.js';
import { nativeKernels } from './register.js';
import { findVariants } from './test-variants.js';

const { variants, missing } = await findVariants();
for (const name of missing) test.skip(`skipped: the native code's form ${name} is not here`, (t) => t.pass());

const dimension = fc.integer({ min: 1, max: 5 });
const integers = (shape: number[], seed: number) =>
  tf.tidy(() => tf.floor(tf.randomUniform(shape, -4, 5, 'float32', seed)));

/** Same tensors from the plain backend and from the one under test. */
async function same(
  t: { deepEqual(actual: unknown, expected: unknown): unknown },
  use: () => Promise<void>,
  run: () => tf.Tensor[],
): Promise<void> {
  const compute = () =>
    // Adding 0 makes -0 and 0 the same.
    tf.tidy(() =>
      run().map((tensor) => ({ shape: tensor.shape, values: Array.from(tensor.dataSync(), (v) => v + 0) })),
    );
  await tf.setBackend('cpu');
  const expected = compute();
  await use();
  t.deepEqual(compute(), expected);
}

for (const { name, use } of variants) {
  test.serial(`${name}: arithmetic with broadcasting equals the plain backend's`, async (t) => {
    const shapes = fc.array(fc.record({ size: dimension, a: fc.boolean(), b: fc.boolean() }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat({ max: 5 }), fc.nat({ max: 5 }), fc.nat(), async (dims, cutA, cutB, seed) => {
        const aShape = dims.map(({ size, a }) => (a ? size : 1)).slice(Math.min(cutA, dims.length));
        const bShape = dims.map(({ size, b }) => (b ? size : 1)).slice(Math.min(cutB, dims.length));
        await same(t, use, () => {
          const a = integers(aShape, seed);
          const b = integers(bShape, seed + 1);
          const divisor = tf.add(tf.abs(b), 1);
          const ops = [tf.add, tf.sub, tf.mul, tf.maximum, tf.minimum].map((op) => op(a, b));
          return [...ops, tf.div(a, divisor)];
        });
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test.serial(`${name}: matrix products equal the plain backend's, with every transpose`, async (t) => {
    const size = fc.integer({ min: 1, max: 40 });
    await fc.assert(
      fc.asyncProperty(size, size, size, fc.boolean(), fc.boolean(), fc.nat(), async (m, k, n, ta, tb, seed) => {
        await same(t, use, () => {
          const a = integers(ta ? [k, m] : [m, k], seed) as tf.Tensor2D;
          const b = integers(tb ? [n, k] : [k, n], seed + 1) as tf.Tensor2D;
          const bias = integers([n], seed + 2);
          const fused = { a, b, transposeA: ta, transposeB: tb, bias, activation: 'relu' as const };
          return [tf.matMul(a, b, ta, tb), tf.fused.matMul(fused)];
        });
      }),
      { numRuns: 40, seed: 1 },
    );
  });

  test.serial(
    `${name}: sums, means, pools and activations equal the plain backend's, with their gradients`,
    async (t) => {
      const cases = fc.record({
        shape: fc.tuple(dimension, fc.integer({ min: 4, max: 9 }), fc.integer({ min: 4, max: 9 }), dimension),
        axes: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
        keep: fc.boolean(),
        filter: fc.integer({ min: 1, max: 4 }),
        stride: fc.integer({ min: 1, max: 3 }),
        seed: fc.nat(),
      });
      await fc.assert(
        fc.asyncProperty(cases, async ({ shape, axes, keep, filter, stride, seed }) => {
          await same(t, use, () => {
            const x = integers(shape, seed) as tf.Tensor4D;
            const functions = [
              (v: tf.Tensor) => tf.sum(v, axes, keep),
              (v: tf.Tensor) => tf.relu(v),
              (v: tf.Tensor) => tf.maxPool(v as tf.Tensor4D, filter, stride, 'same'),
              (v: tf.Tensor) => tf.maxPool(v as tf.Tensor4D, filter, stride, 'valid'),
            ];
            return functions.flatMap((f, place) => {
              const y = f(x);
              return [y, tf.grad(f)(x, integers(y.shape, seed + place))];
            });
          });
          // Averages divide, so that they may differ in the last bit.
          const averages = () =>
            tf.tidy(() => {
              const x = integers(shape, seed) as tf.Tensor4D;
              const pool = (v: tf.Tensor) => tf.avgPool(v as tf.Tensor4D, filter, stride, 'valid');
              const mean = (v: tf.Tensor) => tf.mean(v, axes, keep);
              const both = [pool, mean].flatMap((f) => [f(x), tf.grad(f)(x)]);
              return [...both, tf.avgPool(x, filter, stride, 'same')].map((v) => [...(v.dataSync() as Float32Array)]);
            });
          await tf.setBackend('cpu');
          const expected = averages().flat();
          await use();
          const actual = averages().flat();
          t.is(actual.length, expected.length);
          t.true(actual.every((value, place) => Math.abs(value - expected[place]!) < 1e-5));
        }),
        { numRuns: 30, seed: 1 },
      );
    },
  );

  test.serial(`${name}: the gradient of average pooling with padding is its adjoint`, async (t) => {
    await use();
    tf.tidy(() => {
      const pool = (v: tf.Tensor) => tf.avgPool(v as tf.Tensor4D, 3, 1, 'same');
      const x = integers([2, 5, 4, 3], 1);
      const y = integers([2, 5, 4, 3], 2);
      const dot = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(a, b)).dataSync()[0]!;
      t.true(Math.abs(dot(pool(x), y) - dot(x, tf.grad(pool)(x, y))) < 1e-3);
    });
  });

  test.serial(`${name}: a sum under a ReLU equals the two ops, with its gradients`, async (t) => {
    await same(t, use, () => {
      const a = integers([2, 3, 5], 1);
      const b = integers([2, 3, 5], 2);
      const gradients = tf.grads((p, q) => addRelu(p!, q!))([a, b], integers([2, 3, 5], 3));
      return [addRelu(a, b), ...gradients];
    });
  });

  test.serial(`${name}: the sum of many tensors equals the plain backend's`, async (t) => {
    for (const count of [1, 2, 3, 7]) {
      await same(t, use, () => [tf.addN(Array.from({ length: count }, (_, place) => integers([3, 7], place)))]);
    }
  });

  test.serial(`${name}: not-a-number goes through activations and sums as on the plain backend`, async (t) => {
    await same(t, use, () => {
      const x = tf.tensor([NaN, -1, 0, 2, -Infinity, Infinity, -0]);
      return [tf.relu(x), tf.step(x), tf.add(x, 1), tf.maximum(x, 0), tf.minimum(0, x), tf.sum(x)];
    });
  });

  test.serial(`${name}: values that were handed out keep their contents when memory is used again`, async (t) => {
    await use();
    const x = tf.add(tf.ones([1000]), 1);
    const handedOut = x.dataSync();
    const slice = tf.slice(tf.add(tf.zeros([1000]), 3), 0, 10);
    x.dispose();
    for (let round = 0; round < 5; round++) tf.add(tf.zeros([1000]), round).dispose();
    t.true(handedOut.every((value) => value === 2));
    t.true(slice.dataSync().every((value) => value === 3));
  });

  test.serial(`${name}: a call that does not fit is refused, not run`, async (t) => {
    await use();
    const { module } = tf.backend() as DgconvBackend;
    const three = new Float32Array(3);
    t.throws(() => module.run('relu', { elements: 4 }, [three, three]), { message: /^internal: relu: .*too small/ });
    t.throws(() => module.run('relu', { elements: 3 }, [three]), { message: /number of buffers/ });
    t.throws(() => module.run('relu', {} as never, [three, three]), { message: /lacks its parameter "elements"/ });
  });
}

test('every native kernel but three replaces one that the plain backend has', (t) => {
  const plain = new Set(tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName));
  t.deepEqual(
    nativeKernels.map(({ name }) => name).filter((name) => !plain.has(name)),
    [ReluGradient, AddRelu, GroupedConv2DFilterGradients],
  );
});
