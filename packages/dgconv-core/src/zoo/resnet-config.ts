import type { Graph } from '../graph/graph.js';
import { learnGroups } from '../graph/learn-groups.js';
import { commonArchitecture, type Fields, type ZooOptions } from './fields.js';
import { blockConvolutions, imageNetStem, resNet, type ResNetArchitecture, type ResNetStem } from './resnet.js';

/**
 * Family `resnet`: `block`, `layers`, `groups` (1), `width_per_group` (64), `planes` (64·2^stage), `replace_stride_with_dilation` (one
 * truth value for each stage but the first), `stem` and what all families have.
 * @throws {InvalidInputError} if a field is wrong.
 */
export function resNetFromConfig(fields: Fields, options: ZooOptions): Graph {
  return resNet(resNetArchitecture(fields, 'resnet', options));
}

/**
 * Family `g_resnet`: the fields of `resnet`; the 3×3 convolutions of the blocks are DGConvs, named as in d-li14/dgconv.pytorch.
 * `groups` and `width_per_group` say only how wide they are.
 * @throws {InvalidInputError} if a field is wrong.
 */
export function gResNetFromConfig(fields: Fields, options: ZooOptions): Graph {
  const architecture = resNetArchitecture(fields, 'g_resnet', options);
  return learnGroups(resNet(architecture), {
    rule: 'dgconv',
    select: (conv) => blockConvolutions[architecture.block].test(conv.id),
    weights: 'new',
  });
}

function resNetArchitecture(fields: Fields, family: string, options: ZooOptions): ResNetArchitecture {
  const block = fields.choice('block', ['BasicBlock', 'Bottleneck']);
  const layers = fields.counts('layers');
  const groups = fields.integer('groups', 1);
  const widthPerGroup = fields.integer('width_per_group', 64);
  const planes = fields.integers(
    'planes',
    layers.map((_, stage) => 64 * 2 ** Math.min(stage, 10)),
    layers.length,
  );
  const dilatedStages = fields.booleans(
    'replace_stride_with_dilation',
    layers.slice(1).map(() => false),
    layers.length - 1,
  );
  const stem = fields.has('stem') ? stemOf(fields.object('stem')) : imageNetStem;
  const common = commonArchitecture(fields, family, options);
  fields.refuseUnknown();
  return { ...common, block, layers, groups, widthPerGroup, planes, stem, dilatedStages };
}

function stemOf(fields: Fields): ResNetStem {
  const stem = {
    channels: fields.integer('channels'),
    kernelSize: fields.integer('kernel_size', 3),
    stride: fields.integer('stride', 1),
    maxPool: fields.boolean('max_pool', false),
  };
  fields.refuseUnknown();
  return stem;
}
