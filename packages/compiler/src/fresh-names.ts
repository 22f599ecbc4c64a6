/** Makes names that no other has: a name that comes again gets the next number behind it. */
export class FreshNames {
  readonly #taken: Set<string>;
  /** So that a name that comes a thousand times is not counted through a thousand times. */
  readonly #lastNumber = new Map<string, number>();

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }

  /** The name, or a variant of it if it is taken; it is from now on. */
  take(name: string): string {
    let unique = name;
    while (this.#taken.has(unique)) {
      const number = (this.#lastNumber.get(name) ?? 1) + 1;
      this.#lastNumber.set(name, number);
      unique = `${name}.${number}`;
    }
    this.#taken.add(unique);
    return unique;
  }
}
