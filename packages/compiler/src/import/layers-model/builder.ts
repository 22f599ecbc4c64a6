import { InvalidInputError, type Node, nodeShape, type Shape, type Weight, type WeightSource } from '@dgconv/core';

/** What a rule gives of a node; the builder adds id and origin. */
export type NodeParts = {
  [K in Node['op']]: Pick<Extract<Node, { op: K }>, 'op' | 'inputs' | 'attrs' | 'weights'>;
}[Node['op']];

/** Collects the nodes of a network and keeps the shape of every value. */
export class LayersGraphBuilder {
  readonly nodes: Node[] = [];
  readonly #shapes = new Map<string, Shape>();
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
    const id = this.#freshId(name);
    this.#shapes.set(id, shape);
    return id;
  }

  shape(value: string): Shape {
    const shape = this.#shapes.get(value);
    if (shape === undefined) throw new Error(`internal: the value ${value} does not exist`);
    return shape;
  }

  /** Adds a node of a layer and gives its value. */
  add(layer: string, parts: NodeParts): string {
    // The parts are those of one op.
    const node = { ...parts, id: this.#freshId(layer), origin: [layer] } as Node;
    const inputs = node.inputs.map((value) => this.shape(value));
    this.#shapes.set(node.id, nodeShape(node, { inputs, single: inputs, batch: 1 }));
    this.nodes.push(node);
    return node.id;
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

  #freshId(base: string): string {
    let id = base;
    for (let suffix = 2; this.#shapes.has(id); suffix += 1) id = `${base}.${suffix}`;
    return id;
  }
}

/** The last two parts of a name, `layer/slot`. */
function lastNames(name: string): string {
  return name.split('/').slice(-2).join('/');
}
