import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  graphFromArchConfig,
  initialWeights,
  interpret,
  InvalidInputError,
  mapSource,
  type Model,
  type StoredTensor,
  writeModel,
  writeSafetensors,
} from '@dgconv/core';
import { writeFileAtomically } from '@dgconv/core/node';
import { randomFeeds } from '@dgconv/core/testing';
import test from 'ava';
import { importModel } from './import-model.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-import-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const config = {
  family: 'g_resnet',
  block: 'Bottleneck',
  layers: [1, 1],
  groups: 4,
  width_per_group: 4,
  num_classes: 3,
};
const inputShape = [3, 16, 16] as const;

function tinyModel(): Model & { tensors: Map<string, StoredTensor> } {
  const graph = graphFromArchConfig(config, { inputSize: [16, 16] });
  const tensors = initialWeights(graph, 1);
  return { graph, weights: mapSource(tensors), tensors };
}

function toWrite(tensors: Map<string, StoredTensor>) {
  return [...tensors].map(([name, { shape, values }]) => ({ name, shape, read: () => values }));
}

function path(...parts: string[]): string {
  return join(folder, ...parts);
}

test('a run directory gives the model that was saved in it', (t) => {
  const saved = tinyModel();
  mkdirSync(path('run'));
  writeFileAtomically(path('run', 'model.safetensors'), writeModel(saved));
  const { model, masks } = importModel(path('run'));
  const feeds = randomFeeds(saved.graph, 1);
  t.deepEqual(interpret(model, feeds), interpret(saved, feeds));
  t.regex(model.graph.metadata.sourceHash!, /^[0-9a-f]{64}$/);
  t.deepEqual(masks, []);
});

test('a directory without a model says what it is', (t) => {
  mkdirSync(path('empty'));
  t.throws(() => importModel(path('empty')), {
    instanceOf: InvalidInputError,
    message: `${path('empty')} is no run directory: it has no model.safetensors, which \`dgconv train\` writes`,
  });
  mkdirSync(path('unfinished'));
  writeFileSync(path('unfinished', 'run.json'), '{}');
  t.throws(() => importModel(path('unfinished')), {
    instanceOf: InvalidInputError,
    message: /has no model\.safetensors yet: its training did not finish/,
  });
});

test('a missing file and a file of another kind are named', (t) => {
  t.throws(() => importModel(path('nowhere.pth')), {
    instanceOf: InvalidInputError,
    message: `there is no file or directory ${path('nowhere.pth')}`,
  });
  writeFileSync(path('text.txt'), 'text');
  t.throws(() => importModel(path('text.txt')), { instanceOf: InvalidInputError, message: /is of no known kind/ });
});

test('a .safetensors checkpoint binds to its architecture, whole or in shards', (t) => {
  const { tensors, graph, weights } = tinyModel();
  writeFileAtomically(path('whole.safetensors'), writeSafetensors(toWrite(tensors)));
  const entries = [...tensors];
  const half = entries.length >> 1;
  const shards = { 'a.safetensors': entries.slice(0, half), 'b.safetensors': entries.slice(half) };
  const weightMap: Record<string, string> = {};
  for (const [file, part] of Object.entries(shards)) {
    writeFileAtomically(path(file), writeSafetensors(toWrite(new Map(part))));
    for (const [name] of part) weightMap[name] = file;
  }
  writeFileSync(path('net.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  const feeds = randomFeeds(graph, 2);
  const expected = interpret({ graph, weights }, feeds);
  for (const file of ['whole.safetensors', 'net.safetensors.index.json']) {
    const { model } = importModel(path(file), { architecture: { config }, inputShape });
    t.deepEqual(interpret(model, feeds), expected, file);
  }
});

test('a checkpoint that does not fit is told with file, network and tensor', (t) => {
  const { tensors } = tinyModel();
  tensors.delete('fc.bias');
  writeFileAtomically(path('lacking.safetensors'), writeSafetensors(toWrite(tensors)));
  t.throws(() => importModel(path('lacking.safetensors'), { architecture: { config }, inputShape }), {
    instanceOf: InvalidInputError,
    message: /lacking\.safetensors does not fit .*: a tensor is missing: 'fc\.bias'$/,
  });
  t.throws(() => importModel(path('lacking.safetensors')), {
    instanceOf: InvalidInputError,
    message: /holds weights only: --arch NAME or --arch-config FILE\.json has to say which network they belong to$/,
  });
});

test('a shard outside the folder of its index is refused', (t) => {
  writeFileSync(path('evil.safetensors.index.json'), JSON.stringify({ weight_map: { w: '../secret.safetensors' } }));
  t.throws(() => importModel(path('evil.safetensors.index.json'), { architecture: { config }, inputShape }), {
    instanceOf: InvalidInputError,
    message: /names the shard '\.\.\/secret\.safetensors'; shards are \.safetensors files in the same folder$/,
  });
});

test('images of another size can be asked for, of other channels not', (t) => {
  const saved = tinyModel();
  writeFileAtomically(path('sized.safetensors'), writeModel(saved));
  const { model } = importModel(path('sized.safetensors'), { inputShape: [3, 24, 20] });
  t.deepEqual(model.graph.inputs[0]!.shape, [1, 24, 20, 3]);
  t.notThrows(() => interpret(model, randomFeeds(model.graph, 1)));
  t.throws(() => importModel(path('sized.safetensors'), { inputShape: [1, 16, 16] }), {
    instanceOf: InvalidInputError,
    message: 'the network takes 3 input channels; --input-shape says 1',
  });
});

test('zeros that repeat over a kernel are a mask, and a threshold reports what it drops', (t) => {
  const { tensors } = tinyModel();
  const name = 'layer1.0.conv1.weight';
  const { shape, values } = tensors.get(name)!;
  const [outputs, inputs] = shape as [number, number];
  const pruned = values.map((value, index) => {
    const [output, input] = [Math.floor(index / inputs), index % inputs];
    return output % 2 === input % 2 ? 0.5 + Math.abs(value) : output === 0 && input === 1 ? 1e-4 : 0;
  });
  tensors.set(name, { shape, values: Float32Array.from(pruned) });
  writeFileAtomically(path('pruned.safetensors'), writeSafetensors(toWrite(tensors)));
  const open = (maskThreshold: number) =>
    importModel(path('pruned.safetensors'), { architecture: { config }, inputShape, maskThreshold });
  t.deepEqual(open(0).masks, [], 'one stray weight leaves no structure');
  const { masks, model } = open(1e-3);
  t.is(masks.length, 1);
  const { node, zeros, dropped, largestDropped } = masks[0]!;
  t.deepEqual({ node, zeros, dropped }, { node: 'layer1.0.conv1', zeros: (outputs * inputs) / 2, dropped: 1 });
  t.true(Math.abs(largestDropped - 1e-4) < 1e-9);
  const conv = model.graph.nodes.find(({ id }) => id === node)!;
  t.is(conv.op === 'conv2d' ? conv.attrs.connectivity.kind : '', 'masked');
});
