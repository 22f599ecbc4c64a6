import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { learnGroups } from '../graph/learn-groups.js';
import { type CommonArchitecture, commonArchitecture, type Fields, type ZooOptions } from './fields.js';

/** Expansion, channels, blocks and stride of each stage, as in the paper's table 2. */
type Stages = readonly (readonly number[])[];

interface MobileNetArchitecture extends CommonArchitecture {
  readonly widthMultiplier: number;
  readonly stages: Stages;
}

/** What differs between torchvision's network and the one for 32² pixels of the public FLGC repository. */
interface Form {
  readonly stemStride: number;
  /** Whether blocks of stride 1 that change the channels have a projection shortcut. */
  readonly hasProjectionShortcuts: boolean;
  readonly classifier: { readonly id: string; readonly dropout: number };
}

const torchvisionForm: Form = {
  stemStride: 2,
  hasProjectionShortcuts: false,
  classifier: { id: 'classifier.1', dropout: 0.2 },
};
const smallImageForm: Form = {
  stemStride: 1,
  hasProjectionShortcuts: true,
  classifier: { id: 'classifier', dropout: 0 },
};

const stagesOf = (strideOfSecond: number): Stages => [
  [1, 16, 1, 1],
  [6, 24, 2, strideOfSecond],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];

/**
 * Family `mobilenet_v2` (Sandler et al., arXiv:1801.04381) with torchvision's names: `width_multiplier` (1), `inverted_residuals`
 * (rows of expansion, channels, blocks, stride) and what all families have.
 * @throws {InvalidInputError} if a field is wrong.
 */
export function mobileNetV2FromConfig(fields: Fields, options: ZooOptions): Graph {
  const architecture = architectureOf(fields, 'mobilenet_v2', options, stagesOf(2));
  fields.refuseUnknown();
  return mobileNetV2(architecture, torchvisionForm);
}

/**
 * Family `mobilenet_v2_flgc`: the network for 32² pixels of Daniil-Osokin/fully-learnable-group-convolution.pytorch, whose
 * projections are FLGCs of `groups` (8) groups; 0 groups leave them dense.
 * @throws {InvalidInputError} if a field is wrong.
 */
export function mobileNetV2FlgcFromConfig(fields: Fields, options: ZooOptions): Graph {
  const architecture = architectureOf(fields, 'mobilenet_v2_flgc', options, stagesOf(1));
  const groups = fields.integer('groups', 8, 0);
  fields.refuseUnknown();
  const graph = mobileNetV2(architecture, smallImageForm);
  if (groups === 0) return graph;
  const select = (conv: { readonly id: string }): boolean => /^features\.\d+\.conv\.\d+$/.test(conv.id);
  return learnGroups(graph, { rule: 'flgc', select, groups, weights: 'new' });
}

function architectureOf(fields: Fields, family: string, options: ZooOptions, stages: Stages): MobileNetArchitecture {
  return {
    ...commonArchitecture(fields, family, options),
    widthMultiplier: fields.number('width_multiplier', 1, 16),
    stages: fields.rows('inverted_residuals', 4, stages),
  };
}

/** Nearest multiple of 8, at least 8, and not below 90 % of the value. */
function multipleOf8(value: number): number {
  const rounded = Math.max(8, Math.floor((value + 4) / 8) * 8);
  return rounded < 0.9 * value ? rounded + 8 : rounded;
}

function mobileNetV2({ widthMultiplier, stages, ...common }: MobileNetArchitecture, form: Form): Graph {
  const g = new GraphBuilder({ name: common.name });
  /** Convolution, batch norm, ReLU6: three children of one module. */
  const convBlock = (
    id: string,
    x: string,
    conv: { channelsOut: number; kernelSize: number; stride?: number; groups?: number },
  ): string => {
    const y = g.batchNorm(`${id}.1`, g.conv(`${id}.0`, x, conv));
    return g.activation(`${id}.2`, y, { function: 'relu6' });
  };
  let x = g.input('input', [1, ...common.inputSize, common.inputChannels]);
  x = convBlock('features.0', x, {
    channelsOut: multipleOf8(32 * widthMultiplier),
    kernelSize: 3,
    stride: form.stemStride,
  });
  let index = 0;
  for (const [expansion = 1, channels = 1, blocks = 1, firstStride = 1] of stages) {
    const channelsOut = multipleOf8(channels * widthMultiplier);
    for (let block = 0; block < blocks; block++) {
      const id = `features.${++index}`;
      const stride = block === 0 ? firstStride : 1;
      const channelsIn = g.channels(x);
      const hidden = channelsIn * expansion;
      let y = x;
      let child = 0;
      if (expansion !== 1) y = convBlock(`${id}.conv.${child++}`, y, { channelsOut: hidden, kernelSize: 1 });
      y = convBlock(`${id}.conv.${child++}`, y, { channelsOut: hidden, kernelSize: 3, stride, groups: hidden });
      y = g.conv(`${id}.conv.${child++}`, y, { channelsOut, kernelSize: 1 });
      y = g.batchNorm(`${id}.conv.${child}`, y);
      if (stride === 1 && channelsIn === channelsOut) {
        y = g.add(`${id}.add`, y, x);
      } else if (stride === 1 && form.hasProjectionShortcuts) {
        const shortcut = g.conv(`${id}.shortcut.0`, x, { channelsOut, kernelSize: 1 });
        y = g.add(`${id}.add`, y, g.batchNorm(`${id}.shortcut.1`, shortcut));
      }
      x = y;
    }
  }
  x = convBlock(`features.${index + 1}`, x, {
    channelsOut: multipleOf8(1280 * Math.max(1, widthMultiplier)),
    kernelSize: 1,
  });
  x = g.globalAveragePool('avgpool', x);
  const { id, dropout } = form.classifier;
  if (dropout > 0) x = g.dropout('classifier.0', x, dropout);
  return g.build([{ name: 'logits', value: g.dense(id, x, common.numClasses) }]);
}
