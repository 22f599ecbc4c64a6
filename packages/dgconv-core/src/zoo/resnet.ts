import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';

/** What stands before the first stage. */
export interface ResNetStem {
  readonly channels: number;
  /** Pixels. */
  readonly kernelSize: number;
  readonly stride: number;
  /** A 3×3 max-pool of stride 2 after it. */
  readonly maxPool: boolean;
}

/** The stem of the ImageNet networks: 7×7 with stride 2 to 64 channels, then max-pool. */
export const imageNetStem: ResNetStem = { channels: 64, kernelSize: 7, stride: 2, maxPool: true };

/** A network of the ResNet and ResNeXt family. */
export interface ResNetArchitecture {
  readonly name: string;
  readonly block: 'BasicBlock' | 'Bottleneck';
  /** Blocks of each stage; every stage but the first halves the image. */
  readonly layers: readonly number[];
  /** Base width of each stage; a stage puts out `planes · expansion` channels (expansion 1 or 4). */
  readonly planes: readonly number[];
  readonly groups: number;
  /** The 3×3 of a bottleneck is `⌊planes · widthPerGroup / 64⌋ · groups` wide. */
  readonly widthPerGroup: number;
  readonly numClasses: number;
  /** `[H, W]` in pixels. */
  readonly inputSize: readonly [number, number];
  readonly inputChannels: number;
  readonly stem: ResNetStem;
  /** For each stage but the first, whether its 3×3 convolutions spread their taps instead of halving the image. */
  readonly dilatedStages: readonly boolean[];
}

/** Channels that a block puts out for each of its planes. */
const expansionOf = { BasicBlock: 1, Bottleneck: 4 } as const;

/** The 3×3 convolutions of the blocks: what a G-ResNet learns to group. */
export const blockConvolutions: Record<ResNetArchitecture['block'], RegExp> = {
  BasicBlock: /^layer\d+\.\d+\.conv[12]$/,
  Bottleneck: /^layer\d+\.\d+\.conv2$/,
};

/**
 * ResNet (He et al., arXiv:1512.03385) and ResNeXt (Xie et al., arXiv:1611.05431) in torchvision's form: stride on the 3×3,
 * projection shortcuts, weights named as torchvision does. x `[1, H, W, inputChannels]` → logits `[1, numClasses]`.
 * @throws {InvalidInputError} if groups do not divide the widths or the input is too small.
 */
export function resNet(architecture: ResNetArchitecture): Graph {
  const { block, layers, planes, stem } = architecture;
  const g = new GraphBuilder({ name: architecture.name });
  let x = g.input('input', [1, ...architecture.inputSize, architecture.inputChannels]);
  x = g.conv('conv1', x, { channelsOut: stem.channels, kernelSize: stem.kernelSize, stride: stem.stride });
  x = g.relu('relu', g.batchNorm('bn1', x));
  if (stem.maxPool) x = g.maxPool('maxpool', x, { kernelSize: 3, stride: 2, padding: 1 });
  let dilation = 1;
  layers.forEach((blocks, stage) => {
    const isDilated = stage > 0 && architecture.dilatedStages[stage - 1] === true;
    for (let index = 0; index < blocks; index++) {
      const stride = stage > 0 && index === 0 && !isDilated ? 2 : 1;
      // The first block of a dilated stage still has the spacing of the stage before it.
      const window = { stride, dilation };
      x = residualBlock[block](g, `layer${stage + 1}.${index}`, x, planes[stage]!, window, architecture);
      if (isDilated && index === 0) dilation *= 2;
    }
  });
  x = g.globalAveragePool('avgpool', x);
  x = g.dense('fc', x, architecture.numClasses);
  return g.build([{ name: 'logits', value: x }]);
}

type Block = (
  g: GraphBuilder,
  id: string,
  x: string,
  planes: number,
  window: { readonly stride: number; readonly dilation: number },
  architecture: ResNetArchitecture,
) => string;

const residualBlock: Record<ResNetArchitecture['block'], Block> = {
  BasicBlock(g, id, x, planes, { stride, dilation }, { groups }) {
    let y = g.conv(`${id}.conv1`, x, { channelsOut: planes, kernelSize: 3, stride, dilation, groups });
    y = g.relu(`${id}.relu1`, g.batchNorm(`${id}.bn1`, y));
    y = g.conv(`${id}.conv2`, y, { channelsOut: planes, kernelSize: 3, dilation, groups });
    y = g.batchNorm(`${id}.bn2`, y);
    return g.relu(`${id}.relu2`, g.add(`${id}.add`, y, shortcut(g, id, x, planes, stride)));
  },
  Bottleneck(g, id, x, planes, { stride, dilation }, { groups, widthPerGroup }) {
    const width = Math.floor((planes * widthPerGroup) / 64) * groups;
    const channelsOut = planes * expansionOf.Bottleneck;
    let y = g.conv(`${id}.conv1`, x, { channelsOut: width, kernelSize: 1 });
    y = g.relu(`${id}.relu1`, g.batchNorm(`${id}.bn1`, y));
    y = g.conv(`${id}.conv2`, y, { channelsOut: width, kernelSize: 3, stride, dilation, groups });
    y = g.relu(`${id}.relu2`, g.batchNorm(`${id}.bn2`, y));
    y = g.conv(`${id}.conv3`, y, { channelsOut, kernelSize: 1 });
    y = g.batchNorm(`${id}.bn3`, y);
    return g.relu(`${id}.relu3`, g.add(`${id}.add`, y, shortcut(g, id, x, channelsOut, stride)));
  },
};

function shortcut(g: GraphBuilder, id: string, x: string, channelsOut: number, stride: number): string {
  if (stride === 1 && g.channels(x) === channelsOut) return x;
  const y = g.conv(`${id}.downsample.0`, x, { channelsOut, kernelSize: 1, stride });
  return g.batchNorm(`${id}.downsample.1`, y);
}
