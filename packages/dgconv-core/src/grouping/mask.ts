import { InvalidInputError } from '../errors.js';

/** A mask as stored: rows of bits, each padded to whole bytes (bit i of a row is bit `i % 8` of byte `⌊i / 8⌋`), in base64. */
export interface MaskJson {
  readonly rows: number;
  readonly cols: number;
  readonly bits: string;
}

/** What can be read as a 0/1 matrix. */
export type MaskView = Pick<Mask, 'rows' | 'cols' | 'get'>;

const wordBits = 32;

/** A 0/1 matrix `[rows, cols]` = `[channelsOut, channelsIn]`: who is connected with whom. Immutable, one bit an entry. */
export class Mask {
  readonly rows: number;
  readonly cols: number;
  /** Number of ones. */
  readonly nonZeros: number;
  readonly #words: Uint32Array;
  readonly #stride: number;

  private constructor(rows: number, cols: number, words: Uint32Array) {
    this.rows = rows;
    this.cols = cols;
    this.#words = words;
    this.#stride = wordsOf(cols);
    this.nonZeros = countOnes(words);
  }

  /** @throws {InvalidInputError} unless both counts are positive integers. */
  static fromFunction(rows: number, cols: number, isOne: (row: number, col: number) => boolean): Mask {
    const words = emptyWords(rows, cols);
    const stride = wordsOf(cols);
    for (let row = 0; row < rows; row++)
      for (let col = 0; col < cols; col++) if (isOne(row, col)) words[row * stride + (col >>> 5)]! |= 1 << (col & 31);
    return new Mask(rows, cols, words);
  }

  /** The same ones as any other 0/1 matrix; a mask itself is returned as it is. */
  static from(matrix: MaskView): Mask {
    return matrix instanceof Mask
      ? matrix
      : Mask.fromFunction(matrix.rows, matrix.cols, (row, col) => matrix.get(row, col) === 1);
  }

  /** All ones. */
  static ones(rows: number, cols: number): Mask {
    return Mask.fromFunction(rows, cols, () => true);
  }

  /** @throws {InvalidInputError} if rows differ in length or an entry is neither 0 nor 1. */
  static fromRows(entries: readonly ArrayLike<number>[]): Mask {
    const cols = entries[0]?.length ?? 0;
    return Mask.fromFunction(entries.length, cols, (row, col) => {
      const line = entries[row]!;
      if (line.length !== cols)
        throw new InvalidInputError(`mask row ${row} has ${line.length} entries, row 0 has ${cols}`);
      const value = line[col]!;
      if (value !== 0 && value !== 1)
        throw new InvalidInputError(`mask entry [${row}, ${col}] is ${value}: an entry must be 0 or 1`);
      return value === 1;
    });
  }

  /**
   * The mask whose row r has ones exactly at `supports[r]`.
   * @throws {InvalidInputError} if a column is outside `[0, cols)`.
   */
  static fromSupports(cols: number, supports: readonly (readonly number[])[]): Mask {
    const words = emptyWords(supports.length, cols);
    const stride = wordsOf(cols);
    supports.forEach((support, row) => {
      for (const col of support) {
        if (!Number.isInteger(col) || col < 0 || col >= cols)
          throw new InvalidInputError(`mask row ${row} names column ${col}: columns are 0 to ${cols - 1}`);
        words[row * stride + (col >>> 5)]! |= 1 << (col & 31);
      }
    });
    return new Mask(supports.length, cols, words);
  }

  /**
   * One where any value of a patch exceeds `threshold` in magnitude (NaN counts as present).
   * @param weights - `[rows, cols, …patch]`, the patch size follows from the length.
   * @throws {InvalidInputError} if the length is no multiple of `rows · cols`.
   */
  static fromWeights(weights: ArrayLike<number>, rows: number, cols: number, threshold = 0): Mask {
    const words = emptyWords(rows, cols);
    const patch = weights.length / (rows * cols);
    if (!Number.isInteger(patch) || patch < 1)
      throw new InvalidInputError(`${weights.length} weights do not fill a [${rows}, ${cols}] kernel evenly`);
    const stride = wordsOf(cols);
    let position = 0;
    for (let row = 0; row < rows; row++)
      for (let col = 0; col < cols; col++) {
        let isOne = false;
        for (let k = 0; k < patch; k++) isOne = !(Math.abs(weights[position++]!) <= threshold) || isOne;
        if (isOne) words[row * stride + (col >>> 5)]! |= 1 << (col & 31);
      }
    return new Mask(rows, cols, words);
  }

  /** @throws {InvalidInputError} if `json` is not what {@link toJSON} gives. */
  static fromJSON(json: MaskJson): Mask {
    const { rows, cols, bits } = json;
    checkSize(rows, cols);
    const rowBytes = Math.ceil(cols / 8);
    const bytes = base64ToBytes(bits);
    if (bytes.length !== rows * rowBytes)
      throw new InvalidInputError(`mask [${rows}, ${cols}] has ${bytes.length} bytes, it needs ${rows * rowBytes}`);
    const words = emptyWords(rows, cols);
    const stride = wordsOf(cols);
    const used = cols % 8 === 0 ? 0xff : (1 << (cols % 8)) - 1;
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < rowBytes; k++) {
        const byte = bytes[row * rowBytes + k]!;
        if (k === rowBytes - 1 && (byte & ~used) !== 0)
          throw new InvalidInputError(`mask [${rows}, ${cols}] has ones beyond the last column of row ${row}`);
        words[row * stride + (k >>> 2)]! |= byte << (8 * (k & 3));
      }
    return new Mask(rows, cols, words);
  }

  get(row: number, col: number): 0 | 1 {
    if (!(row >= 0 && row < this.rows && col >= 0 && col < this.cols))
      throw new RangeError(`internal: mask entry [${row}, ${col}] is outside [${this.rows}, ${this.cols}]`);
    return ((this.#words[row * this.#stride + (col >>> 5)]! >>> (col & 31)) & 1) as 0 | 1;
  }

  /** Columns of the ones of a row, ascending. */
  rowSupport(row: number): number[] {
    const support: number[] = [];
    for (let k = 0; k < this.#stride; k++)
      for (let word = this.#words[row * this.#stride + k]!; word !== 0; word &= word - 1)
        support.push(k * wordBits + 31 - Math.clz32(word & -word));
    return support;
  }

  /** Rows of the ones of a column, ascending. */
  columnSupport(col: number): number[] {
    const support: number[] = [];
    for (let row = 0; row < this.rows; row++) if (this.get(row, col) === 1) support.push(row);
    return support;
  }

  /** Class of every row, `[rows]`: rows have the same number iff they are equal; numbered by first appearance. */
  rowClasses(): Int32Array {
    const classOfRow = new Int32Array(this.rows);
    const representatives = new Map<number, number[]>();
    let classes = 0;
    for (let row = 0; row < this.rows; row++) {
      const hash = this.#hashRow(row);
      const candidates = representatives.get(hash) ?? [];
      const twin = candidates.find((candidate) => this.#rowsEqual(candidate, row));
      if (twin === undefined) {
        candidates.push(row);
        representatives.set(hash, candidates);
        classOfRow[row] = classes++;
      } else classOfRow[row] = classOfRow[twin]!;
    }
    return classOfRow;
  }

  transpose(): Mask {
    const words = emptyWords(this.cols, this.rows);
    const stride = wordsOf(this.rows);
    for (let row = 0; row < this.rows; row++)
      for (const col of this.rowSupport(row)) words[col * stride + (row >>> 5)]! |= 1 << (row & 31);
    return new Mask(this.cols, this.rows, words);
  }

  /** Row r' of the result is row `rowOrder[r']`, column c' is column `colOrder[c']`. */
  reorder(rowOrder: readonly number[], colOrder: readonly number[]): Mask {
    return Mask.fromFunction(
      rowOrder.length,
      colOrder.length,
      (row, col) => this.get(rowOrder[row]!, colOrder[col]!) === 1,
    );
  }

  equals(other: Mask): boolean {
    return (
      this.rows === other.rows &&
      this.cols === other.cols &&
      this.#words.every((word, index) => word === other.#words[index])
    );
  }

  toJSON(): MaskJson {
    const rowBytes = Math.ceil(this.cols / 8);
    const bytes = new Uint8Array(this.rows * rowBytes);
    for (let row = 0; row < this.rows; row++)
      for (let k = 0; k < rowBytes; k++)
        bytes[row * rowBytes + k] = this.#words[row * this.#stride + (k >>> 2)]! >>> (8 * (k & 3));
    return { rows: this.rows, cols: this.cols, bits: bytesToBase64(bytes) };
  }

  #hashRow(row: number): number {
    let hash = 0x811c9dc5;
    for (let k = 0; k < this.#stride; k++) {
      hash = Math.imul(hash ^ this.#words[row * this.#stride + k]!, 0x01000193);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #rowsEqual(left: number, right: number): boolean {
    for (let k = 0; k < this.#stride; k++)
      if (this.#words[left * this.#stride + k] !== this.#words[right * this.#stride + k]) return false;
    return true;
  }
}

function wordsOf(cols: number): number {
  return Math.ceil(cols / wordBits);
}

function checkSize(rows: number, cols: number): void {
  for (const [what, count] of [
    ['rows', rows],
    ['columns', cols],
  ] as const)
    if (!Number.isInteger(count) || count < 1 || count > 0xffffff)
      throw new InvalidInputError(`a mask has ${count} ${what}: a positive integer is needed`);
  if (rows * wordsOf(cols) > 0x3fffffff) throw new InvalidInputError(`a mask [${rows}, ${cols}] is too large`);
}

function emptyWords(rows: number, cols: number): Uint32Array {
  checkSize(rows, cols);
  return new Uint32Array(rows * wordsOf(cols));
}

function countOnes(words: Uint32Array): number {
  let total = 0;
  for (let word of words) {
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    total += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return total;
}

function bytesToBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let start = 0; start < bytes.length; start += 0x2000)
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x2000));
  return btoa(binary);
}

function base64ToBytes(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch (cause) {
    throw new InvalidInputError('mask bits are not base64', { cause });
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
