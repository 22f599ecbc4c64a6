import { compile, emitOnnx, importModel } from '@dgconv/compiler';
import { initialWeights, mapSource, UnsupportedError, zooGraph, type Model } from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';
import {
  realNetworkPath,
  realOnnxNetworks,
  realTfliteNetworks,
  smallZoo,
  whyNoRealNetwork,
} from './testing/networks.js';

/** Checks every file of a folder with full checks and strict shape inference; prints one line for each that fails. */
const checker = `
import glob, sys, onnx
for path in sorted(glob.glob(sys.argv[1] + '/*.onnx')):
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        print(path.split('/')[-1] + ': ' + str(error).replace('\\n', ' '))
`;

const compiled = (model: Model): Model => compile(model, { formats: ['onnx'] }).targets.onnx!;

const networks = (): Model[] => [
  ...[...smallZoo, 'condensenet_cifar86'].map((name) => {
    const graph = zooGraph(name);
    return compiled({ graph, weights: mapSource(initialWeights(graph, 1)) });
  }),
  ...[...Object.entries(realOnnxNetworks), ...Object.keys(realTfliteNetworks).map((file) => [file] as const)]
    .filter(([file]) => whyNoRealNetwork(file) === null)
    .map(([file, inputShape]) =>
      compiled(importModel(realNetworkPath(file), inputShape === undefined ? {} : { inputShape }).model),
    ),
];

const python = spawnSync('python3', ['-c', 'import onnx'], { encoding: 'utf8' });
const isPresent = python.status === 0;
const title = "onnx's checker and strict shape inference accept every file that we write";

(isPresent ? test : test.skip)(
  isPresent ? title : `${title} (skipped: python3 with the package onnx is absent)`,
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-onnx-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const models: Model[] = [...networks(), ...[...convCases(), ...otherCases()].map(({ model }) => model)];
    let written = 0;
    models.forEach((model, at) => {
      try {
        const name = `${at}-${model.graph.metadata.name.replaceAll(/[^\w-]+/g, '_').slice(0, 100)}.onnx`;
        writeFileSync(join(folder, name), emitOnnx(model));
        written++;
      } catch (error) {
        t.true(error instanceof UnsupportedError, String(error));
      }
    });
    t.true(written > 250);
    const { status, stdout, stderr } = spawnSync('python3', ['-c', checker, folder], { encoding: 'utf8' });
    t.is(status, 0, stderr);
    t.is(stdout, '');
  },
);
