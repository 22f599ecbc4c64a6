import { compile, emitters } from '@dgconv/compiler';
import { initialWeights, mapSource, zooGraph } from '@dgconv/core';
import test from 'ava';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflatedZeros, blackPng, npy } from './testing/hostile-bytes.js';
import { assertRefused } from './testing/limits.js';

const plain = zooGraph('resnext_mnist');
const preprocessing = { resizeShorterSide: null, colour: 'grey', mean: [0.5], standardDeviation: [0.5] } as const;
const graph = { ...plain, metadata: { ...plain.metadata, preprocessing } };
const model = { graph, weights: mapSource(initialWeights(graph, 1)) };
const edge = emitters.edge(compile(model, { formats: ['edge'] }).targets.edge!);

const header = (shape: string, descriptor = '<f4', order = 'False'): string =>
  `{'descr': '${descriptor}', 'fortran_order': ${order}, 'shape': (${shape}), }`;

/** A JPEG header that claims a size, without an image. */
const jpeg = Buffer.from(
  'ffd8ffe000104a46494600010100000100010000ffc0000b08ffffffff01011100ffda0008010100003f00',
  'hex',
);

type Make = (folder: string) => Uint8Array | void;

/** Broken or hostile inputs of `run`: their name, how they are made, and what is said of them. */
const inputs: Readonly<Record<string, readonly [name: string, make: Make, message: RegExp]>> = {
  'an array that is cut off': ['x.npy', () => npy(header('1, 28, 28, 1'), Buffer.alloc(100)), /x\.npy/],
  'an array that claims 10 GB': ['x.npy', () => npy(header('50000, 50000'), Buffer.alloc(100)), /x\.npy/],
  'an array whose sizes overflow': ['x.npy', () => npy(header(`${'9'.repeat(30)}, 2`)), /x\.npy/],
  'an array of Python objects': [
    'x.npy',
    () => npy(header('1,', '|O'), Buffer.from('cos\nsystem\n')),
    /element type '\|O'/,
  ],
  'an array in Fortran order': ['x.npy', () => npy(header('1, 2', '<f4', 'True'), Buffer.alloc(8)), /Fortran/],
  'an array without a header': ['x.npy', () => npy(' '.repeat(60_000)), /x\.npy/],
  'an empty array file': ['x.npy', () => Buffer.alloc(0), /x\.npy/],
  'a pipe': ['x.npy', (folder) => void execFileSync('mkfifo', [join(folder, 'x.npy')]), /x\.npy/],
  'a PNG of 400 million pixels': ['x.png', () => blackPng(20_000, 20_000), /x\.png/],
  'a PNG that is cut off': ['x.png', () => blackPng(3000, 3000).subarray(0, 300), /x\.png/],
  'a JPEG that claims 65535 × 65535 pixels': ['x.jpg', () => jpeg, /x\.jpg/],
  'a JPEG without an image': ['x.jpg', () => jpeg.subarray(0, 30), /x\.jpg/],
  'a picture with instructions': [
    'x.png',
    () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>'),
    /x\.png/,
  ],
};

for (const [title, [name, make, message]] of Object.entries(inputs)) {
  test(`refused in one sentence, quickly and in little memory: ${title} as an input`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'm.edge'), edge);
    const bytes = make(folder);
    if (bytes) writeFileSync(join(folder, name), bytes);
    const args = ['run', join(folder, 'm.edge'), '--runtime', 'edge-wasm', '--input', join(folder, name)];
    await assertRefused(t, folder, [...args, '--output', join(folder, 'y.npy')], message);
  });
}

/** The IDX header of `count` images of 28 × 28 pixels. */
const idx = (count: number): Buffer => {
  const bytes = Buffer.alloc(16);
  [0x803, count, 28, 28].forEach((value, at) => bytes.writeUInt32BE(value, 4 * at));
  return bytes;
};

/** Data sets that are broken or hostile. */
const dataSets: Readonly<Record<string, readonly [make: (folder: string) => void, message: RegExp]>> = {
  'of no images': [() => undefined, /data/],
  'that is cut off': [(folder) => writeFileSync(join(folder, 'train-images-idx3-ubyte'), idx(60_000)), /train-images/],
  'that claims four billion images': [
    (folder) => writeFileSync(join(folder, 'train-images-idx3-ubyte'), idx(0xffffffff)),
    /train-images/,
  ],
  'that is a gzip bomb': [
    (folder) => {
      const start = Buffer.from('1f8b0800000000000003', 'hex');
      writeFileSync(
        join(folder, 'train-images-idx3-ubyte.gz'),
        Buffer.concat([start, deflatedZeros(64), Buffer.alloc(8)]),
      );
    },
    /train-images/,
  ],
};
for (const [title, [make, message]] of Object.entries(dataSets)) {
  test(`refused in one sentence, quickly and in little memory: a data set ${title}`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, 'data'));
    make(join(folder, 'data'));
    const args = ['train', '--model', 'resnet_mnist', '--backend', 'cpu', '--epochs', '1', '--limit', '10'];
    await assertRefused(
      t,
      folder,
      [...args, '--data', `idx:${join(folder, 'data')}`, '--out', join(folder, 'run')],
      message,
    );
  });
}

/** Architecture files that are broken or hostile. */
const architectures: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
  'that is no JSON': ['{"family":', /arch\.json/],
  'nested a million deep': ['['.repeat(1e6), /arch\.json/],
  'of a family that nobody knows': ['{"family":"vgg"}', /vgg/],
  'with a billion layers': [
    '{"family":"g_resnet","block":"Bottleneck","layers":[1000000000,1,1,1],"groups":32,"width_per_group":4,"num_classes":10}',
    /layers/,
  ],
  'with negative widths': [
    '{"family":"g_resnet","block":"Bottleneck","layers":[1,1,1,1],"groups":-32,"width_per_group":-4,"num_classes":10}',
    /groups|width/,
  ],
};
for (const [title, [text, message]] of Object.entries(architectures)) {
  test(`refused in one sentence, quickly and in little memory: an architecture ${title}`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'arch.json'), text);
    writeFileSync(
      join(folder, 'x.safetensors'),
      Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')]),
    );
    const args = ['compile', join(folder, 'x.safetensors'), '--arch-config', join(folder, 'arch.json')];
    await assertRefused(t, folder, [...args, '--out', join(folder, 'out')], message);
  });
}
