import test from 'ava';
import fc from 'fast-check';
import type * as tfc from '@tensorflow/tfjs-core';
import { findBackends, useBackend } from '../backends.js';
import * as tf from '../tf.js';
import { condenseConv2d, condenseLasso, condenseMask, condenseStage } from './condense-conv.js';

const { available } = await findBackends();

test('the first half of training is divided evenly among the condensing stages', (t) => {
  t.deepEqual(
    [0, 0.16, 0.17, 0.33, 0.34, 0.49, 0.5, 0.99].map((progress) => condenseStage(progress, 4)),
    [0, 0, 1, 1, 2, 2, 3, 3],
  );
  t.is(condenseStage(0, 1), 0);
});

test('each stage drops the weakest inputs of every group', (t) => {
  // 4 inputs × 4 outputs, 2 groups (outputs 0, 2 and 1, 3), a quarter of the inputs a stage.
  const kernel = [1, 9, 1, 9, 5, 1, 5, 1, 2, 3, -2, 3, 9, 2, 0, 2];
  const shape = { channelsIn: 4, channelsOut: 4, groups: 2, condenseFactor: 4 };
  const ones = new Array<number>(16).fill(1);
  const first = condenseMask(kernel, ones, 1, shape);
  t.deepEqual([...first], [0, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
  const second = condenseMask(kernel, first, 2, shape);
  t.deepEqual([...second], [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0]);
});

test('a skipped stage is caught up, and at the end every group keeps 1/C of the inputs', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 4),
      fc.constantFrom(1, 2, 3),
      fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
      (groups, condenseFactor, values) => {
        const shape = { channelsIn: 12, channelsOut: 2 * groups, groups, condenseFactor };
        const size = shape.channelsIn * shape.channelsOut;
        const kernel = Array.from({ length: size }, () => values.next().value as number);
        const ones = new Array<number>(size).fill(1);
        const last = condenseFactor - 1;
        const direct = condenseMask(kernel, ones, last, shape);
        let stepwise: ArrayLike<number> = ones;
        for (let stage = 0; stage <= last; stage++) stepwise = condenseMask(kernel, stepwise, stage, shape);
        t.deepEqual([...direct], [...(stepwise as Float32Array)]);
        t.is(
          direct.reduce((sum, value) => sum + value),
          size / condenseFactor,
        );
        t.deepEqual([...condenseMask(kernel, direct, last, shape)], [...direct]);
      },
    ),
    { seed: 1 },
  );
});

test('channel counts that are no multiples are refused', (t) => {
  t.throws(() => condenseMask([], [], 1, { channelsIn: 6, channelsOut: 8, groups: 4, condenseFactor: 2 }), {
    name: 'InvalidInputError',
    message: /6 → 8 channels/,
  });
});

for (const backend of available) {
  test.serial(`on ${backend} a condensed convolution passes no gradient where the mask is 0`, async (t) => {
    await useBackend(backend);
    tf.tidy(() => {
      const x = tf.tensor4d([1, 2, 3, 4], [1, 1, 2, 2]);
      const mask = tf.tensor4d([1, 0, 1, 1], [1, 1, 2, 2]);
      const kernel = tf.tensor4d([1, 5, 2, 3], [1, 1, 2, 2]);
      const { value, grads } = tf.valueAndGrads((a: tfc.Tensor, w: tfc.Tensor): tfc.Tensor =>
        condenseConv2d(a as tfc.Tensor4D, w as tfc.Tensor4D, mask),
      )([x, kernel]);
      t.deepEqual([...value.dataSync()], [5, 6, 11, 12]);
      t.deepEqual([...grads[0]!.dataSync()], [1, 5, 1, 5]);
      t.deepEqual([...grads[1]!.dataSync()], [4, 0, 6, 6]);
    });
  });

  test.serial(`on ${backend} the group lasso sums the norms of each group's filters at each input`, async (t) => {
    await useBackend(backend);
    tf.tidy(() => {
      // Input 0: outputs (3, 0, 4, 0) → groups {0, 2}: 5, {1, 3}: √1e-6.
      const kernel = tf.tensor4d([3, 0, 4, 0], [1, 1, 1, 4]);
      const lasso = condenseLasso(kernel, { channelsIn: 1, channelsOut: 4, groups: 2, condenseFactor: 1 });
      t.true(Math.abs(lasso.dataSync()[0]! - 5.001) < 1e-5);
    });
  });
}
