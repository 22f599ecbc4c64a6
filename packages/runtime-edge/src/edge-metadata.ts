import { type GraphMetadata, InvalidInputError, type Preprocessing } from '@dgconv/core';

interface EdgeMetadata {
  readonly metadata: GraphMetadata;
  readonly origins: ReadonlyMap<string, readonly string[]>;
}

function refuse(rule: string): never {
  throw new InvalidInputError(`the metadata of the .edge file are invalid: ${rule}`);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'string');
const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'number');

function preprocessingOf(value: unknown): Preprocessing {
  if (!isRecord(value)) refuse('preprocessing is no object');
  const { resizeShorterSide, colour, mean, standardDeviation } = value;
  if (resizeShorterSide !== null && !(Number.isInteger(resizeShorterSide) && (resizeShorterSide as number) > 0))
    refuse('preprocessing.resizeShorterSide is neither null nor a number of pixels');
  if (colour !== 'rgb' && colour !== 'grey') refuse("preprocessing.colour is neither 'rgb' nor 'grey'");
  const channels = colour === 'rgb' ? 3 : 1;
  if (
    !isNumbers(mean) ||
    !isNumbers(standardDeviation) ||
    mean.length !== channels ||
    standardDeviation.length !== channels
  )
    refuse(`preprocessing.mean and standardDeviation are not ${channels} numbers each`);
  return { resizeShorterSide: resizeShorterSide as number | null, colour, mean, standardDeviation };
}

/**
 * Reads the section `metadata`, JSON in UTF-8; an absent one is empty.
 * @throws {InvalidInputError} if it is no JSON or a field has the wrong type.
 */
export function readEdgeMetadata(section: Uint8Array | undefined): EdgeMetadata {
  let json: unknown = {};
  try {
    if (section !== undefined) json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(section));
  } catch (error) {
    throw new InvalidInputError('the metadata of the .edge file are invalid: they are no JSON in UTF-8', {
      cause: error,
    });
  }
  if (!isRecord(json)) refuse('they are no object');
  const { name = '', preprocessing, classNames, sourceHash, producer, origins = {} } = json;
  const text = (value: unknown, what: string): string =>
    typeof value === 'string' ? value : refuse(`${what} is no text`);
  if (classNames !== undefined && !isStrings(classNames)) refuse('classNames is no list of texts');
  if (!isRecord(origins)) refuse('origins is no object');
  const originOf = new Map<string, readonly string[]>();
  for (const [id, origin] of Object.entries(origins))
    originOf.set(id, isStrings(origin) ? origin : refuse(`the origins of '${id}' are no list of texts`));
  const metadata: GraphMetadata = {
    name: text(name, 'name'),
    ...(preprocessing === undefined ? {} : { preprocessing: preprocessingOf(preprocessing) }),
    ...(classNames === undefined ? {} : { classNames: classNames as string[] }),
    ...(sourceHash === undefined ? {} : { sourceHash: text(sourceHash, 'sourceHash') }),
    ...(producer === undefined ? {} : { producer: text(producer, 'producer') }),
  };
  return { metadata, origins: originOf };
}
