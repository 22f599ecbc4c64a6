import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { RandomSource } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import sharp from 'sharp';
import { useBackend } from '../backends.js';
import { Batches, splitForValidation } from './batches.js';
import { firstImages, preprocessingOf } from './data-set.js';
import { parseIdx } from './idx.js';
import { openDataSet } from './open-data-set.js';

const folder = () => mkdtempSync(join(tmpdir(), 'dgconv-data-'));

/** An IDX file of unsigned bytes. */
function idx(shape: readonly number[], values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + values.length);
  bytes.set([0, 0, 8, shape.length]);
  shape.forEach((size, axis) => new DataView(bytes.buffer).setUint32(4 + 4 * axis, size));
  bytes.set(values, 4 + 4 * shape.length);
  return bytes;
}

test('MNIST comes with 60,000 and 10,000 digits and the normalisation that everybody uses', async (t) => {
  const data = await openDataSet('mnist', [28, 28, 1]);
  t.is(data.train.count, 60_000);
  t.is(data.test.count, 10_000);
  t.deepEqual([...data.test.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
  t.deepEqual(preprocessingOf(data), {
    resizeShorterSide: null,
    colour: 'grey',
    mean: [0.1307],
    standardDeviation: [0.3081],
  });
  t.is(firstImages(data.train, 100).pixels.length, 78_400);
});

test('colours are normalised by one value for all channels', (t) => {
  const images = { count: 1, pixels: Uint8Array.of(0, 0, 255, 0, 0, 255), labels: Uint16Array.of(0) };
  const data = { spec: 'blue', height: 1, width: 2, channels: 3, classNames: ['blue'], train: images, test: images };
  t.deepEqual(preprocessingOf(data), {
    resizeShorterSide: null,
    colour: 'rgb',
    mean: [0.3333, 0.3333, 0.3333],
    standardDeviation: [0.4714, 0.4714, 0.4714],
  });
});

test('IDX files are read plain and gzipped', async (t) => {
  const path = folder();
  writeFileSync(join(path, 'train-images-idx3-ubyte'), idx([2, 1, 2], [0, 255, 10, 20]));
  writeFileSync(join(path, 'train-labels-idx1-ubyte.gz'), gzipSync(idx([2], [1, 0])));
  writeFileSync(join(path, 't10k-images-idx3-ubyte.gz'), gzipSync(idx([1, 1, 2], [7, 8])));
  writeFileSync(join(path, 't10k-labels-idx1-ubyte'), idx([1], [2]));
  const data = await openDataSet(`idx:${path}`, [1, 2, 1]);
  t.deepEqual([...data.train.pixels], [0, 255, 10, 20]);
  t.deepEqual([...data.train.labels], [1, 0]);
  t.deepEqual([...data.test.pixels], [7, 8]);
  t.deepEqual(data.classNames, ['0', '1', '2']);
  await t.throwsAsync(() => openDataSet(`idx:${path}`, [28, 28, 1]), {
    message: /are 1 × 2 × 1, the network takes 28 × 28 × 1/,
  });
});

test('missing and unknown data sets are named', async (t) => {
  const path = folder();
  await t.throwsAsync(() => openDataSet(`idx:${path}`, [1, 1, 1]), {
    name: 'InvalidInputError',
    message: /train-images-idx3-ubyte: there is no such file/,
  });
  await t.throwsAsync(() => openDataSet('emnist', [1, 1, 1]), {
    message: /There is no data set 'emnist': it is mnist, fashion-mnist/,
  });
  await t.throwsAsync(() => openDataSet(path, [1, 1, 1]), { message: /has the folders 'train' and 'test'/ });
});

test('a damaged IDX file is refused in one sentence, whatever is damaged', (t) => {
  const whole = idx([2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.option(fc.nat(whole.length - 1)), (at, value, cut) => {
      const bytes = whole.slice(0, cut ?? whole.length);
      if (at < bytes.length) bytes[at] = value;
      try {
        const { shape, values } = parseIdx(bytes, 'file');
        t.is(
          values.length,
          shape.reduce((product, size) => product * size, 1),
        );
      } catch (error) {
        t.is((error as Error).name, 'InvalidInputError');
        t.regex((error as Error).message, /^file: /);
      }
    }),
    { numRuns: 500, seed: 1 },
  );
});

test('an image folder gives every image at the size of the network', async (t) => {
  const path = folder();
  for (const [split, name, value] of [
    ['train', 'black', 0],
    ['train', 'white', 255],
    ['test', 'white', 255],
  ] as const) {
    mkdirSync(join(path, split, name), { recursive: true });
    const image = sharp({ create: { width: 5, height: 7, channels: 3, background: { r: value, g: value, b: value } } });
    await image.png().toFile(join(path, split, name, 'a.png'));
  }
  for (const channels of [1, 3]) {
    const data = await openDataSet(path, [4, 6, channels]);
    t.deepEqual(data.classNames, ['black', 'white']);
    t.deepEqual([data.train.count, data.test.count], [2, 1]);
    t.deepEqual([...data.train.labels], [0, 1]);
    t.deepEqual([...data.test.labels], [1]);
    t.deepEqual([...new Set(data.train.pixels.subarray(0, 24 * channels))], [0]);
    t.deepEqual([...new Set(data.test.pixels)], [255]);
  }
  writeFileSync(join(path, 'test', 'white', 'b.png'), 'no image');
  await t.throwsAsync(() => openDataSet(path, [4, 6, 1]), {
    name: 'InvalidInputError',
    message: /b\.png: the image cannot be read/,
  });
});

test('a split holds every image once and depends on the seed alone', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(1000), (count, seed) => {
      const { train, validation } = splitForValidation(count, new RandomSource(seed));
      t.deepEqual(
        [...train, ...validation].sort((a, b) => a - b),
        Array.from({ length: count }, (_, index) => index),
      );
      t.true(train.length > 0 && validation.length > 0);
      t.deepEqual(splitForValidation(count, new RandomSource(seed)), { train, validation });
    }),
    { seed: 1 },
  );
  t.is(splitForValidation(60_000, new RandomSource(1)).validation.length, 5000);
});

test('a batch is normalised channel by channel', async (t) => {
  await useBackend('cpu');
  const images = { count: 2, pixels: Uint8Array.from([0, 255, 51, 102]), labels: Uint16Array.from([3, 4]) };
  const data = { spec: 'x', height: 1, width: 1, channels: 2, classNames: [], train: images, test: images };
  const batches = new Batches(data, images, {
    resizeShorterSide: null,
    colour: 'rgb',
    mean: [0, 0.5],
    standardDeviation: [1, 0.5],
  });
  const { images: tensor, labels } = batches.cut(Uint32Array.from([1, 0]));
  t.deepEqual(tensor.shape, [2, 1, 1, 2]);
  t.deepEqual(
    [...tensor.dataSync()].map((value) => Math.fround(value)),
    [0.2, -0.2, 0, 1].map(Math.fround),
  );
  t.deepEqual([...labels], [4, 3]);
});
