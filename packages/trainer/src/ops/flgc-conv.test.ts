import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import type * as tfc from '@tensorflow/tfjs-core';
import { findBackends, useBackend } from '../backends.js';
import * as tf from '../tf.js';
import { flgcConv2d } from './flgc-conv.js';

const { available } = await findBackends();
const goldenFile = new URL('../../../../../../shared/reference/flgc_pytorch.json', import.meta.url);

interface Tensor<Shape> {
  readonly shape: Shape;
  readonly data: number[];
}
type Shape4 = [number, number, number, number];

interface GoldenCase {
  readonly seed: number;
  readonly stride: number;
  readonly padding: number;
  readonly out_channels: number;
  readonly S: Tensor<[number, number]>;
  readonly T: Tensor<[number, number]>;
  readonly weight: Tensor<Shape4>;
  readonly bias: number[] | null;
  readonly x: Tensor<Shape4>;
  readonly y: Tensor<Shape4>;
  readonly dy: number[];
  readonly grad: { x: number[]; weight: number[]; S: number[]; T: number[]; bias?: number[] | null };
}

const nhwc = (shape: Shape4, data: number[]) => tf.transpose(tf.tensor(data, shape), [0, 2, 3, 1]);
const hwio = (shape: Shape4, data: number[]) => tf.transpose(tf.tensor(data, shape), [2, 3, 1, 0]);
const difference = (actual: tfc.Tensor, expected: tfc.Tensor) =>
  tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]!;

for (const backend of available) {
  if (!existsSync(goldenFile)) {
    test.skip(`skipped: golden FLGC cases on ${backend}: ../shared is absent`, (t) => t.pass());
  } else {
    test.serial(`on ${backend} the golden FLGC cases of the public PyTorch code are met`, async (t) => {
      await useBackend(backend);
      const { cases } = JSON.parse(readFileSync(goldenFile, 'utf8')) as { cases: GoldenCase[] };
      t.is(cases.length, 2);
      for (const golden of cases) {
        tf.tidy(() => {
          const pad = [golden.padding, golden.padding] as const;
          const options = { strides: golden.stride, padding: [[0, 0], pad, pad, [0, 0]] } as const;
          const forward = (x: tfc.Tensor, kernel: tfc.Tensor, s: tfc.Tensor, T: tfc.Tensor): tfc.Tensor =>
            flgcConv2d(x as tfc.Tensor4D, kernel as tfc.Tensor4D, s as tfc.Tensor2D, T as tfc.Tensor2D, options);
          const inputs = [
            nhwc(golden.x.shape, golden.x.data),
            hwio(golden.weight.shape, golden.weight.data),
            tf.tensor2d(golden.S.data, golden.S.shape),
            tf.tensor2d(golden.T.data, golden.T.shape),
          ];
          const { value, grads } = tf.valueAndGrads(forward)(inputs, nhwc(golden.y.shape, golden.dy));
          const bias = golden.bias ?? new Array<number>(golden.out_channels).fill(0);
          t.true(difference(tf.add(value, bias), nhwc(golden.y.shape, golden.y.data)) < 1e-5);
          t.true(difference(grads[0]!, nhwc(golden.x.shape, golden.grad.x)) < 1e-5);
          t.true(difference(grads[1]!, hwio(golden.weight.shape, golden.grad.weight)) < 5e-5);
          t.true(difference(grads[2]!, tf.tensor2d(golden.grad.S, golden.S.shape)) < 2e-5);
          t.true(difference(grads[3]!, tf.tensor2d(golden.grad.T, golden.T.shape)) < 2e-5);
        });
      }
    });
  }

  test.serial(`on ${backend} the full gradient is the softmax's Jacobian of the whole gradient`, async (t) => {
    await useBackend(backend);
    tf.tidy(() => {
      const x = tf.randomNormal<tfc.Rank.R4>([1, 2, 2, 3], 0, 1, 'float32', 1);
      const kernel = tf.randomNormal<tfc.Rank.R4>([1, 1, 3, 4], 0, 1, 'float32', 2);
      const inputs = tf.randomNormal<tfc.Rank.R2>([3, 2], 0, 1, 'float32', 3);
      const outputs = tf.tensor2d([1, 0, 0, 1, 2, 2, -1, 3], [4, 2]);
      const dS = tf.grad((s: tfc.Tensor): tfc.Tensor =>
        flgcConv2d(x, kernel, s as tfc.Tensor2D, outputs, { gradient: 'full' }),
      )(inputs);
      // Ones as dy: ∂L/∂M[i, o] = W[i, o]·Σx_i; a tie in row 2 of T picks group 0.
      const hardT = tf.tensor2d([1, 0, 0, 1, 1, 0, 0, 1], [4, 2]);
      const dM = tf.mul(tf.reshape(kernel, [3, 4]), tf.reshape(tf.sum(x, [0, 1, 2]), [3, 1]));
      const dHard = tf.matMul(dM as tfc.Tensor2D, hardT);
      const soft = tf.softmax(inputs);
      const expected = tf.mul(soft, tf.sub(dHard, tf.sum(tf.mul(soft, dHard), 1, true)));
      t.true(difference(dS, expected) < 1e-5);
    });
  });
}
