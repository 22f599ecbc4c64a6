import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { commonArchitecture, type Fields, type ZooOptions } from './fields.js';

/**
 * Family `igcv1` (Zhang et al., arXiv:1707.02725), the plain network for 32² pixels: `primary` L (24) and `secondary` M (2) partitions,
 * `blocks` B (6). Three stages of B blocks with L·M, 2·L·M and 4·L·M channels; a block is a 3×3 with L groups → shuffle → a 1×1
 * with one group for each channel of a primary one → shuffle back → batch norm → ReLU.
 * @throws {InvalidInputError} if a field is wrong.
 */
export function igcv1FromConfig(fields: Fields, options: ZooOptions): Graph {
  const primary = fields.integer('primary', 24);
  const secondary = fields.integer('secondary', 2);
  const blocks = fields.integer('blocks', 6);
  const common = commonArchitecture(fields, 'igcv1', options);
  fields.refuseUnknown();
  const g = new GraphBuilder({ name: common.name });
  let x = g.input('input', [1, ...common.inputSize, common.inputChannels]);
  x = g.conv('conv1', x, { channelsOut: primary * secondary, kernelSize: 3 });
  x = g.relu('relu', g.batchNorm('bn1', x, epsilon));
  for (let stage = 0; stage < 3; stage++) {
    for (let block = 0; block < blocks; block++) {
      const id = `stage${stage + 1}.${block}`;
      const partitions = secondary * 2 ** stage;
      const channelsOut = primary * partitions;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      x = g.conv(`${id}.conv1`, x, { channelsOut, kernelSize: 3, stride, groups: primary });
      x = g.channelShuffle(`${id}.shuffle1`, x, primary);
      x = g.conv(`${id}.conv2`, x, { channelsOut, kernelSize: 1, groups: partitions });
      x = g.channelShuffle(`${id}.shuffle2`, x, partitions);
      x = g.relu(`${id}.relu`, g.batchNorm(`${id}.bn`, x, epsilon));
    }
  }
  x = g.dense('fc', g.globalAveragePool('avgpool', x), common.numClasses);
  return g.build([{ name: 'logits', value: x }]);
}

/** The authors' batch norms add this to the variance. */
const epsilon = 2e-5;
