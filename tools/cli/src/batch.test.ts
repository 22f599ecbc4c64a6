import test from 'ava';
import { toBatch } from './batch.js';

const input = { name: 'image', shape: [1, 1, 2, 3] };

test('an NCHW array becomes NHWC', (t) => {
  const array = { shape: [1, 3, 1, 2], data: Float32Array.of(0, 1, 10, 11, 20, 21) };
  t.deepEqual(toBatch(array, input, 'NCHW', 'x.npy'), { count: 1, data: Float32Array.of(0, 10, 20, 1, 11, 21) });
});

test('a shape that does not fit names the flag', (t) => {
  const array = { shape: [1, 3, 1, 2], data: new Float32Array(6) };
  t.throws(() => toBatch(array, input, 'NHWC', 'x.npy'), {
    message: "x.npy has the shape [1, 3, 1, 2], the input 'image' takes [N, 1, 2, 3] in NHWC order (--layout nhwc)",
  });
});

test('an empty batch is refused', (t) => {
  t.throws(() => toBatch({ shape: [0, 1, 2, 3], data: new Float32Array(0) }, input, 'NHWC', 'x.npy'), {
    message: "x.npy has a batch of 0, the input 'image' takes 1 or a multiple of it",
  });
});
