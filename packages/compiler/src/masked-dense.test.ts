import { initialWeights, interpret, mapSource, zooGraph } from '@dgconv/core';
import test from 'ava';
import { testInputs } from './equivalence.js';
import { maskedDense } from './masked-dense.js';

test('the masked-dense form of learned groups has dense kernels only and computes the same', (t) => {
  const graph = zooGraph('g_resnet_mnist');
  const model = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const dense = maskedDense(model);
  const kinds = dense.graph.nodes.flatMap((node) => (node.op === 'conv2d' ? [node.attrs.connectivity.kind] : []));
  t.true(kinds.length > 0);
  t.true(kinds.every((kind) => kind === 'dense'));
  const [input] = testInputs(graph).slice(-1);
  t.deepEqual(interpret(dense, input!.feeds), interpret(model, input!.feeds));
});
