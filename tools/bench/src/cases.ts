import { type Graph, GraphBuilder, graphFromArchConfig, UsageError, zooGraph } from '@dgconv/core';

/** A network to be timed; its weights are random. */
export interface BenchCase {
  readonly name: string;
  readonly graph: () => Graph;
  /** Whether the peers get files in which groups that are too small for them are merged, as `dgconv compile` writes them. */
  readonly isMergedForPeers?: boolean;
}

interface ChainOptions {
  readonly channels: number;
  readonly pixels: number;
  readonly channelsPerGroup: number;
  readonly kernelSize?: number;
  readonly stride?: number;
}

/**
 * Three convolutions in a row, each with bias and ReLU, so that every one reads what another has just written. With a stride
 * the input is large enough that the last still has pixels.
 */
function chain({ channels, pixels, channelsPerGroup, kernelSize = 3, stride = 1 }: ChainOptions): Graph {
  const builder = new GraphBuilder({ name: 'chain' });
  let value = builder.input('input', [1, pixels, pixels, channels]);
  for (let layer = 0; layer < 3; layer++) {
    const groups = channels / channelsPerGroup;
    value = builder.conv(`conv${layer}`, value, { channelsOut: channels, kernelSize, stride, groups, bias: true });
    value = builder.relu(`relu${layer}`, value);
  }
  return builder.build([{ name: 'output', value }]);
}

/** 1×1 convolutions that go from `wide` to `narrow` channels and back, as in a bottleneck. */
function pointwiseChain(wide: number, narrow: number, pixels: number): Graph {
  const builder = new GraphBuilder({ name: 'pointwise' });
  let value = builder.input('input', [1, pixels, pixels, wide]);
  for (const [layer, channelsOut] of [narrow, wide, narrow].entries()) {
    value = builder.conv(`conv${layer}`, value, { channelsOut, kernelSize: 1, bias: true });
    value = builder.relu(`relu${layer}`, value);
  }
  return builder.build([{ name: 'output', value }]);
}

/** A network whose 1×1 convolutions are grouped too: 8 groups there, `channelsPerGroup` in the 3×3; 224² pixels. */
function groupedEverywhere(channelsPerGroup: number): Graph {
  const builder = new GraphBuilder({ name: `grouped${channelsPerGroup}` });
  let value = builder.input('input', [1, 224, 224, 3]);
  const conv = (id: string, channelsOut: number, kernelSize: number, groups: number, stride = 1): void => {
    value = builder.conv(id, value, { channelsOut, kernelSize, stride, groups, bias: true });
    value = builder.relu(`${id}.relu`, value);
  };
  conv('stem', 128, 3, 1, 2);
  value = builder.maxPool('pool', value, { kernelSize: 3, stride: 2, padding: 1 });
  for (const [stage, width] of [128, 256, 512].entries()) {
    if (stage > 0) conv(`stage${stage}.down`, width, 3, width / 2 / channelsPerGroup, 2);
    for (let block = 0; block < 4; block++) {
      const shortcut = value;
      const id = `stage${stage}.${block}`;
      conv(`${id}.conv1`, width, 1, 8);
      conv(`${id}.conv2`, width, 3, width / channelsPerGroup);
      value = builder.conv(`${id}.conv3`, value, { channelsOut: width, kernelSize: 1, groups: 8, bias: true });
      value = builder.relu(`${id}.relu`, builder.add(`${id}.add`, value, shortcut));
    }
  }
  value = builder.dense('fc', builder.globalAveragePool('mean', value), 1000);
  return builder.build([{ name: 'output', value }]);
}

/** ResNeXt-50 with 4 channels a group in every 3×3, whatever its width. */
function resNext50FourPerGroup(): Graph {
  const builder = new GraphBuilder({ name: 'resnext50_4_per_group' });
  let value = builder.input('input', [1, 224, 224, 3]);
  const conv = (id: string, x: string, channelsOut: number, kernelSize: number, stride = 1, groups = 1) =>
    builder.conv(id, x, { channelsOut, kernelSize, stride, groups, bias: true });
  value = builder.relu('relu', conv('conv1', value, 64, 7, 2));
  value = builder.maxPool('pool', value, { kernelSize: 3, stride: 2, padding: 1 });
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 128 << stage;
    for (let block = 0; block < blocks; block++) {
      const id = `layer${stage + 1}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const shortcut = block === 0 ? conv(`${id}.downsample`, value, width * 2, 1, stride) : value;
      let branch = builder.relu(`${id}.relu1`, conv(`${id}.conv1`, value, width, 1));
      branch = builder.relu(`${id}.relu2`, conv(`${id}.conv2`, branch, width, 3, stride, width / 4));
      branch = conv(`${id}.conv3`, branch, width * 2, 1);
      value = builder.relu(`${id}.relu3`, builder.add(`${id}.add`, branch, shortcut));
    }
  }
  value = builder.dense('fc', builder.globalAveragePool('mean', value), 1000);
  return builder.build([{ name: 'output', value }]);
}

const layer = (name: string, options: ChainOptions): BenchCase => ({ name, graph: () => chain(options) });

const layers: readonly BenchCase[] = [
  layer('2 a group, 128 ch, 56²', { channels: 128, pixels: 56, channelsPerGroup: 2 }),
  layer('4 a group, 128 ch, 56²', { channels: 128, pixels: 56, channelsPerGroup: 4 }),
  layer('4 a group, 512 ch, 14²', { channels: 512, pixels: 14, channelsPerGroup: 4 }),
  layer('8 a group, 256 ch, 28²', { channels: 256, pixels: 28, channelsPerGroup: 8 }),
  layer('16 a group, 512 ch, 14²', { channels: 512, pixels: 14, channelsPerGroup: 16 }),
  layer('depthwise, 128 ch, 56²', { channels: 128, pixels: 56, channelsPerGroup: 1 }),
  layer('dense 3×3, 128 ch, 56²', { channels: 128, pixels: 56, channelsPerGroup: 128 }),
  { name: 'dense 1×1, 256↔512 ch, 28²', graph: () => pointwiseChain(256, 512, 28) },
  layer('4 a group, 120 ch, 55²', { channels: 120, pixels: 55, channelsPerGroup: 4 }),
  layer('stride 2, 4 a group, 128 ch, 56²', { channels: 128, pixels: 56, channelsPerGroup: 4, stride: 2 }),
];

const networks: readonly BenchCase[] = [
  { name: 'ResNeXt-50 32×4d, 224²', graph: () => zooGraph('resnext50_32x4d') },
  {
    name: 'the same with dense 3×3',
    graph: () =>
      graphFromArchConfig({
        family: 'resnet',
        block: 'Bottleneck',
        layers: [3, 4, 6, 3],
        width_per_group: 128,
        input_size: [224, 224],
      }),
  },
  { name: 'ResNeXt-50, 4 a group everywhere', graph: resNext50FourPerGroup },
  { name: 'grouped 1×1 too, 4 a group', graph: () => groupedEverywhere(4) },
  { name: 'grouped 1×1 too, 8 a group', graph: () => groupedEverywhere(8) },
  { name: '4 a group, peers on merged groups', graph: () => groupedEverywhere(4), isMergedForPeers: true },
  { name: '8 a group, peers on merged groups', graph: () => groupedEverywhere(8), isMergedForPeers: true },
];

const smoke: readonly BenchCase[] = [
  {
    name: 'tiny ResNeXt, 32²',
    graph: () =>
      graphFromArchConfig({
        family: 'resnet',
        block: 'Bottleneck',
        layers: [1, 1],
        groups: 8,
        width_per_group: 16,
        num_classes: 10,
        input_size: [32, 32],
      }),
  },
  layer('4 a group, 16 ch, 8²', { channels: 16, pixels: 8, channelsPerGroup: 4 }),
];

/** Suites by name; `smoke` exists to see that everything works, not for its numbers. */
export const suites: Readonly<Record<string, readonly BenchCase[]>> = {
  layers,
  networks,
  all: [...layers, ...networks],
  smoke,
};

/** @throws {UsageError} if there is no suite of that name. */
export function suiteNamed(name: string): readonly BenchCase[] {
  const suite = Object.hasOwn(suites, name) ? suites[name] : undefined;
  if (!suite) throw new UsageError(`there is no suite '${name}': the suites are ${Object.keys(suites).join(', ')}`);
  return suite;
}
