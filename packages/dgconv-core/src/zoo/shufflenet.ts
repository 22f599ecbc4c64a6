import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { type CommonArchitecture, commonArchitecture, type Fields, type ZooOptions } from './fields.js';

interface ShuffleNetArchitecture extends CommonArchitecture {
  readonly groups: number;
  /** Units of each stage. */
  readonly layers: readonly number[];
  /** Channels of the stem, then of each stage. */
  readonly channels: readonly number[];
  /** Stride of the stem: 2, with a max-pool of stride 2 after it, or 1 without, for small images. */
  readonly stemStride: number;
}

/**
 * Family `shufflenet` (Zhang et al., arXiv:1707.01083): `groups` (3), `layers` (4-8-4), `channels` (24-240-480-960), `stem_stride` (2),
 * `layout`: the names and details of `"megvii"` (megvii-model/ShuffleNet-Series, the default) or of `"jaxony"` (jaxony/ShuffleNet).
 * Their shuffles are each other's inverse, so that weights of one do not work in the other.
 * @throws {InvalidInputError} if a field is wrong or groups do not divide the channels.
 */
export function shuffleNetFromConfig(fields: Fields, options: ZooOptions): Graph {
  const layout = fields.choice('layout', ['megvii', 'jaxony'], 'megvii');
  const layers = fields.has('layers') ? fields.counts('layers') : [4, 8, 4];
  const architecture = {
    ...commonArchitecture(fields, 'shufflenet', options),
    groups: fields.integer('groups', 3),
    layers,
    channels: fields.integers('channels', [24, 240, 480, 960], layers.length + 1),
    stemStride: fields.integer('stem_stride', 2),
  };
  fields.refuseUnknown();
  return networks[layout](architecture);
}

const networks: Record<'megvii' | 'jaxony', (architecture: ShuffleNetArchitecture) => Graph> = {
  megvii(architecture) {
    const { groups, layers, channels, stemStride } = architecture;
    const g = new GraphBuilder({ name: architecture.name });
    let x = g.input('input', [1, ...architecture.inputSize, architecture.inputChannels]);
    x = g.conv('first_conv.0', x, { channelsOut: channels[0]!, kernelSize: 3, stride: stemStride });
    x = g.relu('first_conv.2', g.batchNorm('first_conv.1', x));
    if (stemStride > 1) x = g.maxPool('maxpool', x, { kernelSize: 3, stride: 2, padding: 1 });
    let index = 0;
    layers.forEach((units, stage) => {
      const channelsOut = channels[stage + 1]!;
      const width = Math.floor(channelsOut / 4);
      for (let unit = 0; unit < units; unit++, index++) {
        const id = `features.${index}`;
        const stride = unit === 0 ? 2 : 1;
        let y = g.conv(`${id}.branch_main_1.0`, x, {
          channelsOut: width,
          kernelSize: 1,
          groups: index === 0 ? 1 : groups,
        });
        y = g.relu(`${id}.branch_main_1.2`, g.batchNorm(`${id}.branch_main_1.1`, y));
        y = g.conv(`${id}.branch_main_1.3`, y, { channelsOut: width, kernelSize: 3, stride, groups: width });
        y = g.batchNorm(`${id}.branch_main_1.4`, y);
        if (groups > 1) y = g.channelShuffle(`${id}.channel_shuffle`, y, width / groups);
        const added = stride === 1 ? channelsOut : channelsOut - g.channels(x);
        y = g.conv(`${id}.branch_main_2.0`, y, { channelsOut: added, kernelSize: 1, groups });
        y = g.batchNorm(`${id}.branch_main_2.1`, y);
        if (stride === 1) {
          x = g.relu(`${id}.relu`, g.add(`${id}.add`, y, x));
        } else {
          const shortcut = g.averagePool(`${id}.branch_proj`, x, { kernelSize: 3, stride: 2, padding: 1 });
          x = g.concatChannels(`${id}.concat`, [shortcut, g.relu(`${id}.relu`, y)]);
        }
      }
    });
    x = g.dense('classifier.0', g.globalAveragePool('globalpool', x), architecture.numClasses, { bias: false });
    return g.build([{ name: 'logits', value: x }]);
  },

  jaxony(architecture) {
    const { groups, layers, channels, stemStride } = architecture;
    const g = new GraphBuilder({ name: architecture.name });
    let x = g.input('input', [1, ...architecture.inputSize, architecture.inputChannels]);
    x = g.conv('conv1', x, { channelsOut: channels[0]!, kernelSize: 3, stride: stemStride, bias: true });
    if (stemStride > 1) x = g.maxPool('maxpool', x, { kernelSize: 3, stride: 2, padding: 1 });
    layers.forEach((units, stage) => {
      const channelsOut = channels[stage + 1]!;
      const width = Math.floor(channelsOut / 4);
      for (let unit = 0; unit < units; unit++) {
        const id = `stage${stage + 2}.ShuffleUnit_Stage${stage + 2}_${unit}`;
        const stride = unit === 0 ? 2 : 1;
        let y = g.conv(`${id}.g_conv_1x1_compress.conv1x1`, x, {
          channelsOut: width,
          kernelSize: 1,
          groups: stage === 0 && unit === 0 ? 1 : groups,
          bias: true,
        });
        y = g.batchNorm(`${id}.g_conv_1x1_compress.batch_norm`, y);
        y = g.relu(`${id}.g_conv_1x1_compress.relu`, y);
        y = g.channelShuffle(`${id}.channel_shuffle`, y, groups);
        y = g.conv(`${id}.depthwise_conv3x3`, y, {
          channelsOut: width,
          kernelSize: 3,
          stride,
          groups: width,
          bias: true,
        });
        y = g.batchNorm(`${id}.bn_after_depthwise`, y);
        const added = stride === 1 ? channelsOut : channelsOut - g.channels(x);
        y = g.conv(`${id}.g_conv_1x1_expand.conv1x1`, y, { channelsOut: added, kernelSize: 1, groups, bias: true });
        y = g.batchNorm(`${id}.g_conv_1x1_expand.batch_norm`, y);
        const combined =
          stride === 1
            ? g.add(`${id}.add`, x, y)
            : g.concatChannels(`${id}.concat`, [
                g.averagePool(`${id}.avgpool`, x, { kernelSize: 3, stride: 2, padding: 1 }),
                y,
              ]);
        x = g.relu(`${id}.relu`, combined);
      }
    });
    x = g.dense('fc', g.globalAveragePool('avgpool', x), architecture.numClasses);
    x = g.activation('log', g.softmax('softmax', x), { function: 'log' });
    return g.build([{ name: 'logits', value: x }]);
  },
};
