import { InvalidInputError, type Node, nodeShape, type Shape, type Weight, type WeightSource } from '@dgconv/core';
import { FreshNames } from '../../fresh-names.js';
import type { NewNode } from '../new-node.js';

/** Collects the nodes of a network and keeps the shape of every value. */
export class LayersGraphBuilder {
  readonly nodes: Node[] = [];
  readonly #shapes = new Map<string, Shape>();
  readonly #ids = new FreshNames();
  readonly #byLastNames = new Map<string, string[]>();

  constructor(readonly weights: WeightSource) {
    for (const name of weights.names) {
      const key = lastNames(name);
      const list = this.#byLastNames.get(key);
      if (list === undefined) this.#byLastNames.set(key, [name]);
      else list.push(name);
    }
  }

  input(name: string, shape: Shape): string {
    const id = this.#ids.take(name);
    this.#shapes.set(id, shape);
    return id;
  }

  shape(value: string): Shape {
    const shape = this.#shapes.get(value);
    if (shape === undefined) throw new Error(`internal: the value ${value} does not exist`);
    return shape;
  }

  /** Adds a node of a layer and gives its value. */
  add(layer: string, node: NewNode): string {
    const complete = { ...node, id: this.#ids.take(layer), origin: [layer] } as Node;
    const inputs = node.inputs.map((value) => this.shape(value));
    this.#shapes.set(complete.id, nodeShape(complete, { inputs, single: inputs, batch: 1 }));
    this.nodes.push(complete);
    return complete.id;
  }

  hasWeight(layer: string, slot: string): boolean {
    return this.#weightName(layer, slot) !== undefined;
  }

  /** @throws {InvalidInputError} if the layer has no such weight. */
  weight(layer: string, slot: string): Weight {
    const name = this.#weightName(layer, slot);
    if (name === undefined) throw new InvalidInputError(`the layer '${layer}' has no weight '${slot}' in the manifest`);
    return { kind: 'stored', name };
  }

  weightShape(layer: string, slot: string): Shape {
    const name = this.#weightName(layer, slot);
    return name === undefined ? [] : this.weights.shape(name);
  }

  /** `layer/slot`, also where converters put the names of enclosing models before it. */
  #weightName(layer: string, slot: string): string | undefined {
    const exact = `${layer}/${slot}`;
    if (this.weights.names.includes(exact)) return exact;
    const candidates = this.#byLastNames.get(lastNames(exact)) ?? [];
    return candidates.length === 1 ? candidates[0] : undefined;
  }
}

/** The last two parts of a name, `layer/slot`. */
function lastNames(name: string): string {
  return name.split('/').slice(-2).join('/');
}
