import test from 'ava';
import { InvalidInputError } from '../errors.js';
import { condensedForm } from '../graph/condensed-form.js';
import { costOf } from '../graph/cost.js';
import type { Graph } from '../graph/graph.js';
import type { OpKind } from '../graph/ops.js';
import { elementCount } from '../graph/shape.js';
import { inferShapes } from '../graph/types.js';
import type { WeightSource } from '../graph/weights.js';
import { graphFromArchConfig } from './arch-config.js';
import { initialWeights } from './initial-weights.js';
import { zooGraph } from './registry.js';

/** `name shape` of every tensor that the network would bind. */
function tensorsOf(graph: Graph): Set<string> {
  return new Set([...initialWeights(graph, 0)].map(([name, { shape }]) => `${name} ${shape.join('x')}`));
}

for (const [name, params, gigaMacs] of [
  ['resnet50', 25_557_032, 4.09],
  ['resnet101', 44_549_160, 7.8],
  ['resnext50_32x4d', 25_028_904, 4.23],
  ['resnext101_32x4d', 44_177_704, 7.97],
  ['resnext101_32x8d', 88_791_336, 16.41],
  ['mobilenet_v2', 3_504_872, 0.3],
] as const) {
  test(`${name} has torchvision's ${params} parameters and ${gigaMacs} G multiply-adds`, (t) => {
    const cost = costOf(zooGraph(name));
    t.is(cost.params, params);
    t.is(Math.round(cost.macs / 1e7) / 100, gigaMacs);
  });
}

test('the G-ResNeXts have the published parameters while they are trained', (t) => {
  t.is(Math.round(costOf(zooGraph('g_resnext50')).params / 1e5), 689);
  t.is(Math.round(costOf(zooGraph('g_resnext101')).params / 1e5), 4196);
});

test('shufflenet_g3 has the published 1.9 M parameters and, but for 0.5 %, 138 M multiply-adds', (t) => {
  const cost = costOf(zooGraph('shufflenet_g3'));
  t.is(Math.round(cost.params / 1e5), 19);
  t.true(Math.abs(cost.macs / 138e6 - 1) < 0.005);
});

/** Elements of the values that nodes of an op make, or of their inputs. */
function elements(graph: Graph, op: OpKind, what: 'value' | 'input' = 'value'): number {
  const shapes = inferShapes(graph);
  return graph.nodes
    .filter((node) => node.op === op)
    .reduce((sum, node) => sum + elementCount(shapes.get(what === 'value' ? node.id : node.inputs[0]!)!), 0);
}

for (const [name, macs, params, published] of [
  ['condensenet_g4', 517_672_576, 5_805_944, { operations: 529, params: 4.8 }],
  ['condensenet_g8', 262_577_792, 3_967_416, { operations: 274, params: 2.9 }],
  ['condensenet_cifar86', 62_381_888, 520_202, { operations: 66, params: 0.5 }],
] as const) {
  test(`${name} condensed has ${macs} multiply-adds, which are the published ${published.operations} M the way its authors count`, (t) => {
    const graph = condensedForm(zooGraph(name));
    const cost = costOf(graph);
    t.is(cost.macs, macs);
    t.is(cost.params, params);
    // They add ReLU, pooling and the classifier's bias, and on ImageNet their converter drops half of the classifier's inputs.
    const classifier = cost.layers.at(-1)!;
    const dropped = name === 'condensenet_cifar86' ? 0 : (classifier.channelsIn * classifier.channelsOut) / 2;
    const pooling = 4 * elements(graph, 'average-pool') + elements(graph, 'reduce', 'input');
    const added = elements(graph, 'activation') + pooling + classifier.channelsOut;
    t.is(Math.round((cost.macs + added - dropped) / 1e6), published.operations);
    t.is(Math.round((cost.params - dropped) / 1e5) / 10, published.params);
  });
}

test('MobileNetV2 for small images has the published 94.9 and with FLGC 62.6 M operations, batch norm and ReLU6 counted', (t) => {
  const graph = zooGraph('mobilenet_v2_flgc');
  const cost = costOf(graph);
  const learned = cost.layers.filter(({ grouping }) => grouping === 'flgc').reduce((sum, { macs }) => sum + macs, 0);
  const dense = cost.macs + 2 * elements(graph, 'batch-norm') + elements(graph, 'activation');
  t.is(Math.floor(dense / 1e5), 949);
  t.is(Math.floor((dense - learned * (7 / 8)) / 1e5), 626);
});

for (const [name, expected] of [
  [
    'mobilenet_v2',
    [
      'features.0.0.weight 32x3x3x3',
      'features.1.conv.0.0.weight 32x1x3x3',
      'features.1.conv.1.weight 16x32x1x1',
      'features.1.conv.2.running_mean 16',
      'features.17.conv.3.weight 320',
      'features.18.0.weight 1280x320x1x1',
      'classifier.1.bias 1000',
    ],
  ],
  [
    'mobilenet_v2_flgc',
    [
      'features.1.conv.1.conv.weight 16x32x1x1',
      'features.1.conv.1.in_channels_in_group_assignment_map 32x8',
      'features.1.conv.1.out_channels_in_group_assignment_map 16x8',
      'features.1.shortcut.0.weight 16x32x1x1',
      'features.2.conv.2.conv.weight 24x96x1x1',
      'classifier.weight 10x1280',
    ],
  ],
  [
    'shufflenet_g3',
    [
      'first_conv.1.running_var 24',
      'features.0.branch_main_1.0.weight 60x24x1x1',
      'features.0.branch_main_2.0.weight 216x20x1x1',
      'features.1.branch_main_1.0.weight 60x80x1x1',
      'features.15.branch_main_1.3.weight 240x1x3x3',
      'classifier.0.weight 1000x960',
    ],
  ],
  [
    'condensenet_g4',
    [
      'features.init_conv.weight 16x3x3x3',
      'features.denseblock_1.denselayer_1.conv_1.norm.weight 16',
      'features.denseblock_1.denselayer_1.conv_1.conv.weight 32x16x1x1',
      'features.denseblock_1.denselayer_1.conv_1._mask 32x16x1x1',
      'features.denseblock_1.denselayer_1.conv_2.conv.weight 8x8x3x3',
      'features.norm_last.running_var 2064',
      'classifier.weight 1000x2064',
    ],
  ],
] as const) {
  test(`the tensors of ${name} are named as in its public repository`, (t) => {
    const tensors = tensorsOf(zooGraph(name));
    for (const tensor of expected) t.true(tensors.has(tensor), tensor);
  });
}

test('a ShuffleNet has the names of the other public repository where its layout is asked for', (t) => {
  const tensors = tensorsOf(
    graphFromArchConfig({ family: 'shufflenet', layout: 'jaxony', layers: [4, 8, 4], input_size: [224, 224] }),
  );
  for (const tensor of [
    'conv1.bias 24',
    'stage2.ShuffleUnit_Stage2_0.g_conv_1x1_compress.conv1x1.weight 60x24x1x1',
    'stage3.ShuffleUnit_Stage3_7.depthwise_conv3x3.bias 120',
    'stage4.ShuffleUnit_Stage4_3.g_conv_1x1_expand.batch_norm.running_mean 960',
    'fc.weight 1000x960',
  ]) {
    t.true(tensors.has(tensor), tensor);
  }
});

const condenseNet = {
  stages: [1, 1],
  growth: [8, 8],
  init_stride: 1,
  pool_size: 4,
  num_classes: 10,
  input_size: [8, 8],
};

function indices(...values: number[]): WeightSource {
  return {
    names: ['features.denseblock_1.denselayer_1.conv_1.index'],
    shape: () => [values.length],
    read: () => Float32Array.from(values),
  };
}

test('a converted CondenseNet checkpoint gives takes, grouped convolutions and shuffles', (t) => {
  const graph = graphFromArchConfig(condenseNet, { checkpoint: indices(3, 1, 2, 0, 7, 7, 5, 4) });
  const take = graph.nodes.find((node) => node.id === 'features.denseblock_1.denselayer_1.conv_1.index');
  t.deepEqual(take?.attrs, { axis: 3, indices: [3, 1, 2, 0, 7, 7, 5, 4] });
  const tensors = tensorsOf(graph);
  t.true(tensors.has('features.denseblock_1.denselayer_1.conv_1.norm.weight 8'));
  t.true(tensors.has('features.denseblock_1.denselayer_1.conv_1.conv.weight 32x2x1x1'));
  t.true(tensors.has('classifier.linear.weight 10x8'));
  t.deepEqual(graph.nodes.find((node) => node.id === 'features.denseblock_1.denselayer_1')?.inputs, [
    'features.init_conv',
    'features.denseblock_1.denselayer_1.conv_2.conv',
  ]);
});

test('indices that name no channel are refused', (t) => {
  t.throws(() => graphFromArchConfig(condenseNet, { checkpoint: indices(3, 16) }), {
    instanceOf: InvalidInputError,
    message:
      "'features.denseblock_1.denselayer_1.conv_1.index' of the checkpoint has the entry 16: it must name some of 16 channels",
  });
});

test('a pool that leaves more than one pixel is refused', (t) => {
  t.throws(() => graphFromArchConfig({ ...condenseNet, pool_size: 8 }), {
    instanceOf: InvalidInputError,
    message: /^"pool_size" is 8, but the last block works on 4×4 pixels: /,
  });
});
