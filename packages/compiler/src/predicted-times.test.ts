import { GraphBuilder, initialWeights, mapSource, type Model, zooGraph } from '@dgconv/core';
import test from 'ava';
import { compile } from './compile.js';
import { notFaster } from './predicted-times.js';

const formats = ['edge', 'onnx', 'tflite'] as const;

function random(graph: Model['graph']): Model {
  return { graph, weights: mapSource(initialWeights(graph, 3)) };
}

test('time is predicted for the whole and for each layer, in milliseconds where a machine was measured', (t) => {
  const model = random(zooGraph('g_resnet_mnist'));
  const x64 = compile(model, { formats, target: 'x64' });
  for (const format of formats) {
    const { before, after, beforeMs, afterMs } = x64.predicted[format]!;
    const layers = x64.layers.map(({ predicted }) => predicted[format]!);
    const sum = (of: (time: (typeof layers)[number]) => number): number =>
      layers.reduce((all, time) => all + of(time), 0);
    t.true(Math.abs(sum((time) => time.before) - before) <= layers.length);
    t.true(Math.abs(sum((time) => time.after) - after) <= layers.length, 'nothing is moved, so layers are everything');
    t.true(Math.abs(afterMs! / beforeMs! - after / before) < 1e-3);
    for (const layer of x64.layers.filter(({ grouping }) => grouping === 'equal'))
      t.true(layer.predicted[format]!.after < layer.predicted[format]!.before, layer.name);
  }
  const generic = compile(model, { formats }).predicted;
  t.is(generic.onnx!.beforeMs, undefined);
});

test('a layer that computes less but not faster says so', (t) => {
  const g = new GraphBuilder({ name: 'tiny' });
  const x = g.input('x', [1, 4, 4, 8]);
  const value = g.conv('layer', x, { channelsOut: 8, kernelSize: 1 });
  const graph = g.build([{ name: 'y', value }]);
  const [node] = graph.nodes;
  if (node?.op !== 'conv2d') throw new Error('the layer is a convolution');
  const connectivity = { kind: 'learned', rule: 'dgconv', channelsIn: 8, channelsOut: 8 } as const;
  const gates = { kind: 'literal', shape: [3], values: [-1, -1, 1] } as const;
  const learned = { ...node, attrs: { ...node.attrs, connectivity }, weights: { ...node.weights, gates } };
  const result = compile(random({ ...graph, nodes: [learned] }), { formats, target: 'x64' });
  const [layer] = result.layers;
  t.true(layer!.macsAfter < layer!.macsBefore);
  t.is(layer!.predicted.tflite!.note, notFaster, 'two channels a group are slower in XNNPACK than eight with zeros');
  t.is(result.predicted.tflite!.note, notFaster);
});

test('shuffles that remain name the grouped convolutions that need them', (t) => {
  const { shuffles, shufflesLeft } = compile(random(zooGraph('shufflenet_g3')), { formats: ['edge', 'onnx'] });
  // Sixteen units shuffle; the first one's 1×1 before it is dense and absorbs the order.
  t.is(shufflesLeft, 15);
  for (const { reason } of shuffles.onnx!) t.regex(reason, /\(3 groups\) and .* \(3 groups\) put the \d+ channels/);
  // Two shuffles a block; the last one's back is absorbed by the classifier.
  const igcv1 = compile(random(zooGraph('igcv1')), { formats: ['edge'] });
  t.is(igcv1.shufflesLeft, 35);
  t.true(igcv1.predicted.edge!.after < igcv1.predicted.edge!.before);
});
