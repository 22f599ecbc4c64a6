import { compile } from '@dgconv/compiler';
import { initialWeights, mapSource, scaleWeight, fillWeight, zooGraph, type Model } from '@dgconv/core';
import { testInputs } from '@dgconv/compiler';
import { edgeWasmRuntime, type Runtime } from '@dgconv/runtimes';
import test from 'ava';
import { firstDifference } from './first-difference.js';

const graph = zooGraph('resnext_mnist');
const reference: Model = { graph, weights: mapSource(initialWeights(graph, 1)) };
const file = compile(reference, { formats: ['edge'] }).targets.edge!;
const { feeds } = testInputs(graph).at(-1)!;

test('a file whose kernel was changed is told by its layer', async (t) => {
  const nodes = file.graph.nodes.map((node) =>
    node.op === 'conv2d' && node.id === 'layer1.1.conv2'
      ? { ...node, weights: { ...node.weights, kernel: scaleWeight(node.weights.kernel, 0, fillWeight([32], 1.5)) } }
      : node,
  );
  const changed: Model = { ...file, graph: { ...file.graph, nodes } };
  const found = await firstDifference(changed, reference, edgeWasmRuntime, feeds);
  t.deepEqual(found, { layer: 'layer1.1.conv2', cause: 'file' });
});

test('a runtime that computes a layer wrongly is told from a wrong file', async (t) => {
  const nodes = file.graph.nodes;
  const place = nodes.findIndex(({ id }) => id === 'layer2.0.conv1');
  const wrong: Runtime = {
    ...edgeWasmRuntime,
    async load(bytes) {
      const session = await edgeWasmRuntime.load(bytes);
      const index = nodes.findIndex(({ id }) => id === session.outputs[0]!.name);
      return {
        ...session,
        async run(inputs) {
          const results = await session.run(inputs);
          return Object.fromEntries(
            Object.entries(results).map(([name, { shape, data }]) => [
              name,
              { shape, data: index >= place || index < 0 ? data.map((value) => value + 1) : data },
            ]),
          );
        },
      };
    },
  };
  t.deepEqual(await firstDifference(file, reference, wrong, feeds), { layer: 'layer2.0.conv1', cause: 'runtime' });
});

test('nothing is named where everything agrees', async (t) => {
  t.is(await firstDifference(file, reference, edgeWasmRuntime, feeds), null);
});
