import { initialWeights, mapSource, zooGraph } from '@dgconv/core';
import { edgeWasmRuntime } from '@dgconv/runtimes';
import test from 'ava';
import { runConformance } from './conformance.js';
import { modelSuite } from './model-suite.js';

const graph = zooGraph('resnext_mnist');
const model = { graph, weights: mapSource(initialWeights(graph, 1)) };

test("a network's ops are cases, each kind on each shape once, and pass", async (t) => {
  const cases = modelSuite(model);
  t.true(cases.length > 5 && cases.length < graph.nodes.length, `${cases.length} cases`);
  t.is(new Set(cases.map(({ name }) => name)).size, cases.length);
  const { result } = await runConformance('resnext_mnist', cases, edgeWasmRuntime);
  t.deepEqual(result.failures, []);
  t.is(result.passed, cases.length);
});

test('a case fails where the engine computes something else', async (t) => {
  const [first] = modelSuite(model);
  const runs = [...first!.prepare('edge', () => undefined)];
  const wrong = {
    name: 'wrong',
    prepare: () =>
      runs.map((run) => ({
        ...run,
        expected: Object.fromEntries(
          Object.entries(run.expected).map(([name, { shape, data }]) => [
            name,
            { shape, data: data.map((v) => v + 1) },
          ]),
        ),
      })),
  };
  const { result } = await runConformance('wrong', [wrong], edgeWasmRuntime);
  t.is(result.failed, 1);
  t.is(result.failures[0]!.stage, 'mismatch');
});
