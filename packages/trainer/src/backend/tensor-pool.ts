/** Unused arrays are kept up to this size in total. */
const keptBytes = 2 ** 30;

/** Arrays of tensors that are gone, for tensors to come: fresh memory costs a page fault for every 4 KiB. */
export class TensorPool {
  readonly #free = new Map<number, Float32Array[]>();
  #freeBytes = 0;

  constructor(private readonly allocate: (elements: number) => Float32Array) {}

  /** An array of that length; contents undefined. */
  take(elements: number): Float32Array {
    const array = this.#free.get(elements)?.pop();
    if (!array) return this.allocate(elements);
    this.#freeBytes -= array.byteLength;
    return array;
  }

  /** Takes back an array that nobody refers to any more. */
  give(array: Float32Array): void {
    if (this.#freeBytes + array.byteLength > keptBytes) {
      this.#free.clear();
      this.#freeBytes = 0;
    }
    if (array.byteLength > keptBytes) return;
    const list = this.#free.get(array.length);
    if (list) list.push(array);
    else this.#free.set(array.length, [array]);
    this.#freeBytes += array.byteLength;
  }
}
