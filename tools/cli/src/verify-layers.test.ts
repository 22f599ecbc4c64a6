import { compile, emitters } from '@dgconv/compiler';
import { fillWeight, initialWeights, mapSource, scaleWeight, writeModel, zooGraph, type Model } from '@dgconv/core';
import { writeFileAtomically } from '@dgconv/core/node';
import { runtimesFor, type ModelFormat } from '@dgconv/runtimes';
import test from 'ava';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dgconv } from './testing/dgconv.js';

const graph = zooGraph('resnext_mnist');
const source: Model = { graph, weights: mapSource(initialWeights(graph, 1)) };
const layer = 'layer1.1.conv2';

const formats: readonly ModelFormat[] = ['onnx', 'tflite', 'edge'];
const present = await Promise.all(
  formats.map(async (format) => {
    const missing = await Promise.all(runtimesFor(format).map((runtime) => runtime.whyUnavailable()));
    return { format, reason: missing.includes(null) ? null : missing[0]! };
  }),
);

for (const { format, reason } of present) {
  const title = `verify --layers names the layer whose weights were changed in an .${format} file`;
  (reason === null ? test : test.skip)(reason === null ? title : `${title} (skipped: ${reason})`, async (t) => {
    t.timeout(300_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-layers-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const reference = join(folder, 'reference.safetensors');
    writeFileAtomically(reference, writeModel(source));
    const target = compile(source, { formats: [format] }).targets[format]!;
    const nodes = target.graph.nodes.map((node) =>
      node.op === 'conv2d' && node.id === layer
        ? { ...node, weights: { ...node.weights, kernel: scaleWeight(node.weights.kernel, 0, fillWeight([32], 1.5)) } }
        : node,
    );
    t.true(nodes.some(({ id }) => id === layer));
    const file = join(folder, `changed.${format}`);
    writeFileSync(file, emitters[format]({ ...target, graph: { ...target.graph, nodes } }));
    const { code, stderr } = await dgconv('verify', file, '--reference', reference, '--layers');
    t.is(code, 1, stderr);
    t.regex(stderr, /the first layer that differs is layer1\.1\.conv2 \(file\)/);
  });
}
