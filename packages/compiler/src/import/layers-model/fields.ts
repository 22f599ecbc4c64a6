import { InvalidInputError } from '@dgconv/core';

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a JSON value is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the fields of a layer's configuration; an error names the layer, the field and the rule. */
export class LayerConfig {
  constructor(
    /** How messages call it: `layer 'conv1' (Conv2D)`. */
    readonly where: string,
    readonly fields: JsonObject,
  ) {}

  /** @throws {InvalidInputError} saying what is wrong with the layer. */
  refuse(rule: string): never {
    throw new InvalidInputError(`${this.where}: ${rule}`);
  }

  has(name: string): boolean {
    return this.fields[name] !== undefined && this.fields[name] !== null;
  }

  /** A number, or `absent` if the field is missing or null. */
  number(name: string, absent: number): number {
    if (!this.has(name)) return absent;
    const value = this.fields[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : this.refuse(`"${name}" must be a number`);
  }

  /** A positive integer. */
  count(name: string, absent?: number): number {
    const value = this.number(name, absent ?? NaN);
    return Number.isSafeInteger(value) && value > 0 ? value : this.refuse(`"${name}" must be a positive integer`);
  }

  boolean(name: string, absent: boolean): boolean {
    if (!this.has(name)) return absent;
    const value = this.fields[name];
    return typeof value === 'boolean' ? value : this.refuse(`"${name}" must be true or false`);
  }

  text(name: string, absent: string): string {
    if (!this.has(name)) return absent;
    const value = this.fields[name];
    return typeof value === 'string' ? value : this.refuse(`"${name}" must be a text`);
  }

  /** One of the given texts. */
  choice<Choice extends string>(name: string, choices: readonly Choice[], absent: Choice): Choice {
    const value = this.text(name, absent);
    const found = choices.find((choice) => choice === value);
    return found ?? this.refuse(`"${name}" is '${value}': ${choices.join(', ')} are supported`);
  }

  /** A list of integers. */
  integers(name: string): readonly number[] {
    const value = this.fields[name];
    const isList = Array.isArray(value) && value.every((item): item is number => Number.isSafeInteger(item));
    return isList ? value : this.refuse(`"${name}" must be a list of integers`);
  }

  /** A list of integers, some of which are left open. */
  integersOrNull(name: string): readonly (number | null)[] {
    const value = this.fields[name];
    const isList =
      Array.isArray(value) && value.every((item): item is number | null => item === null || Number.isSafeInteger(item));
    return isList ? value : this.refuse(`"${name}" must be a list of integers`);
  }

  /** A pair of positive integers, or one integer for both. */
  pair(name: string, absent: readonly [number, number]): readonly [number, number] {
    if (!this.has(name)) return absent;
    const value = this.fields[name];
    const [height, width] = Array.isArray(value) ? (value as unknown[]) : [value, value];
    const isSize = (size: unknown): size is number =>
      typeof size === 'number' && Number.isSafeInteger(size) && size > 0;
    return isSize(height) && isSize(width)
      ? [height, width]
      : this.refuse(`"${name}" must be one or two positive integers`);
  }

  /** Pixels on every side: one number, a pair, or a pair of pairs. */
  sides(name: string): { top: number; bottom: number; left: number; right: number } {
    const value = this.fields[name];
    const isSize = (size: unknown): size is number =>
      typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
    const [vertical, horizontal] = Array.isArray(value) ? (value as unknown[]) : [value, value];
    const [top, bottom] = Array.isArray(vertical) ? (vertical as unknown[]) : [vertical, vertical];
    const [left, right] = Array.isArray(horizontal) ? (horizontal as unknown[]) : [horizontal, horizontal];
    if (isSize(top) && isSize(bottom) && isSize(left) && isSize(right)) return { top, bottom, left, right };
    return this.refuse(`"${name}" must be a size, a pair of sizes or a pair of pairs`);
  }
}
