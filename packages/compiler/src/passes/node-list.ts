import type { Graph, Node } from '@dgconv/core';
import { FreshNames } from '../fresh-names.js';

/** The nodes of a graph that a pass makes of another one, in order. */
export class NodeList {
  readonly nodes: Node[] = [];
  readonly #ids: FreshNames;
  readonly #made = new Map<string, string>();

  constructor(source: Graph) {
    this.#ids = new FreshNames([...source.nodes.map(({ id }) => id), ...source.inputs.map(({ name }) => name)]);
  }

  // Bound, because rules take from a list what they need.

  /** Puts a node before whatever comes next and gives its value. */
  readonly emit = (node: Node): string => {
    this.nodes.push(node);
    return node.id;
  };

  /** An id that no node of either graph has yet, made of `base`. */
  readonly freshId = (base: string): string => this.#ids.take(base);

  /** The value of the node that `make` gives, under an id made of `base`; the same one whenever the key comes again. */
  readonly once = (key: string, base: string, make: (id: string) => Node): string => {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const value = this.emit(make(this.freshId(base)));
    this.#made.set(key, value);
    return value;
  };
}
