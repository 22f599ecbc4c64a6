import {
  elementCount,
  fillWeight,
  type GraphInput,
  type GraphMetadata,
  type GraphOutput,
  InvalidInputError,
  literalWeight,
  type Model,
  type Node,
  nodeShape,
  type Shape,
  storedWeight,
  type Weight,
} from '@dgconv/core';
import { FreshNames } from '../fresh-names.js';
import { type Constant, largestValue } from './constant.js';
import type { NewNode } from './new-node.js';
import { removeUnusedNodes } from '../passes/rewrite.js';

export type { Constant };

/** A tensor that the network computes: the value of a node or an input, channels last as in TFLite. */
export interface Dynamic {
  readonly kind: 'dynamic';
  readonly id: string;
  readonly shape: Shape;
}

export type Operand = Constant | Dynamic;

/** Vectors up to this length stay in the graph itself. */
const largestLiteral = 1;

/** The graph while it is imported: nodes, shapes, names that are taken, and constants that are decoded when they are read. */
export class TfliteGraph {
  readonly #nodes: Node[] = [];
  readonly #inputs: GraphInput[] = [];
  readonly #shapes = new Map<string, Shape>();
  readonly #tensors = new Map<string, { readonly shape: Shape; read(): Float32Array }>();
  readonly #ids = new FreshNames();
  readonly #tensorNames = new FreshNames();

  input(name: string, shape: Shape): Dynamic {
    if (this.#shapes.has(name)) throw new InvalidInputError(`two inputs are named '${name}'`);
    if (elementCount(shape) > largestValue)
      throw new InvalidInputError(
        `the input '${name}' has shape [${shape.join(', ')}]: at most 2^28 values are supported`,
      );
    this.#ids.take(name);
    this.#inputs.push({ name, shape });
    this.#shapes.set(name, shape);
    return { kind: 'dynamic', id: name, shape };
  }

  /** Adds a node under the id, or a variant of it if that is taken. @throws {InvalidInputError} if shapes do not fit. */
  add(id: string, origin: string, node: NewNode): Dynamic {
    const unique = this.#ids.take(id);
    const complete = { ...node, id: unique, origin: [origin] } as Node;
    const inputs = node.inputs.map((name) => this.#shapes.get(name)!);
    const shape = nodeShape(complete, { inputs, single: inputs, batch: 1 });
    if (elementCount(shape) > largestValue)
      throw new InvalidInputError(
        `node '${unique}' would compute [${shape.join(', ')}] values: at most 2^28 are supported`,
      );
    this.#nodes.push(complete);
    this.#shapes.set(unique, shape);
    return { kind: 'dynamic', id: unique, shape };
  }

  /** A constant whose values are decoded when they are needed. */
  constant(name: string, shape: Shape, isFloat: boolean, read: () => Float32Array | Float64Array): Constant {
    let weight: Weight | null = null;
    const store = (): Weight => {
      if (elementCount(shape) <= largestLiteral) return literalWeight(shape, [...read()]);
      const stored = this.#tensorNames.take(name);
      this.#tensors.set(stored, {
        shape,
        read: () => {
          const values = read();
          return values instanceof Float32Array ? values : Float32Array.from(values);
        },
      });
      return storedWeight(stored);
    };
    return {
      kind: 'constant',
      shape,
      isFloat,
      get weight() {
        return (weight ??= store());
      },
      read,
    };
  }

  /** A constant of one value everywhere. */
  fill(shape: Shape, value: number): Constant {
    const read = (): Float64Array => new Float64Array(elementCount(shape)).fill(value);
    return { kind: 'constant', shape, isFloat: true, weight: fillWeight(shape, value), read };
  }

  /** An operand as a value of the network. */
  materialise(operand: Operand, id: string, origin: string): Dynamic {
    if (operand.kind === 'dynamic') return operand;
    const { shape, weight } = operand;
    return this.add(id, origin, { op: 'constant', inputs: [], attrs: { shape }, weights: { value: weight } });
  }

  /** The finished network, with the nodes that its outputs depend on. */
  finish(outputs: readonly GraphOutput[], metadata: GraphMetadata): Model {
    const tensors = this.#tensors;
    const find = (name: string) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new InvalidInputError(`there is no tensor '${name}'`);
      return tensor;
    };
    return {
      graph: removeUnusedNodes({
        formatVersion: '1.0',
        nodes: this.#nodes,
        inputs: this.#inputs,
        outputs,
        metadata,
      }),
      weights: {
        names: [...tensors.keys()],
        shape: (name) => find(name).shape,
        read: (name) => find(name).read(),
      },
    };
  }
}
