import { InvalidInputError } from '../errors.js';
import type { WeightSource } from '../graph/weights.js';

/** What stands around an architecture: sizes that the caller knows better than the file. */
export interface ZooOptions {
  /** `[H, W]` in pixels. */
  readonly inputSize?: readonly [number, number];
  readonly inputChannels?: number;
  readonly numClasses?: number;
  readonly name?: string;
  /** The checkpoint that will be bound, for families whose public checkpoints come in several layouts. */
  readonly checkpoint?: WeightSource;
}

/** Largest number that an architecture may name (channels, pixels, layers): far above any network, far below overflow. */
const limit = 65_536;

/** Largest number of blocks that an architecture may name. */
const layerLimit = 1024;

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};

/** Reads the fields of one JSON object, each with its rule; an error is one sentence with field, value and rule. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #known = new Set<string>();

  /** @throws {InvalidInputError} if the value is not a JSON object. */
  constructor(
    value: unknown,
    readonly path: string,
  ) {
    if (!isObject(value)) throw new InvalidInputError(`${path} is ${shown(value)}: it must be a JSON object`);
    this.#values = value;
  }

  /** Whether the field says something: Python writes what is left out as `null`. */
  has(name: string): boolean {
    return (this.#values[name] ?? undefined) !== undefined && Object.hasOwn(this.#values, name);
  }

  /** An integer of at least `minimum`. @throws {InvalidInputError} if it is something else, or missing without a fallback. */
  integer(name: string, fallback?: number, minimum = 1): number {
    const value = this.#get(name, fallback, `an integer from ${minimum} to ${limit}`);
    return isCount(value, minimum) ? value : this.#reject(name, `an integer from ${minimum} to ${limit}`);
  }

  /** A positive number of at most `maximum`. */
  number(name: string, fallback: number, maximum: number): number {
    const rule = `a number above 0 and at most ${maximum}`;
    const value = this.#get(name, fallback, rule);
    return typeof value === 'number' && value > 0 && value <= maximum ? value : this.#reject(name, rule);
  }

  /** A list of `minimumLength` to 64 positive integers. */
  integers(name: string, fallback?: readonly number[], length?: number): readonly number[] {
    const rule = `a list of ${length ?? '1 to 64'} integers from 1 to ${limit}`;
    const value = this.#get(name, fallback, rule);
    const fits =
      Array.isArray(value) &&
      (length === undefined ? value.length >= 1 && value.length <= 64 : value.length === length) &&
      value.every((item) => isCount(item, 1));
    return fits ? (value as number[]) : this.#reject(name, rule);
  }

  /** 1 to 64 rows of `width` positive integers each. */
  rows(name: string, width: number, fallback: readonly (readonly number[])[]): readonly (readonly number[])[] {
    const rule = `a list of 1 to 64 lists of ${width} integers from 1 to ${limit}`;
    const value = this.#get(name, fallback, rule);
    const fits =
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= 64 &&
      value.every((row) => Array.isArray(row) && row.length === width && row.every((item) => isCount(item, 1)));
    return fits ? (value as number[][]) : this.#reject(name, rule);
  }

  /** Layers of each stage: a list of positive integers with a sum of at most {@link layerLimit}. */
  counts(name: string): readonly number[] {
    const counts = this.integers(name);
    const fits = counts.reduce((sum, count) => sum + count, 0) <= layerLimit;
    return fits ? counts : this.#reject(name, `a list of positive integers with a sum of at most ${layerLimit}`);
  }

  /** One of the names in `choices`. */
  choice<Name extends string>(name: string, choices: readonly Name[], fallback?: Name): Name {
    const rule = `one of ${choices.map((choice) => `"${choice}"`).join(', ')}`;
    const value = this.#get(name, fallback, rule);
    return choices.find((choice) => choice === value) ?? this.#reject(name, rule);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#get(name, fallback, 'true or false');
    return typeof value === 'boolean' ? value : this.#reject(name, 'true or false');
  }

  /** `length` values of true or false. */
  booleans(name: string, fallback: readonly boolean[], length: number): readonly boolean[] {
    const rule = `a list of ${length} values of true or false`;
    const value = this.#get(name, fallback, rule);
    const fits = Array.isArray(value) && value.length === length && value.every((item) => typeof item === 'boolean');
    return fits ? (value as boolean[]) : this.#reject(name, rule);
  }

  string(name: string, fallback: string): string {
    const value = this.#get(name, fallback, 'a string');
    return typeof value === 'string' && value !== '' ? value : this.#reject(name, 'a string that is not empty');
  }

  /** A JSON object, to be read by the same rules. */
  object(name: string): Fields {
    this.#known.add(name);
    return new Fields(this.#values[name], `"${name}" in ${this.path}`);
  }

  /** @throws {InvalidInputError} if there is a field that nobody asked for: a misspelt one would be ignored silently. */
  refuseUnknown(): void {
    for (const name of Object.keys(this.#values)) {
      if (!this.#known.has(name) && this.has(name)) {
        throw new InvalidInputError(
          `"${name}" in ${this.path} is not a field of this family: its fields are ${[...this.#known].map((known) => `"${known}"`).join(', ')}`,
        );
      }
    }
  }

  #get(name: string, fallback: unknown, rule: string): unknown {
    this.#known.add(name);
    if (this.has(name)) return this.#values[name];
    if (fallback === undefined) throw new InvalidInputError(`"${name}" is missing in ${this.path}: it must be ${rule}`);
    return fallback;
  }

  #reject(name: string, rule: string): never {
    throw new InvalidInputError(`"${name}" in ${this.path} is ${shown(this.#values[name])}: it must be ${rule}`);
  }
}

/** Whether a parsed JSON value is an object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown, minimum: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= limit;
}

/** The fields that every family has: input and classes. */
export interface CommonArchitecture {
  readonly name: string;
  /** `[H, W]` in pixels. */
  readonly inputSize: readonly [number, number];
  readonly inputChannels: number;
  readonly numClasses: number;
}

/**
 * Reads `name`, `input_size`, `input_channels` (3) and `num_classes` (1000); the caller's options go first.
 * @throws {InvalidInputError} if a field is wrong, or nobody gives the input size.
 */
export function commonArchitecture(fields: Fields, family: string, options: ZooOptions): CommonArchitecture {
  // Fields that an option overrides are read all the same, so that a wrong one is told.
  const given = {
    name: fields.string('name', family),
    inputSize: fields.has('input_size') ? fields.integers('input_size', undefined, 2) : undefined,
    inputChannels: fields.integer('input_channels', 3),
    numClasses: fields.integer('num_classes', 1000),
  };
  const size = options.inputSize ?? given.inputSize;
  if (size === undefined) {
    throw new InvalidInputError(
      'the height and width of the input are not known: a model file may say them, or "input_size": [H, W] in the architecture file, or --input-shape C,H,W',
    );
  }
  return {
    name: options.name ?? given.name,
    inputSize: [size[0]!, size[1]!],
    inputChannels: options.inputChannels ?? given.inputChannels,
    numClasses: options.numClasses ?? given.numClasses,
  };
}
