import type { Graph } from '../graph/graph.js';
import { Fields, isObject, type ZooOptions } from './fields.js';
import { condenseNetFromConfig } from './condensenet.js';
import { igcv1FromConfig } from './igcv1.js';
import { mobileNetV2FlgcFromConfig, mobileNetV2FromConfig } from './mobilenet-v2.js';
import { gResNetFromConfig, resNetFromConfig } from './resnet-config.js';
import { shuffleNetFromConfig } from './shufflenet.js';

/** The families that an architecture file may name. */
const families = {
  resnet: resNetFromConfig,
  g_resnet: gResNetFromConfig,
  condensenet: condenseNetFromConfig,
  shufflenet: shuffleNetFromConfig,
  igcv1: igcv1FromConfig,
  mobilenet_v2: mobileNetV2FromConfig,
  mobilenet_v2_flgc: mobileNetV2FlgcFromConfig,
} satisfies Record<string, (fields: Fields, options: ZooOptions) => Graph>;

type Family = keyof typeof families;

/**
 * Fields that only one family has and that its files always have. Files with `block` but no family are taken for the public
 * G-ResNet's, which says nothing else of itself; a plain ResNet says `"family": "resnet"`.
 */
const tellingField: Readonly<Record<string, Family>> = { block: 'g_resnet', growth: 'condensenet' };

/**
 * The network that an architecture file describes: an object with `family` and its fields, or one that holds such an object as
 * `arch`, and perhaps an example `input` of `shape` [N, C, H, W], whose size is then the input's (as `../shared/reference/*.json`
 * do). Values of `options` go before those of the file.
 * @throws {InvalidInputError} with field, value and rule if something is wrong, or if the input size is not known.
 */
export function graphFromArchConfig(config: unknown, options: ZooOptions = {}): Graph {
  const isWrapped = isObject(config) && isObject(config['arch']) && !Object.hasOwn(config, 'family');
  const architecture = isWrapped ? withExampleSize(config['arch'] as Record<string, unknown>, config['input']) : config;
  const fields = new Fields(architecture, isWrapped ? '"arch" of the architecture file' : 'the architecture file');
  const names = Object.keys(families) as Family[];
  const inferred = Object.keys(tellingField).find((field) => fields.has(field));
  const family = fields.choice('family', names, inferred === undefined ? undefined : tellingField[inferred]);
  return families[family](fields, options);
}

/** The architecture, with the size of the example input where it says none itself. */
function withExampleSize(architecture: Record<string, unknown>, example: unknown): Record<string, unknown> {
  const shape = isObject(example) ? example['shape'] : undefined;
  if (Object.hasOwn(architecture, 'input_size') || !Array.isArray(shape) || shape.length !== 4) return architecture;
  return { ...architecture, input_size: shape.slice(2) };
}
