// The light forms of ONNX's `real` suite, which PyPI's package onnx carries: the networks as they were exported, each weight one
// number, with the output for an input that counts from 0 to 1.
import { compile, decodeOnnxTensor, emitters, importOnnx } from '@dgconv/compiler';
import { elementCount } from '@dgconv/core';
import { convertLayout, edgeNativeRuntime, edgeWasmRuntime, runNhwc } from '@dgconv/runtimes';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { difference } from './compare.js';

// Those whose weights are not gigabytes.
const networks = ['densenet121', 'inception_v1', 'inception_v2', 'resnet50', 'shufflenet', 'squeezenet'];

const folderOf = 'import os, onnx.backend.test as t; print(os.path.join(os.path.dirname(t.__file__), "data", "light"))';
const python = spawnSync('python3', ['-c', folderOf], { encoding: 'utf8' });

const run = test.macro(async (t, name: string) => {
  const folder = python.stdout.trim();
  const model = importOnnx(readFileSync(join(folder, `light_${name}.onnx`)));
  const [input] = model.graph.inputs;
  const [batch, height, width, channels] = input!.shape as [number, number, number, number];
  const shape = [batch, channels, height, width];
  const count = elementCount(shape);
  const data = Float32Array.from({ length: count }, (_, index) => index / count);
  const tensor = decodeOnnxTensor(readFileSync(join(folder, `light_${name}_output_0.pb`)));
  const expected = convertLayout(
    { shape: tensor.shape, data: Float32Array.from(tensor.read(() => t.fail())) },
    'NCHW',
    'NHWC',
  );
  const runtime = (await edgeNativeRuntime.whyUnavailable()) === null ? edgeNativeRuntime : edgeWasmRuntime;
  const session = await runtime.load(emitters.edge(compile(model, { formats: ['edge'] }).targets.edge!));
  const feed = convertLayout({ shape, data }, 'NCHW', 'NHWC').data;
  const [result] = Object.values(await runNhwc(session, { [input!.name]: feed }));
  const largest = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  t.true(largest > 0);
  t.is(difference(expected, result!, { relative: 0, absolute: 1e-4 * largest }), null);
  await session.dispose();
});
for (const name of networks) {
  const title = `a network of ONNX's real suite gives its reference output: ${name}`;
  if (python.status === 0) test.serial(title, run, name);
  else test.skip(`${title} (skipped: python3 with the package onnx is absent)`, run, name);
}
