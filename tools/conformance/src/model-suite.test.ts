import { type Graph, initialWeights, literalWeight, mapSource, type Node, zooGraph } from '@dgconv/core';
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

test('constants are a part of the cases that take them, and none by themselves', async (t) => {
  const constant = (id: string): Node => ({
    id,
    op: 'constant',
    inputs: [],
    attrs: { shape: [1, 3] },
    weights: { value: literalWeight([1, 3], [1, 2, 3]) },
    origin: [],
  });
  const sum = (id: string, ...inputs: [string, string]): Node => ({
    id,
    op: 'binary',
    inputs,
    attrs: { function: 'add', activation: { function: 'identity' } },
    weights: {},
    origin: [],
  });
  const withConstants: Graph = {
    formatVersion: '1.0',
    inputs: [{ name: 'x', shape: [1, 3] }],
    nodes: [constant('a'), constant('b'), sum('ab', 'a', 'b'), sum('xa', 'x', 'a'), sum('y', 'xa', 'ab')],
    outputs: [{ name: 'y', value: 'y' }],
    metadata: { name: 'net' },
  };
  const cases = modelSuite({ graph: withConstants, weights: mapSource(new Map()) });
  t.deepEqual(
    cases.map(({ name }) => name),
    ['net/xa (binary)', 'net/y (binary)'],
  );
  const { result } = await runConformance('net', cases, edgeWasmRuntime);
  t.deepEqual(result.failures, []);
  t.is(result.passed, 2);
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
