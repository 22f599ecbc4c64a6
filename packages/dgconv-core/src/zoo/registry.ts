import { UsageError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { graphFromArchConfig } from './arch-config.js';
import type { ZooOptions } from './fields.js';

const imageNet = { input_size: [224, 224] };
const mnist = { input_size: [28, 28], input_channels: 1, num_classes: 10 };
const cifar = { input_size: [32, 32], num_classes: 10 };

const bottlenecks50 = { block: 'Bottleneck', layers: [3, 4, 6, 3] };
const bottlenecks101 = { block: 'Bottleneck', layers: [3, 4, 23, 3] };

const condenseNet = { stages: [4, 6, 8, 10, 8], growth: [8, 16, 32, 64, 128] };
const smallShuffleNet = { layers: [2, 3], channels: [24, 120, 240], stem_stride: 1 };

/** MNIST: 28² pixels become 7² before the first stage, whose 3×3 convolutions are 32, then 64 wide. */
const mnistBottlenecks = {
  ...mnist,
  block: 'Bottleneck',
  layers: [2, 2],
  planes: [16, 32],
  groups: 32,
  width_per_group: 4,
  stem: { channels: 16, kernel_size: 3, stride: 2, max_pool: true },
};
const cifarBottlenecks = {
  ...cifar,
  block: 'Bottleneck',
  layers: [2, 2, 2],
  planes: [16, 32, 64],
  groups: 32,
  width_per_group: 4,
  stem: { channels: 16, kernel_size: 3 },
};

/** Every network of the zoo, as the architecture file that describes it. */
const zoo: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  resnet50: { family: 'resnet', ...imageNet, ...bottlenecks50 },
  resnet101: { family: 'resnet', ...imageNet, ...bottlenecks101 },
  resnext50_32x4d: { family: 'resnet', ...imageNet, ...bottlenecks50, groups: 32, width_per_group: 4 },
  resnext101_32x4d: { family: 'resnet', ...imageNet, ...bottlenecks101, groups: 32, width_per_group: 4 },
  resnext101_32x8d: { family: 'resnet', ...imageNet, ...bottlenecks101, groups: 32, width_per_group: 8 },
  g_resnext50: { family: 'g_resnet', ...imageNet, ...bottlenecks50, groups: 32, width_per_group: 4 },
  g_resnext101: { family: 'g_resnet', ...imageNet, ...bottlenecks101, groups: 32, width_per_group: 8 },
  condensenet_g4: { family: 'condensenet', ...imageNet, ...condenseNet, group_1x1: 4, group_3x3: 4 },
  condensenet_g8: { family: 'condensenet', ...imageNet, ...condenseNet, group_1x1: 8, group_3x3: 8 },
  condensenet_cifar86: {
    family: 'condensenet',
    ...cifar,
    stages: [14, 14, 14],
    growth: [8, 16, 32],
    init_stride: 1,
    pool_size: 8,
  },
  shufflenet_g3: { family: 'shufflenet', ...imageNet },
  igcv1: { family: 'igcv1', ...cifar },
  mobilenet_v2: { family: 'mobilenet_v2', ...imageNet },
  mobilenet_v2_flgc: { family: 'mobilenet_v2_flgc', ...cifar },
  mobilenet_v2_cifar: { family: 'mobilenet_v2_flgc', ...cifar, groups: 0 },
  resnet_mnist: { family: 'resnet', ...mnistBottlenecks, groups: 1, width_per_group: 128 },
  resnext_mnist: { family: 'resnet', ...mnistBottlenecks },
  g_resnet_mnist: { family: 'g_resnet', ...mnistBottlenecks },
  resnet_cifar: { family: 'resnet', ...cifarBottlenecks, groups: 1, width_per_group: 128 },
  resnext_cifar: { family: 'resnet', ...cifarBottlenecks },
  condensenet_mnist: {
    family: 'condensenet',
    ...mnist,
    stages: [3, 3],
    growth: [8, 16],
    init_stride: 2,
    pool_size: 7,
  },
  shufflenet_mnist: { family: 'shufflenet', ...mnist, ...smallShuffleNet },
  shufflenet_cifar: { family: 'shufflenet', ...cifar, ...smallShuffleNet },
  igcv1_mnist: { family: 'igcv1', ...mnist, primary: 12, blocks: 2 },
  mobilenet_v2_flgc_mnist: {
    family: 'mobilenet_v2_flgc',
    ...mnist,
    inverted_residuals: [
      [1, 16, 1, 2],
      [4, 24, 2, 2],
      [4, 32, 2, 1],
    ],
    groups: 4,
  },
  g_resnet_cifar: { family: 'g_resnet', ...cifarBottlenecks },
};

/** Names of the networks that {@link zooGraph} knows. */
export const zooNames: readonly string[] = Object.keys(zoo);

/**
 * A network of the zoo, without weights: {@link initialWeights} makes some, a public checkpoint binds by its names.
 * @throws {UsageError} if there is no network of that name.
 * @throws {InvalidInputError} if the network does not work with the input size.
 */
export function zooGraph(name: string, options: Omit<ZooOptions, 'name'> = {}): Graph {
  const architecture = Object.hasOwn(zoo, name) ? zoo[name] : undefined;
  if (architecture === undefined) {
    throw new UsageError(`there is no model '${name}': the zoo has ${zooNames.join(', ')}`);
  }
  return graphFromArchConfig(architecture, { ...options, name });
}
