import { InvalidInputError } from '@dgconv/core';

/** Entries of lists and characters that may still be read from one file. */
interface Allowance {
  left: number;
}

/** Many times what networks have. Lists of a broken file may lie upon each other, and would be longer together than the file. */
const mostEntries = 2 ** 24;

/** A table of a flatbuffer, read by slot; every offset is checked against the file before it is followed. */
export class FlatTable {
  readonly #view: DataView;
  readonly #at: number;
  readonly #allowance: Allowance;

  private constructor(view: DataView, at: number, allowance: Allowance) {
    this.#view = view;
    this.#at = at;
    this.#allowance = allowance;
  }

  /**
   * The root table of a file.
   * @throws {InvalidInputError} if the file does not start as a flatbuffer with this identifier.
   */
  static root(bytes: Uint8Array, identifier: string): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = new TextDecoder('latin1').decode(bytes.subarray(4, 8)).replaceAll(/[^ -~]/g, '?');
    if (bytes.length < 8 || found !== identifier)
      throw new InvalidInputError(`this is no ${identifier} flatbuffer (its identifier is '${found}')`);
    return new FlatTable(view, view.getUint32(0, true), { left: mostEntries });
  }

  /** The integer in a slot; `absent` where the writer left it at its default. */
  int32(slot: number, absent = 0): number {
    const at = this.#field(slot);
    return at === 0 ? absent : this.#view.getInt32(this.#within(at, 4), true);
  }

  /** The byte in a slot. */
  int8(slot: number, absent = 0): number {
    const at = this.#field(slot);
    return at === 0 ? absent : this.#view.getInt8(this.#within(at, 1));
  }

  /** The float32 in a slot. */
  float32(slot: number, absent = 0): number {
    const at = this.#field(slot);
    return at === 0 ? absent : this.#view.getFloat32(this.#within(at, 4), true);
  }

  /** The unsigned integer of 64 bits in a slot; 2^53 and more become inexact. */
  uint64(slot: number, absent = 0): number {
    const at = this.#field(slot);
    return at === 0 ? absent : Number(this.#view.getBigUint64(this.#within(at, 8), true));
  }

  /** The string in a slot; null where there is none. */
  string(slot: number): string | null {
    const bytes = this.bytes(slot);
    if (bytes === null) return null;
    this.#spend(bytes.length);
    return new TextDecoder().decode(bytes);
  }

  /** The byte vector in a slot; null where there is none. */
  bytes(slot: number): Uint8Array | null {
    const vector = this.#vector(slot, 1);
    return vector && new Uint8Array(this.#view.buffer, this.#view.byteOffset + vector.at, vector.length);
  }

  /** The vector of int32 in a slot; empty where there is none. */
  int32s(slot: number): number[] {
    return this.#list(slot, 4, (at) => this.#view.getInt32(at, true));
  }

  /** The vector of int64 in a slot; empty where there is none. */
  int64s(slot: number): number[] {
    return this.#list(slot, 8, (at) => Number(this.#view.getBigInt64(at, true)));
  }

  /** The vector of float32 in a slot; empty where there is none. */
  float32s(slot: number): number[] {
    return this.#list(slot, 4, (at) => this.#view.getFloat32(at, true));
  }

  /** The vector of uint16 in a slot; empty where there is none. */
  uint16s(slot: number): number[] {
    return this.#list(slot, 2, (at) => this.#view.getUint16(at, true));
  }

  /** The vector of tables in a slot; empty where there is none. */
  tables(slot: number): FlatTable[] {
    return this.#list(slot, 4, (at) => this.#follow(at));
  }

  /** The table in a slot; null where there is none. */
  table(slot: number): FlatTable | null {
    const at = this.#field(slot);
    return at === 0 ? null : this.#follow(at);
  }

  #list<Item>(slot: number, size: number, read: (at: number) => Item): Item[] {
    const vector = this.#vector(slot, size);
    if (vector === null) return [];
    this.#spend(vector.length);
    return Array.from({ length: vector.length }, (_, index) => read(vector.at + index * size));
  }

  #spend(entries: number): void {
    this.#allowance.left -= entries;
    if (this.#allowance.left < 0)
      throw new InvalidInputError(`the file is broken: its lists have more than ${mostEntries} entries together`);
  }

  #follow(at: number): FlatTable {
    return new FlatTable(this.#view, at + this.#view.getUint32(this.#within(at, 4), true), this.#allowance);
  }

  #vector(slot: number, size: number): { at: number; length: number } | null {
    const field = this.#field(slot);
    if (field === 0) return null;
    const start = field + this.#view.getUint32(this.#within(field, 4), true);
    const length = this.#view.getUint32(this.#within(start, 4), true);
    return { at: this.#within(start + 4, length * size), length };
  }

  #field(slot: number): number {
    const vtable = this.#at - this.#view.getInt32(this.#within(this.#at, 4), true);
    const size = this.#view.getUint16(this.#within(vtable, 2), true);
    const entry = 4 + 2 * slot;
    if (entry + 2 > size) return 0;
    const offset = this.#view.getUint16(this.#within(vtable + entry, 2), true);
    return offset === 0 ? 0 : this.#at + offset;
  }

  #within(at: number, length: number): number {
    if (at < 0 || at + length > this.#view.byteLength)
      throw new InvalidInputError(
        `the file is broken: ${length} bytes at ${at} lie outside its ${this.#view.byteLength}`,
      );
    return at;
  }
}
