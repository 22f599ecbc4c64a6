import { compile, emitters } from '@dgconv/compiler';
import { initialWeights, mapSource, writeModel, zooGraph, type StoredTensor } from '@dgconv/core';
import { writeFileAtomically } from '@dgconv/core/node';
import test from 'ava';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { dgconv } from './testing/dgconv.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-bad-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const graph = zooGraph('g_resnet_mnist');
const gateName = 'layer1.0.conv2.gate';

/** A model file whose first gates are others. */
const modelWithGates = (name: string, gates: StoredTensor): string => {
  const path = join(folder, name);
  const tensors = new Map([...initialWeights(graph, 1), [gateName, gates]]);
  const weights = mapSource(tensors);
  writeFileAtomically(path, writeModel({ graph, weights }));
  return path;
};

const good = { graph, weights: mapSource(initialWeights(graph, 1)) };
const edge = emitters.edge(compile(good, { formats: ['edge'] }).targets.edge!);

/** Refused in one sentence with exit code 3, and nothing is written. */
const refused = test.macro(async (t, message: RegExp, makeArgs: (out: string) => string[] | Promise<string[]>) => {
  const out = join(folder, `out-${t.title.replaceAll(/\W+/g, '-')}`);
  const outcome = await dgconv(...(await makeArgs(out)));
  t.is(outcome.code, 3, outcome.stderr);
  t.is(outcome.stdout, '');
  t.regex(outcome.stderr, message);
  t.is(outcome.stderr.trimEnd().split('\n').length, 1, outcome.stderr);
  t.false(existsSync(out));
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('.')),
    [],
    'no temporary file is left',
  );
});

test('a gate that is not a number', refused, /layer1\.0\.conv2.*NaN|NaN.*layer1\.0\.conv2/, (out) => {
  const gates = { shape: [5], values: Float32Array.of(1, Number.NaN, -1, 1, 1) };
  return ['compile', modelWithGates('nan.safetensors', gates), '--out', out];
});

test('a number of gates that does not fit the channels', refused, /layer1\.0\.conv2.*\b3\b/, (out) => {
  const gates = { shape: [3], values: Float32Array.of(1, -1, 1) };
  return ['compile', modelWithGates('three.safetensors', gates), '--out', out];
});

test('a .edge file that is cut off', refused, /cut\.edge/, (out) => {
  writeFileSync(join(folder, 'cut.edge'), edge.subarray(0, edge.length >> 1));
  return ['run', join(folder, 'cut.edge'), '--input', join(folder, 'cut.edge'), '--output', out];
});

test('a checkpoint that would call a function', refused, /call\.pth/, (out) => {
  writeFileSync(join(folder, 'call.pth'), Buffer.from('\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.', 'latin1'));
  return ['compile', join(folder, 'call.pth'), '--arch', 'g_resnext50', '--out', out];
});

test('an output folder that cannot be made', refused, /cannot be written/, (out) => {
  writeFileSync(join(folder, 'file.txt'), 'in the way');
  const model = modelWithGates('fine.safetensors', { shape: [5], values: Float32Array.of(1, 1, -1, 1, 1) });
  return ['compile', model, '--out', join(folder, 'file.txt', 'sub'), '--dump-passes-to', out];
});

test('a run directory that cannot be made', refused, /file2\.txt/, () => {
  writeFileSync(join(folder, 'file2.txt'), 'in the way');
  return [
    'train',
    '--model',
    'g_resnet_mnist',
    '--limit',
    '100',
    '--backend',
    'cpu',
    '--out',
    join(folder, 'file2.txt', 'run'),
  ];
});

test('an image where the model takes a tensor', refused, /does not say how an image is prepared/, async (out) => {
  writeFileSync(join(folder, 'plain.edge'), edge);
  const picture = join(folder, 'picture.png');
  await sharp({ create: { width: 28, height: 28, channels: 3, background: 'white' } })
    .png()
    .toFile(picture);
  return ['run', join(folder, 'plain.edge'), '--runtime', 'edge-wasm', '--input', picture, '--output', out];
});

test('an array that does not fit names the flag', refused, /--layout nhwc/, (out) => {
  writeFileSync(join(folder, 'plain2.edge'), edge);
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".padEnd(117) + '\n';
  const bytes = Buffer.concat([Buffer.from('\x93NUMPY\x01\x00v\x00', 'latin1'), Buffer.from(header), Buffer.alloc(8)]);
  writeFileSync(join(folder, 'x.npy'), bytes);
  return [
    'run',
    join(folder, 'plain2.edge'),
    '--runtime',
    'edge-wasm',
    '--input',
    join(folder, 'x.npy'),
    '--output',
    out,
  ];
});
