import { InvalidInputError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { learnGroups } from '../graph/learn-groups.js';
import type { WeightSource } from '../graph/weights.js';
import { type CommonArchitecture, commonArchitecture, type Fields, type ZooOptions } from './fields.js';

/** A CondenseNet, its fields named as the arguments of the public repository. */
interface CondenseNetArchitecture extends CommonArchitecture {
  /** Layers of each dense block. */
  readonly stages: readonly number[];
  /** Channels that each layer of a block adds. */
  readonly growth: readonly number[];
  readonly group1x1: number;
  readonly group3x3: number;
  readonly condenseFactor: number;
  /** The 1×1 convolution of a layer has `bottleneck · growth` outputs. */
  readonly bottleneck: number;
  readonly initStride: number;
  /** Pixels of the last average pool, which must leave one. */
  readonly poolSize: number;
}

/**
 * Family `condensenet` (Huang et al., arXiv:1711.09224), named as in ShichenLiu/CondenseNet: `stages`, `growth`, `group_1x1` (4),
 * `group_3x3` (4), `condense_factor` (`group_1x1`), `bottleneck` (4), `init_stride` (2), `pool_size` (7) and what all families have.
 * A checkpoint in the converted layout (`….conv_1.index`) gives its deployed form: take → batch norm → ReLU → grouped 1×1 → shuffle.
 * @throws {InvalidInputError} if a field is wrong or the last pool does not leave one pixel.
 */
export function condenseNetFromConfig(fields: Fields, options: ZooOptions): Graph {
  const stages = fields.counts('stages');
  const group1x1 = fields.integer('group_1x1', 4);
  const architecture: CondenseNetArchitecture = {
    ...commonArchitecture(fields, 'condensenet', options),
    stages,
    growth: fields.integers('growth', undefined, stages.length),
    group1x1,
    group3x3: fields.integer('group_3x3', 4),
    condenseFactor: fields.integer('condense_factor', group1x1),
    bottleneck: fields.integer('bottleneck', 4),
    initStride: fields.integer('init_stride', 2),
    poolSize: fields.integer('pool_size', 7),
  };
  fields.refuseUnknown();
  const { checkpoint } = options;
  if (checkpoint?.names.some((name) => name.endsWith('.conv_1.index')) === true) {
    return condenseNet(architecture, convertedLayout(architecture, checkpoint));
  }
  return learnGroups(condenseNet(architecture, trainedLayout(architecture)), {
    rule: 'condense',
    select: '*.conv_1',
    groups: architecture.group1x1,
    condenseFactor: architecture.condenseFactor,
    weights: 'new',
  });
}

/** What differs between the checkpoint that was trained and the one that the public repository's converter writes. */
interface Layout {
  /** Batch norm, ReLU and the learned 1×1: x `[1, H, W, C_in]` → `[1, H, W, channelsOut]`. */
  learnedConv(g: GraphBuilder, id: string, x: string, channelsOut: number): string;
  classifier(g: GraphBuilder, x: string): string;
}

function trainedLayout({ numClasses }: CondenseNetArchitecture): Layout {
  return {
    learnedConv(g, id, x, channelsOut) {
      const y = g.relu(`${id}.relu`, g.batchNorm(`${id}.norm`, x));
      return g.conv(id, y, { channelsOut, kernelSize: 1 });
    },
    classifier: (g, x) => g.dense('classifier', x, numClasses),
  };
}

function convertedLayout({ group1x1, numClasses }: CondenseNetArchitecture, checkpoint: WeightSource): Layout {
  const take = (g: GraphBuilder, id: string, x: string): string => {
    const indices = Array.from(checkpoint.read(id));
    const channels = g.channels(x);
    const wrong = indices.find((index) => !Number.isInteger(index) || index < 0 || index >= channels);
    if (wrong !== undefined || indices.length === 0) {
      throw new InvalidInputError(
        `'${id}' of the checkpoint has ${wrong === undefined ? 'no entries' : `the entry ${wrong}`}: it must name some of ${channels} channels`,
      );
    }
    return g.takeChannels(id, x, indices);
  };
  return {
    learnedConv(g, id, x, channelsOut) {
      let y = take(g, `${id}.index`, x);
      y = g.relu(`${id}.relu`, g.batchNorm(`${id}.norm`, y));
      y = g.conv(`${id}.conv`, y, { channelsOut, kernelSize: 1, groups: group1x1 });
      return g.channelShuffle(id, y, group1x1);
    },
    classifier: (g, x) => g.dense('classifier.linear', take(g, 'classifier.index', x), numClasses),
  };
}

function condenseNet(architecture: CondenseNetArchitecture, layout: Layout): Graph {
  const { stages, growth, group3x3, bottleneck, poolSize } = architecture;
  const g = new GraphBuilder({ name: architecture.name });
  let x = g.input('input', [1, ...architecture.inputSize, architecture.inputChannels]);
  x = g.conv('features.init_conv', x, {
    channelsOut: 2 * growth[0]!,
    kernelSize: 3,
    stride: architecture.initStride,
  });
  stages.forEach((layers, stage) => {
    for (let layer = 1; layer <= layers; layer++) {
      const id = `features.denseblock_${stage + 1}.denselayer_${layer}`;
      let y = layout.learnedConv(g, `${id}.conv_1`, x, bottleneck * growth[stage]!);
      y = g.relu(`${id}.conv_2.relu`, g.batchNorm(`${id}.conv_2.norm`, y));
      y = g.conv(`${id}.conv_2.conv`, y, { channelsOut: growth[stage]!, kernelSize: 3, groups: group3x3 });
      x = g.concatChannels(id, [x, y]);
    }
    if (stage < stages.length - 1) {
      x = g.averagePool(`features.transition_${stage + 1}.pool`, x, { kernelSize: 2, stride: 2 });
    }
  });
  x = g.relu('features.relu_last', g.batchNorm('features.norm_last', x));
  const [, height = 0, width = 0] = g.shape(x);
  if (height !== poolSize || width !== poolSize) {
    throw new InvalidInputError(
      `"pool_size" is ${poolSize}, but the last block works on ${height}×${width} pixels: they must agree, or the classifier does not fit`,
    );
  }
  x = layout.classifier(g, g.globalAveragePool('features.pool_last', x));
  return g.build([{ name: 'logits', value: x }]);
}
