import { InvalidInputError, type Graph, type Preprocessing } from '@dgconv/core';

const keys = {
  producer: 'dgconv.producer',
  sourceHash: 'dgconv.source_sha256',
  layers: 'dgconv.layers',
  preprocessing: 'dgconv.preprocessing',
  classNames: 'dgconv.class_names',
} as const;

/** Grouping of one convolution, as an artefact's metadata give it. */
export interface LayerGrouping {
  readonly name: string;
  readonly grouping: string;
  readonly groups: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
}

/** What an artefact says about itself. */
export interface ArtifactMetadata {
  readonly producer?: string;
  readonly sourceHash?: string;
  readonly layers?: readonly LayerGrouping[];
  readonly preprocessing?: Preprocessing;
  readonly classNames?: readonly string[];
}

/**
 * What every artefact says about itself, as text by key: `dgconv.producer`, `dgconv.source_sha256`, `dgconv.layers` (grouping of each
 * convolution), `dgconv.preprocessing`, `dgconv.class_names`; the last three are JSON, and what the source does not have is absent.
 */
export const emittedMetadata = (graph: Graph): Readonly<Record<string, string>> => {
  const { producer, sourceHash, preprocessing, classNames } = graph.metadata;
  const layers = graph.nodes.flatMap((node): LayerGrouping[] => {
    if (node.op !== 'conv2d') return [];
    const { kind, channelsIn, channelsOut } = node.attrs.connectivity;
    const groups = 'groups' in node.attrs.connectivity ? node.attrs.connectivity.groups : 1;
    return [{ name: node.id, grouping: kind, groups, channelsIn, channelsOut }];
  });
  return {
    [keys.producer]: producer ?? 'dgconv',
    ...(sourceHash === undefined ? {} : { [keys.sourceHash]: sourceHash }),
    [keys.layers]: JSON.stringify(layers),
    ...(preprocessing === undefined ? {} : { [keys.preprocessing]: JSON.stringify(preprocessing) }),
    ...(classNames === undefined ? {} : { [keys.classNames]: JSON.stringify(classNames) }),
  };
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number' && Number.isFinite(item));
const isPreprocessing = (value: unknown): value is Preprocessing =>
  isObject(value) &&
  (value['resizeShorterSide'] === null || typeof value['resizeShorterSide'] === 'number') &&
  (value['colour'] === 'rgb' || value['colour'] === 'grey') &&
  isNumbers(value['mean']) &&
  isNumbers(value['standardDeviation']);
const isClassNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isLayers = (value: unknown): value is LayerGrouping[] =>
  Array.isArray(value) && value.every((item) => isObject(item) && typeof item['name'] === 'string');

/**
 * Reads what {@link emittedMetadata} wrote; keys of others are ignored.
 * @throws {InvalidInputError} if a value of ours is no JSON of its form.
 */
export const parseMetadata = (texts: Readonly<Record<string, string>>): ArtifactMetadata => {
  const parsed = <T>(key: string, isValid: (value: unknown) => value is T): T | undefined => {
    const text = texts[key];
    if (text === undefined) return undefined;
    try {
      const value: unknown = JSON.parse(text);
      if (isValid(value)) return value;
    } catch {
      // Falls through: broken JSON and JSON of another form are told alike.
    }
    throw new InvalidInputError(`the model's metadata '${key}' are broken: ${text.slice(0, 80)}`);
  };
  const producer = texts[keys.producer];
  const sourceHash = texts[keys.sourceHash];
  const layers = parsed(keys.layers, isLayers);
  const preprocessing = parsed(keys.preprocessing, isPreprocessing);
  const classNames = parsed(keys.classNames, isClassNames);
  return {
    ...(producer === undefined ? {} : { producer }),
    ...(sourceHash === undefined ? {} : { sourceHash }),
    ...(layers === undefined ? {} : { layers }),
    ...(preprocessing === undefined ? {} : { preprocessing }),
    ...(classNames === undefined ? {} : { classNames }),
  };
};
