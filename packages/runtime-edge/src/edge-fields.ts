import { InvalidInputError, type Weight } from '@dgconv/core';
import { edgeEnums, edgeLimits, type edgeOps, edgeStructs } from './edge-schema.js';

/** Names of the ops of `.edge`: those of the graph language. */
export type EdgeOpName = keyof typeof edgeOps;

type Enums = typeof edgeEnums;
type Structs = typeof edgeStructs;

/** One entry of the schema, as the generic reader and writer see it. */
export type Field =
  | {
      readonly kind: 'u32' | 'i32';
      readonly name: string;
      readonly min: number;
      readonly max: number;
      readonly since: number;
    }
  | { readonly kind: 'f32'; readonly name: string; readonly since: number }
  | { readonly kind: 'enum'; readonly name: string; readonly of: keyof Enums; readonly since: number }
  | { readonly kind: 'struct'; readonly name: string; readonly of: keyof Structs; readonly since: number }
  | {
      readonly kind: 'u32-list' | 'i32-list';
      readonly name: string;
      readonly min: number;
      readonly max: number;
      readonly maxLength: number;
      readonly since: number;
    }
  | { readonly kind: 'constant'; readonly name: string; readonly optional: boolean; readonly since: number };

type ValueOf<F> = F extends { kind: 'u32' | 'i32' | 'f32' }
  ? number
  : F extends { kind: 'enum'; of: infer E extends keyof Enums }
    ? Enums[E][number]
    : F extends { kind: 'struct'; of: infer S extends keyof Structs }
      ? FieldsOf<Structs[S]>
      : F extends { kind: 'u32-list' | 'i32-list' }
        ? readonly number[]
        : F extends { kind: 'constant'; optional: false }
          ? Weight
          : Weight | undefined;

type FieldsOf<L extends readonly { readonly name: string }[]> = {
  readonly [F in L[number] as F['name']]: ValueOf<F>;
};

/** Fields shared by several ops. */
export type StructFields<S extends keyof Structs> = FieldsOf<Structs[S]>;

/** Typed fields of an op of `.edge`; its constants are weights. */
export type OpFields<K extends EdgeOpName> = FieldsOf<(typeof edgeOps)[K]['fields']>;

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/**
 * Writes the fields of an op as words.
 * @param addConstant - stores a weight and gives the index of its tensor.
 * @throws {InvalidInputError} if a value is outside of what the format can hold.
 */
export function writeFields(
  fields: readonly Field[],
  values: Readonly<Record<string, unknown>>,
  words: number[],
  addConstant: (slot: string, weight: Weight) => number,
): void {
  const integer = (field: { name: string; min: number; max: number }, value: unknown): number => {
    if (!Number.isInteger(value) || (value as number) < field.min || (value as number) > field.max)
      throw new InvalidInputError(
        `${field.name} is ${String(value)}: .edge holds integers from ${field.min} to ${field.max}`,
      );
    return (value as number) >>> 0;
  };
  for (const field of fields) {
    const value = values[field.name];
    switch (field.kind) {
      case 'u32':
      case 'i32':
        words.push(integer(field, value));
        break;
      case 'f32':
        float[0] = value as number;
        if (Number.isNaN(float[0])) throw new InvalidInputError(`${field.name} is not a number`);
        words.push(floatBits[0]!);
        break;
      case 'enum': {
        const code = (edgeEnums[field.of] as readonly string[]).indexOf(value as string);
        if (code < 0) throw new InvalidInputError(`${field.name} is '${String(value)}', which .edge cannot hold`);
        words.push(code);
        break;
      }
      case 'struct':
        writeFields(edgeStructs[field.of], value as Readonly<Record<string, unknown>>, words, addConstant);
        break;
      case 'u32-list':
      case 'i32-list': {
        const list = value as readonly number[];
        if (list.length > field.maxLength)
          throw new InvalidInputError(`${field.name} has ${list.length} entries: .edge holds up to ${field.maxLength}`);
        words.push(list.length);
        for (const entry of list) words.push(integer(field, entry));
        break;
      }
      case 'constant':
        words.push(value === undefined ? edgeLimits.NoTensor : addConstant(field.name, value as Weight));
        break;
    }
  }
}

/** A position in the words of one op, and what messages call the op. */
export interface WordCursor {
  readonly words: Uint32Array;
  at: number;
  readonly minor: number;
  readonly where: string;
  /** The weight of a constant tensor; throws if the index is none. */
  constant(index: number, field: string): Weight;
}

/**
 * Reads the fields of an op; what the file is too old to have reads as zero, empty or undefined.
 * @throws {InvalidInputError} if a value is missing or out of range.
 */
export function readFields(fields: readonly Field[], cursor: WordCursor): Record<string, unknown> {
  const refuse = (rule: string): never => {
    throw new InvalidInputError(`${cursor.where}: ${rule}`);
  };
  const word = (name: string): number => {
    const value = cursor.words[cursor.at++];
    return value === undefined ? refuse(`it ends before its field ${name}`) : value;
  };
  const integer = (field: { kind: string; name: string; min: number; max: number }): number => {
    const value = field.kind.startsWith('i32') ? word(field.name) | 0 : word(field.name);
    if (value < field.min || value > field.max)
      refuse(`${field.name} is ${value}, allowed are ${field.min} to ${field.max}`);
    return value;
  };
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const absent = field.since > cursor.minor;
    switch (field.kind) {
      case 'u32':
      case 'i32':
        values[field.name] = absent ? 0 : integer(field);
        break;
      case 'f32':
        floatBits[0] = absent ? 0 : word(field.name);
        if (Number.isNaN(float[0])) refuse(`${field.name} is not a number`);
        values[field.name] = float[0];
        break;
      case 'enum': {
        const names: readonly string[] = edgeEnums[field.of];
        values[field.name] =
          names[absent ? 0 : integer({ kind: 'u32', name: field.name, min: 0, max: names.length - 1 })];
        break;
      }
      case 'struct':
        values[field.name] = readFields(edgeStructs[field.of], cursor);
        break;
      case 'u32-list':
      case 'i32-list': {
        const length = absent ? 0 : word(field.name);
        if (length > field.maxLength || length > cursor.words.length - cursor.at)
          refuse(`${field.name} has ${length} entries, more than fit`);
        values[field.name] = Array.from({ length }, () => integer(field));
        break;
      }
      case 'constant': {
        const index = absent ? edgeLimits.NoTensor : word(field.name);
        values[field.name] =
          field.optional && index === edgeLimits.NoTensor ? undefined : cursor.constant(index, field.name);
        break;
      }
    }
  }
  return values;
}
