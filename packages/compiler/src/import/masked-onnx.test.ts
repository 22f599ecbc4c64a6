import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  graphFromArchConfig,
  hardGrouping,
  initialWeights,
  mapSource,
  maskOf,
  type Model,
  type NodeOf,
  RandomSource,
  type StoredTensor,
} from '@dgconv/core';
import test from 'ava';
import { compile } from '../compile.js';
import { emitOnnx } from '../emit/onnx.js';
import { checkEquivalence, interpreted, testInputs } from '../equivalence.js';
import { importModel } from './import-model.js';

/** A G-ResNet with gates that are off and on at random. */
function learnedModel(): { model: Model; tensors: Map<string, StoredTensor> } {
  const graph = graphFromArchConfig({
    block: 'Bottleneck',
    layers: [1, 1],
    planes: [16, 32],
    groups: 32,
    width_per_group: 4,
    num_classes: 5,
    input_size: [12, 12],
    stem: { channels: 16 },
  });
  const tensors = initialWeights(graph, 3);
  const random = new RandomSource(4);
  for (const [name, { values }] of tensors) {
    if (name.endsWith('.gate')) values.forEach((_, index) => (values[index] = index % 2 === 0 ? -1 : 1));
    if (/bn|downsample\.1/.test(name)) values.forEach((_, index) => (values[index] = 0.5 + random.uniform()));
  }
  return { model: { graph, weights: mapSource(tensors) }, tensors };
}

/** What PyTorch exports: dense convolutions whose kernels are zero where the mask is. */
function maskedDense({ model, tensors }: ReturnType<typeof learnedModel>): Model {
  const masked = new Map(tensors);
  const dense = (node: NodeOf<'conv2d'>): NodeOf<'conv2d'> => {
    const { connectivity } = node.attrs;
    const { channelsOut, channelsIn } = connectivity;
    const mask = maskOf(hardGrouping(node, model.weights));
    const { kernel } = node.weights;
    const name = kernel.kind === 'stored' ? kernel.name : '';
    const { shape, values } = tensors.get(name)!;
    const taps = shape[2]! * shape[3]!;
    masked.set(name, {
      shape,
      values: values.map((value, index) => {
        const pair = Math.floor(index / taps);
        return value * mask.get(Math.floor(pair / channelsIn), pair % channelsIn);
      }),
    });
    return {
      ...node,
      attrs: { ...node.attrs, connectivity: { kind: 'dense', groups: 1, channelsOut, channelsIn } },
      weights: { kernel },
    };
  };
  const nodes = model.graph.nodes.map((node) =>
    node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned' ? dense(node) : node,
  );
  return { graph: { ...model.graph, nodes }, weights: mapSource(masked) };
}

test('an ONNX export with masked dense kernels compiles to the groups that the gates chose, without any shuffle', async (t) => {
  const learned = learnedModel();
  const path = join(mkdtempSync(join(tmpdir(), 'dgconv-masked-')), 'model.onnx');
  writeFileSync(path, emitOnnx(maskedDense(learned)));
  const { model, masks } = importModel(path);
  t.deepEqual(
    masks.map(({ node }) => node),
    ['layer1.0.conv2', 'layer2.0.conv2'],
  );
  const fromOnnx = compile(model, { formats: ['onnx', 'edge'] });
  const fromGates = compile(learned.model, { formats: ['onnx', 'edge'] });
  t.is(fromOnnx.zeta, fromGates.zeta);
  t.is(fromOnnx.macsAfter, fromGates.macsAfter);
  t.is(fromOnnx.shufflesLeft, 0);
  t.deepEqual(
    fromOnnx.layers.map(({ grouping, groups }) => [grouping, groups]),
    fromGates.layers.map(({ grouping, groups }) => [grouping, groups]),
  );
  const report = await checkEquivalence(
    interpreted(learned.model),
    interpreted(fromOnnx.targets.onnx!),
    testInputs(learned.model.graph),
  );
  t.true(report.isEqual, JSON.stringify(report));
});
