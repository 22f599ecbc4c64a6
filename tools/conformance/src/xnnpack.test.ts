import { compile, emitTflite, xnnpackReport } from '@dgconv/compiler';
import { initialWeights, interpret, mapSource, UnsupportedError, zooGraph, type Feeds, type Model } from '@dgconv/core';
import { randomFeeds, randomModel } from '@dgconv/core/testing';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';
import { smallZoo } from './testing/networks.js';

/**
 * Runs every .tflite of a folder on the .in beside it in LiteRT with its default delegates, writes the outputs as .out, and prints
 * for each the number of operations and the tensors of those that no delegate took: those that are not needed by way of a delegate's
 * outputs from its inputs.
 */
const runner = `
import glob, json, sys
import numpy
from ai_edge_litert.interpreter import Interpreter
found = {}
for path in sorted(glob.glob(sys.argv[1] + '/*.tflite')):
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    feed = numpy.fromfile(path[:-7] + '.in', dtype=numpy.float32)
    for detail in interpreter.get_input_details():
        count = int(numpy.prod(detail['shape']))
        interpreter.set_tensor(detail['index'], feed[:count].reshape(detail['shape']))
        feed = feed[count:]
    interpreter.invoke()
    outputs = [interpreter.get_tensor(detail['index']).ravel() for detail in interpreter.get_output_details()]
    numpy.concatenate(outputs).tofile(path[:-7] + '.out')
    nodes = interpreter._get_ops_details()
    original = [node for node in nodes if node['op_name'] != 'DELEGATE']
    producer = {tensor: node for node in original for tensor in node['outputs']}
    taken = set()
    for delegate in nodes[len(original):]:
        stop, open_tensors = set(delegate['inputs']), list(delegate['outputs'])
        while open_tensors:
            tensor = open_tensors.pop()
            node = producer.get(tensor)
            if tensor in stop or node is None or node['index'] in taken:
                continue
            taken.add(node['index'])
            open_tensors += list(node['inputs'])
    names = {detail['index']: detail['name'] for detail in interpreter.get_tensor_details()}
    refused = [[node['op_name'], names[node['outputs'][0]]] for node in original if node['index'] not in taken]
    found[path.split('/')[-1]] = {'operations': len(original), 'refused': refused}
print(json.dumps(found))
`;

const isPresent = spawnSync('python3', ['-c', 'import ai_edge_litert.interpreter']).status === 0;
const title = "PyPI's LiteRT computes what we mean, and XNNPACK takes every operation but those that the report names";

interface Case {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly tolerance: number;
}

const cases = (): Case[] => [
  ...[...convCases(), ...otherCases()].map(({ model, feeds }) => ({ model, feeds, tolerance: 1e-5 })),
  ...Array.from({ length: 60 }, (_, seed) => {
    const model = randomModel(seed, { size: 6 + (seed % 20) });
    return { model: compiled(model), feeds: randomFeeds(model.graph, seed), tolerance: 1e-4 };
  }),
  ...smallZoo.map((name) => {
    const graph = zooGraph(name);
    const model = compiled({ graph, weights: mapSource(initialWeights(graph, 1)) });
    return { model, feeds: randomFeeds(graph, 1), tolerance: 1e-4 };
  }),
];

const compiled = (model: Model): Model => compile(model, { formats: ['tflite'] }).targets.tflite!;

const bytesOf = (arrays: readonly ArrayLike<number>[]): Uint8Array =>
  new Uint8Array(Float32Array.from(arrays.flatMap((values) => Array.from(values))).buffer);

(isPresent ? test : test.skip)(
  isPresent ? title : `${title} (skipped: python3 with the package ai-edge-litert is absent)`,
  (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-xnnpack-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const written = new Map<string, Case & { readonly bytes: Uint8Array }>();
    for (const [at, item] of cases().entries()) {
      const { model, feeds } = item;
      try {
        const bytes = emitTflite(model);
        writeFileSync(join(folder, `${at}.tflite`), bytes);
        writeFileSync(join(folder, `${at}.in`), bytesOf(model.graph.inputs.map(({ name }) => feeds[name]!)));
        written.set(`${at}.tflite`, { ...item, bytes });
      } catch (error) {
        t.true(error instanceof UnsupportedError, String(error));
      }
    }
    const { status, stdout, stderr } = spawnSync('python3', ['-c', runner, folder], {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    t.is(status, 0, stderr);
    const found = JSON.parse(stdout) as Record<string, { operations: number; refused: [string, string][] }>;
    t.is(Object.keys(found).length, written.size);
    let [operations, refusals] = [0, 0];
    for (const [file, { model, feeds, tolerance, bytes }] of written) {
      const { name } = model.graph.metadata;
      const report = xnnpackReport(bytes);
      const actual = found[file]!;
      t.is(report.operations, actual.operations, name);
      t.is(report.delegated, actual.operations - actual.refused.length, name);
      t.deepEqual(
        report.refused.map(({ operator, node }) => [operator, node]),
        actual.refused,
        name,
      );
      [operations, refusals] = [operations + report.operations, refusals + report.refused.length];
      const expected = Object.values(interpret(model, feeds)).flatMap((values) => Array.from(values));
      const result = readFileSync(join(folder, file.replace('.tflite', '.out')));
      const values = new Float32Array(result.buffer, result.byteOffset, result.length / 4);
      t.is(values.length, expected.length, name);
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
      const error = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - values[at]!)), 0);
      t.true(error <= tolerance * largest, `${name}: ${error} of ${largest}`);
    }
    t.true(operations > 1500 && refusals > 50, `${operations} operations, ${refusals} refused`);
  },
);
