import { InvalidInputError } from '../errors.js';

/** Where in a JSON document a value stands; the path is only spelled out in messages. */
export class Place {
  readonly depth: number;

  constructor(
    readonly parent: Place | null,
    readonly key: string | number,
  ) {
    this.depth = parent === null ? 0 : parent.depth + 1;
  }

  toString(): string {
    const key = typeof this.key === 'number' ? `[${this.key}]` : this.key;
    return this.parent === null ? key : `${this.parent.toString()}${typeof this.key === 'number' ? '' : '.'}${key}`;
  }

  /** @throws {InvalidInputError} always: `<path>: <rule>`. */
  refuse(rule: string): never {
    throw new InvalidInputError(`${this.toString()}: ${rule}`);
  }
}

/** Checks an unknown value and gives it a type; throws an `InvalidInputError` that names the place. */
export type Decoder<T> = (value: unknown, place: Place) => T;

/** Nesting beyond what any graph of ours has; bounds the recursion on hostile files. */
const deepest = 200;

function show(value: unknown): string {
  const text =
    typeof value === 'object' && value !== null
      ? Array.isArray(value)
        ? 'a list'
        : 'an object'
      : JSON.stringify(value);
  return text === undefined ? 'missing' : text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Any string. */
export const string: Decoder<string> = (value, place) =>
  typeof value === 'string' ? value : place.refuse(`a string is needed, not ${show(value)}`);

/** true or false. */
export const boolean: Decoder<boolean> = (value, place) =>
  typeof value === 'boolean' ? value : place.refuse(`true or false is needed, not ${show(value)}`);

/** Numbers that JSON cannot say, as {@link encodeNumber} spells them. */
const spelled: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity, '-0': -0 };

/** A number as JSON says it, or spelled where it cannot. */
export function encodeNumber(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

/** Any number, as {@link encodeNumber} gives it. */
export const number: Decoder<number> = (value, place) => {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && Object.hasOwn(spelled, value)
    ? spelled[value]!
    : place.refuse(`a number is needed, not ${show(value)}`);
};

/** An integer that a double holds exactly. */
export const integer: Decoder<number> = (value, place) =>
  Number.isSafeInteger(value) ? (value as number) : place.refuse(`an integer is needed, not ${show(value)}`);

/** One of some strings. */
export function oneOf<const T extends string>(...allowed: readonly T[]): Decoder<T> {
  return (value, place) =>
    allowed.find((candidate) => candidate === value) ?? place.refuse(`${show(value)} is none of ${allowed.join(', ')}`);
}

/** Null, or what `decode` takes. */
export function nullable<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value, place) => (value === null ? null : decode(value, place));
}

/** A list of any length. */
export function array<T>(decode: Decoder<T>): Decoder<T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return place.refuse(`a list is needed, not ${show(value)}`);
    return value.map((element, index) => decode(element, new Place(place, index)));
  };
}

/** A list of two. */
export function pair<T>(decode: Decoder<T>): Decoder<[T, T]> {
  const decodeAll = array(decode);
  return (value, place) => {
    const values = decodeAll(value, place);
    return values.length === 2 ? (values as [T, T]) : place.refuse(`two values are needed, not ${values.length}`);
  };
}

function asObject(value: unknown, place: Place): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return place.refuse(`an object is needed, not ${show(value)}`);
  if (place.depth > deepest) return place.refuse(`nested more than ${deepest} deep`);
  return value as Record<string, unknown>;
}

type Decoders<T> = { readonly [K in keyof T]-?: Decoder<T[K]> };

/** An object with these fields, perhaps the optional ones, and no others. */
export function object<Required extends object, Optional extends object = Record<never, never>>(
  required: Decoders<Required>,
  optional?: Decoders<Optional>,
): Decoder<Required & Partial<Optional>> {
  const needed = Object.entries<Decoder<unknown>>(required as Readonly<Record<string, Decoder<unknown>>>);
  const allowed = new Map([
    ...needed,
    ...Object.entries<Decoder<unknown>>((optional ?? {}) as Readonly<Record<string, Decoder<unknown>>>),
  ]);
  return (value, place) => {
    const fields = asObject(value, place);
    const missing = needed.find(([key]) => !Object.hasOwn(fields, key));
    if (missing !== undefined) return place.refuse(`the field '${missing[0]}' is missing`);
    const entries = Object.entries(fields).map(([key, field]) => {
      const decode = allowed.get(key);
      if (decode === undefined) return place.refuse(`the field '${key}' is unknown`);
      return [key, decode(field, new Place(place, key))] as const;
    });
    return Object.fromEntries(entries) as Required & Partial<Optional>;
  };
}

/** An object with any keys and values of one type. */
export function record<T>(decode: Decoder<T>): Decoder<Record<string, T>> {
  return (value, place) =>
    Object.fromEntries(
      Object.entries(asObject(value, place)).map(
        ([key, field]) => [key, decode(field, new Place(place, key))] as const,
      ),
    );
}

/** An object whose field `tag` says which of the decoders it is for; each decodes the whole object. */
export function tagged<T>(tag: string, decoders: Readonly<Record<string, Decoder<T>>>): Decoder<T> {
  return (value, place) => {
    const kind = asObject(value, place)[tag];
    if (typeof kind !== 'string' || !Object.hasOwn(decoders, kind))
      return place.refuse(`${tag} ${show(kind)} is none of ${Object.keys(decoders).join(', ')}`);
    return decoders[kind]!(value, place);
  };
}

/**
 * Parses JSON and decodes it.
 * @param name - how messages call the document.
 * @throws {InvalidInputError} naming the place and the rule.
 */
export function decodeJson<T>(text: string, decode: Decoder<T>, name: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError(`${name}: not JSON (${(cause as Error).message})`, { cause });
  }
  return decode(value, new Place(null, name));
}
