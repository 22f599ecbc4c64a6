import { InvalidInputError } from '@dgconv/core';

/** A table of a flatbuffer, read by slot; every offset is checked against the file before it is followed. */
export class FlatTable {
  readonly #view: DataView;
  readonly #at: number;

  private constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
  }

  /**
   * The root table of a file.
   * @throws {InvalidInputError} if the file does not start as a flatbuffer with this identifier.
   */
  static root(bytes: Uint8Array, identifier: string): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = new TextDecoder('latin1').decode(bytes.subarray(4, 8));
    if (bytes.length < 8 || found !== identifier)
      throw new InvalidInputError(`this is no ${identifier} flatbuffer (its identifier is '${found}')`);
    return new FlatTable(view, view.getUint32(0, true));
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

  /** The string in a slot; null where there is none. */
  string(slot: number): string | null {
    const bytes = this.bytes(slot);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** The byte vector in a slot; null where there is none. */
  bytes(slot: number): Uint8Array | null {
    const vector = this.#vector(slot, 1);
    return vector && new Uint8Array(this.#view.buffer, this.#view.byteOffset + vector.at, vector.length);
  }

  /** The vector of int32 in a slot; empty where there is none. */
  int32s(slot: number): number[] {
    const vector = this.#vector(slot, 4);
    if (vector === null) return [];
    return Array.from({ length: vector.length }, (_, i) => this.#view.getInt32(vector.at + 4 * i, true));
  }

  /** The vector of tables in a slot; empty where there is none. */
  tables(slot: number): FlatTable[] {
    const vector = this.#vector(slot, 4);
    if (vector === null) return [];
    return Array.from({ length: vector.length }, (_, i) => this.#follow(vector.at + 4 * i));
  }

  /** The table in a slot; null where there is none. */
  table(slot: number): FlatTable | null {
    const at = this.#field(slot);
    return at === 0 ? null : this.#follow(at);
  }

  #follow(at: number): FlatTable {
    return new FlatTable(this.#view, at + this.#view.getUint32(this.#within(at, 4), true));
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
