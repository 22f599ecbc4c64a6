import test from 'ava';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { findBackends, useBackend } from '../backends.js';
import { batchNormTraining, momentumUpdate } from './fused-kernels.js';

const { available } = await findBackends();

const close = (actual: tfc.Tensor, expected: tfc.Tensor, tolerance: number) =>
  tf.tidy(() => tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]! <= tolerance);

/** The same from small ops of tfjs, which differentiates it by itself. */
function composedBatchNorm(
  x: tfc.Tensor,
  gamma: tfc.Tensor,
  beta: tfc.Tensor,
  epsilon: number,
  relu: boolean,
): tfc.Tensor {
  const axes = x.shape.map((_, axis) => axis).slice(0, -1);
  const mean = tf.mean(x, axes, true);
  const centred = tf.sub(x, mean);
  const variance = tf.mean(tf.mul(centred, centred), axes, true);
  const y = tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), gamma), beta);
  return relu ? tf.relu(y) : y;
}

for (const backend of available) {
  for (const relu of [false, true]) {
    for (const shape of [
      [3, 4, 5, 6],
      [7, 3],
    ]) {
      test.serial(
        `on ${backend} fused batch norm of [${shape.join(', ')}]${relu ? ' with ReLU' : ''} equals the composition, with its gradients`,
        async (t) => {
          await useBackend(backend);
          tf.tidy(() => {
            const channels = shape.at(-1)!;
            const x = tf.randomNormal(shape, 3, 2, 'float32', 1);
            const gamma = tf.randomNormal([channels], 1, 0.5, 'float32', 2);
            const beta = tf.randomNormal([channels], 0, 0.5, 'float32', 3);
            const dy = tf.randomNormal(shape, 0, 1, 'float32', 4);
            const fused = tf.valueAndGrads(
              (a: tfc.Tensor, b: tfc.Tensor, c: tfc.Tensor) => batchNormTraining(a, b, c, { epsilon: 1e-3, relu }).y,
            );
            const composed = tf.valueAndGrads((a: tfc.Tensor, b: tfc.Tensor, c: tfc.Tensor) =>
              composedBatchNorm(a, b, c, 1e-3, relu),
            );
            const actual = fused([x, gamma, beta], dy);
            const expected = composed([x, gamma, beta], dy);
            t.true(close(actual.value, expected.value, 1e-5));
            actual.grads.forEach((gradient, index) => t.true(close(gradient, expected.grads[index]!, 5e-5)));
            const { mean, variance } = batchNormTraining(x, gamma, beta, { epsilon: 1e-3, relu });
            const moments = tf.moments(x, shape.map((_, axis) => axis).slice(0, -1));
            t.true(close(mean, moments.mean, 1e-5));
            t.true(close(variance, moments.variance, 1e-4));
          });
        },
      );
    }
  }

  test.serial(`on ${backend} a momentum step is exact on binary fractions`, async (t) => {
    await useBackend(backend);
    tf.tidy(() => {
      const inputs = {
        parameter: tf.tensor1d([1, -2, 4]),
        gradient: tf.tensor1d([0.5, 1, -1]),
        velocity: tf.tensor1d([2, 0, -4]),
      };
      const rates = { learningRate: 0.5, momentum: 0.5, weightDecay: 0.25 };
      const plain = momentumUpdate(inputs, { ...rates, nesterov: false });
      t.deepEqual([...plain.velocity.dataSync()], [1.75, 0.5, -2]);
      t.deepEqual([...plain.parameter.dataSync()], [0.125, -2.25, 5]);
      const nesterov = momentumUpdate(inputs, { ...rates, nesterov: true });
      t.deepEqual([...nesterov.velocity.dataSync()], [1.75, 0.5, -2]);
      t.deepEqual([...nesterov.parameter.dataSync()], [0.1875, -2.375, 4.5]);
    });
  });
}
