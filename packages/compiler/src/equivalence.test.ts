import {
  bind,
  type Graph,
  graphFromArchConfig,
  initialWeights,
  InvalidInputError,
  interpret,
  interpretAll,
  isIdentityPermutation,
  mapSource,
  type Model,
  type Node,
} from '@dgconv/core';
import test from 'ava';
import { compile } from './compile.js';
import {
  checkEquivalence,
  difference,
  type Evaluator,
  firstDifferingNode,
  interpreted,
  testInputs,
} from './equivalence.js';
import { integerProbe } from './integer-probe.js';
import { randomModel } from '@dgconv/core/testing';

const formats = ['edge', 'onnx', 'tflite'] as const;
const families = {
  'a G-ResNet': {
    family: 'g_resnet',
    block: 'Bottleneck',
    layers: [1, 1],
    groups: 8,
    width_per_group: 4,
    num_classes: 10,
  },
  'a CondenseNet': {
    family: 'condensenet',
    stages: [2, 2],
    growth: [8, 16],
    group_1x1: 4,
    group_3x3: 4,
    condense_factor: 4,
    bottleneck: 4,
    init_stride: 1,
    pool_size: 8,
    num_classes: 10,
  },
};

function model(config: Record<string, unknown>): Model {
  const graph = graphFromArchConfig(config, { inputSize: [16, 16] });
  return bind(graph, mapSource(initialWeights(graph, 3)));
}

for (const [name, config] of Object.entries(families)) {
  test(`the integer probe of ${name} agrees bit for bit after every pass`, (t) => {
    const probe = integerProbe(model(config));
    const { feeds } = testInputs(probe.graph)[2]!;
    const expected = interpret(probe, feeds);
    const values = Object.values(interpretAll(probe, feeds));
    t.true(
      values.every((value) => value.every((number) => Math.abs(number) < 2 ** 24)),
      'exact in float32 too',
    );
    t.true(Object.values(expected).some((value) => value.some((number) => number !== 0)));
    const check = (stage: string, graph: Graph): void => {
      t.deepEqual(interpret({ graph, weights: probe.weights }, feeds), expected, stage);
    };
    compile(probe, { formats, observe: (format, { name: pass, after }) => check(`${format} after ${pass}`, after) });
  });
}

test('the integer probe shows a single exchanged pair of channels', (t) => {
  const probe = integerProbe(model(families['a G-ResNet']));
  const { feeds } = testInputs(probe.graph)[2]!;
  const compiled = compile(probe, { formats: ['edge'] }).targets.edge!;
  const nodes = compiled.graph.nodes.map((node): Node => {
    if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'equal') return node;
    const order = Array.from({ length: node.attrs.connectivity.channelsOut }, (_, channel) => channel);
    t.true(isIdentityPermutation(order));
    const exchanged = order.with(0, 1).with(1, 0);
    return {
      ...node,
      weights: { ...node.weights, kernel: { kind: 'take', of: node.weights.kernel, axis: 0, indices: exchanged } },
    };
  });
  const broken = { graph: { ...compiled.graph, nodes }, weights: compiled.weights };
  t.notDeepEqual(interpret(broken, feeds), interpret(probe, feeds));
});

test('a compiled network is equal to its source within the tolerance, and errors name where', async (t) => {
  const source = model(families['a CondenseNet']);
  const inputs = testInputs(source.graph, { random: 1 });
  t.deepEqual(
    inputs.map(({ name }) => name),
    ['zeros', 'ones', 'impulse', 'gradient', 'random 1'],
  );
  const { targets } = compile(source, { formats: ['edge'] });
  const report = await checkEquivalence(interpreted(source), interpreted(targets.edge!), inputs);
  t.true(report.isEqual);
  t.true(report.maxRelError < 1e-6);
  const off: Evaluator = {
    run: (feeds) =>
      Object.fromEntries(
        Object.entries(interpret(source, feeds)).map(([name, values]) => [
          name,
          values.map((value, index) => (index === 0 ? value + 1 : value)),
        ]),
      ),
  };
  const wrong = await checkEquivalence(interpreted(source), off, inputs);
  t.false(wrong.isEqual);
  t.true(Math.abs(wrong.maxAbsError - 1) < 1e-9);
});

test('differences are relative to the largest magnitude, and no number is never equal', (t) => {
  t.deepEqual(difference([1, -4], [1, -3], 'y'), { absolute: 1, relative: 0.25 });
  t.deepEqual(difference([0, 0], [0, 0], 'y'), { absolute: 0, relative: 0 });
  t.deepEqual(difference([NaN, Infinity], [NaN, Infinity], 'y'), { absolute: 0, relative: 0 });
  t.is(difference([1, 2], [1, NaN], 'y').relative, Infinity);
  t.throws(() => difference([1, 2], [1], 'y'), {
    instanceOf: InvalidInputError,
    message: "the output 'y' has 1 values; 2 are expected",
  });
});

test('bisection names the first node that an evaluator gets wrong', async (t) => {
  const source = randomModel(11, { size: 16 });
  const { feeds } = testInputs(source.graph)[4]!;
  const main = source.graph.nodes.filter(({ op }) => op === 'conv2d').at(-2)!;
  /** Multiplies the bias of one convolution. */
  const sabotage = (part: Model): Model => ({
    ...part,
    graph: {
      ...part.graph,
      nodes: part.graph.nodes.map((node) =>
        node.op === 'conv2d' && node.id === main.id
          ? {
              ...node,
              weights: {
                ...node.weights,
                bias: { kind: 'fill', shape: [node.attrs.connectivity.channelsOut], value: 100 },
              },
            }
          : node,
      ),
    },
  });
  const only = { ...source, graph: { ...source.graph, outputs: [{ name: 'y', value: main.id }] } };
  const found = await firstDifferingNode(only, (part) => interpreted(sabotage(part)), feeds);
  t.is(found?.node, main.id);
  t.deepEqual(found?.origin, [main.id]);
  t.is(await firstDifferingNode(only, interpreted, feeds), null);
});

test('an output that is all but zero may differ by the rounding of values around one', async (t) => {
  const input = [{ name: 'x', feeds: { x: Float32Array.of(0) } }];
  const gives = (value: number) => ({ run: () => ({ y: [value] }) });
  t.true((await checkEquivalence(gives(1e-20), gives(0), input)).isEqual);
  t.true((await checkEquivalence(gives(0), gives(5e-8), input)).isEqual);
  t.false((await checkEquivalence(gives(0), gives(1e-6), input)).isEqual);
  t.false((await checkEquivalence(gives(1e-5), gives(2e-5), input)).isEqual);
});
