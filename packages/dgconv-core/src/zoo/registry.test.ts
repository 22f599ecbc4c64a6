import test from 'ava';
import { InvalidInputError, UsageError } from '../errors.js';
import { budgetConnections } from '../grouping/budget.js';
import { bind } from '../graph/bind.js';
import type { Graph } from '../graph/graph.js';
import { interpret } from '../graph/interpret.js';
import { mapSource } from '../graph/sources.js';
import { RandomSource } from '../random.js';
import { graphFromArchConfig } from './arch-config.js';
import { initialWeights } from './initial-weights.js';
import { zooGraph, zooNames } from './registry.js';

function learnedChannels(graph: Graph): number[] {
  return graph.nodes.flatMap((node) =>
    node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned' ? [node.attrs.connectivity.channelsIn] : [],
  );
}

test('every network of the zoo can be made, and no value is used before it exists', (t) => {
  for (const name of zooNames) {
    const graph = zooGraph(name);
    const values = new Set(graph.inputs.map((input) => input.name));
    for (const node of graph.nodes) {
      for (const input of node.inputs) t.true(values.has(input), `${name}: ${node.id} ← ${input}`);
      t.false(values.has(node.id), `${name}: ${node.id} twice`);
      values.add(node.id);
    }
    t.true(values.has(graph.outputs[0]!.value));
    t.is(graph.metadata.name, name);
  }
});

test('the budgets of the G-ResNeXts with b = 32 are the published ones', (t) => {
  t.is(budgetConnections(learnedChannels(zooGraph('g_resnext50')), 32), 157_184);
  t.is(budgetConnections(learnedChannels(zooGraph('g_resnext101')), 32), 1_185_792);
});

test('a G-ResNet is named as in the public repository', (t) => {
  const arch = { block: 'Bottleneck', layers: [1, 1, 1, 1], groups: 8, width_per_group: 4, num_classes: 10 };
  const graph = graphFromArchConfig({ source: 'a reference file', arch }, { inputSize: [32, 32] });
  const names = [...initialWeights(graph, 0)].map(([name, { shape }]) => `${name} ${shape.join('x')}`);
  for (const expected of [
    'conv1.weight 64x3x7x7',
    'bn1.running_var 64',
    'layer1.0.conv2.gate 5',
    'layer1.0.conv2.conv.weight 32x32x3x3',
    'layer4.0.conv2.gate 8',
    'layer4.0.downsample.0.weight 2048x1024x1x1',
    'layer4.0.downsample.1.weight 2048',
    'fc.weight 10x2048',
    'fc.bias 10',
  ]) {
    t.true(names.includes(expected), expected);
  }
});

test('small networks of the zoo compute finite logits from first weights', (t) => {
  for (const name of zooNames.filter((name) => name.endsWith('_mnist'))) {
    const graph = zooGraph(name);
    const random = new RandomSource(1);
    const input = Float64Array.from({ length: 28 * 28 }, () => random.normal());
    const { logits } = interpret(bind(graph, mapSource(initialWeights(graph, 2))), { input });
    t.is(logits?.length, 10, name);
    t.true(logits?.every(Number.isFinite), name);
    t.true(new Set(logits).size > 1, name);
  }
});

test('first weights depend on the seed alone', (t) => {
  const graph = zooGraph('g_resnet_mnist');
  t.deepEqual(initialWeights(graph, 5), initialWeights(graph, 5));
  t.notDeepEqual(initialWeights(graph, 5).get('conv1.weight'), initialWeights(graph, 6).get('conv1.weight'));
  const gates = [...initialWeights(graph, 5).get('layer1.0.conv2.gate')!.values];
  t.true(gates.every((gate) => Math.abs(gate) === Math.fround(1e-8)));
});

test('the options go before the sizes of the architecture', (t) => {
  const graph = zooGraph('g_resnet_mnist', { numClasses: 3, inputChannels: 2, inputSize: [16, 20] });
  t.deepEqual(graph.inputs, [{ name: 'input', shape: [1, 16, 20, 2] }]);
  const last = graph.nodes.at(-1);
  t.is(last?.op === 'dense' && last.attrs.channelsOut, 3);
});

test('a model that is not there is wrong usage', (t) => {
  t.throws(() => zooGraph('resnet5'), {
    instanceOf: UsageError,
    message: /^there is no model 'resnet5': the zoo has resnet50, /,
  });
});

const tiny = {
  family: 'g_resnet',
  block: 'Bottleneck',
  layers: [1, 1],
  groups: 8,
  width_per_group: 4,
  input_size: [32, 32],
};

for (const [title, config, message] of [
  ['no object', [], 'the architecture file is []: it must be a JSON object'],
  ['no family', {}, /^"family" is missing in the architecture file: it must be one of "resnet", "g_resnet"/],
  ['an unknown family', { family: 'vgg' }, /^"family" in the architecture file is "vgg": it must be one of /],
  [
    'a wrong block',
    { ...tiny, block: 'Block' },
    '"block" in the architecture file is "Block": it must be one of "BasicBlock", "Bottleneck"',
  ],
  [
    'a negative count',
    { ...tiny, layers: [1, -1] },
    '"layers" in the architecture file is [1,-1]: it must be a list of 1 to 64 integers from 1 to 65536',
  ],
  [
    'too many layers',
    { ...tiny, layers: [60000, 1] },
    '"layers" in the architecture file is [60000,1]: it must be a list of positive integers with a sum of at most 1024',
  ],
  [
    'a field that does not exist',
    { ...tiny, width: 4 },
    /^"width" in the architecture file is not a field of this family: its fields are "family", "block", "layers", /,
  ],
  [
    'no input size',
    { ...tiny, input_size: undefined },
    'the height and width of the input are not known: a model file may say them, or "input_size": [H, W] in the architecture file, or --input-shape C,H,W',
  ],
  [
    'no width left',
    { ...tiny, width_per_group: 1, planes: [8, 8] },
    "convolution 'layer1.0.conv1' would have 0 output channels: it needs at least one",
  ],
  [
    'groups that do not divide',
    { ...tiny, family: 'resnet', block: 'BasicBlock', groups: 7 },
    "convolution 'layer1.0.conv1': 64 input and 64 output channels cannot be split into 7 groups: both must be multiples of the number of groups",
  ],
  [
    'a stem with a wrong field',
    { ...tiny, stem: { channels: 'many' } },
    '"channels" in "stem" in the architecture file is "many": it must be an integer from 1 to 65536',
  ],
] as const) {
  test(`an architecture file with ${title} is refused in one sentence`, (t) => {
    t.throws(() => graphFromArchConfig(config), { instanceOf: InvalidInputError, message });
  });
}

test('a file with an example input needs no input size of its own; one that says it is believed', (t) => {
  const arch = { block: 'Bottleneck', layers: [1], groups: 8, width_per_group: 4, num_classes: 10 };
  const file = { arch, input: { shape: [2, 3, 32, 48], layout: 'NCHW' } };
  t.deepEqual(graphFromArchConfig(file).inputs[0]!.shape, [1, 32, 48, 3]);
  t.deepEqual(
    graphFromArchConfig({ ...file, arch: { ...arch, input_size: [64, 64] } }).inputs[0]!.shape,
    [1, 64, 64, 3],
  );
  t.throws(() => graphFromArchConfig({ arch }), { message: /height and width of the input are not known/ });
});

test('a stage of a ResNet can spread its taps instead of halving the image', (t) => {
  const config = { family: 'resnet', block: 'Bottleneck', layers: [1, 1, 2, 2], num_classes: 2, input_size: [64, 64] };
  const graph = graphFromArchConfig({ ...config, replace_stride_with_dilation: [false, true, true] });
  const spread = graph.nodes.flatMap((node) =>
    node.op === 'conv2d' && node.id.endsWith('conv2')
      ? [`${node.id}: ${node.attrs.strides[0]}, ${node.attrs.dilations[0]}`]
      : [],
  );
  // The first block of a dilated stage still has the spacing of the stage before it, as in torchvision.
  t.deepEqual(spread, [
    'layer1.0.conv2: 1, 1',
    'layer2.0.conv2: 2, 1',
    'layer3.0.conv2: 1, 1',
    'layer3.1.conv2: 1, 2',
    'layer4.0.conv2: 1, 2',
    'layer4.1.conv2: 1, 4',
  ]);
  t.deepEqual(
    graphFromArchConfig({ ...config, replace_stride_with_dilation: null }),
    graphFromArchConfig(config),
    'as Python writes None',
  );
  t.throws(() => graphFromArchConfig({ ...config, replace_stride_with_dilation: [true] }), {
    message: /"replace_stride_with_dilation" in .* is \[true\]: it must be a list of 3 values of true or false/,
  });
});
