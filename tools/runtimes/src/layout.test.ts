import test from 'ava';
import { convertLayout } from './layout.js';

const numbered = (shape: readonly number[]) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => index),
});

test('a value at [n, h, w, c] is found at [n, c, h, w]', (t) => {
  const [batch, height, width, channels] = [2, 3, 4, 5];
  const source = numbered([batch, height, width, channels]);
  const { shape, data } = convertLayout(source, 'NHWC', 'NCHW');
  t.deepEqual(shape, [batch, channels, height, width]);
  for (let n = 0; n < batch; n++)
    for (let h = 0; h < height; h++)
      for (let w = 0; w < width; w++)
        for (let c = 0; c < channels; c++)
          t.is(
            data[((n * channels + c) * height + h) * width + w],
            source.data[((n * height + h) * width + w) * channels + c],
          );
});

test('there and back again is the same tensor', (t) => {
  const source = numbered([2, 3, 5, 7]);
  t.deepEqual(convertLayout(convertLayout(source, 'NCHW', 'NHWC'), 'NHWC', 'NCHW'), source);
});

test('tensors of other ranks are left alone', (t) => {
  const source = numbered([3, 5]);
  t.is(convertLayout(source, 'NHWC', 'NCHW').data, source.data);
});
