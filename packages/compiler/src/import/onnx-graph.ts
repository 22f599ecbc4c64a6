import {
  elementCount,
  fillWeight,
  type Graph,
  type GraphInput,
  InvalidInputError,
  type Node,
  nodeShape,
  reshapeWeight,
  type Shape,
  storedWeight,
  transposeWeight,
  type Weight,
  type WeightSource,
} from '@dgconv/core';
import { FreshNames } from '../fresh-names.js';
import { type Constant, largestValue } from './constant.js';
import type { NewNode } from './new-node.js';
import { type ExternalReader, isFloatType, type OnnxTensor } from './onnx-tensor.js';

export type { Constant };

/**
 * An ONNX tensor that the network computes, in one or both of two orders: as ONNX gives it (`given`, for example NCHW), and with the
 * channel axis 1 moved to the end (`last`, NHWC). The other order is made by a transpose when somebody asks for it.
 */
export interface Dynamic {
  readonly kind: 'dynamic';
  /** As in ONNX. */
  readonly shape: Shape;
  given: string | null;
  last: string | null;
  /** What earlier operators of a recognised pattern have to say. */
  readonly note?: Note;
}

export type Operand = Constant | Dynamic;

/** An order of the axes of a {@link Dynamic}. */
export type Form = 'given' | 'last';

/** A value as a function of another one, from which operators that exporters take apart are recognised. */
export type Note =
  | { readonly kind: 'plus'; readonly of: Dynamic; readonly constant: number }
  | { readonly kind: 'clip-plus'; readonly of: Dynamic; readonly constant: number; readonly max: number }
  | { readonly kind: 'hard-sigmoid'; readonly of: Dynamic; readonly alpha: number; readonly beta: number }
  | { readonly kind: 'sigmoid' | 'clip-product'; readonly of: Dynamic }
  | { readonly kind: 'scaled'; readonly of: Dynamic; readonly factor: number }
  /** `erf(of/√2)`, `1 + erf(of/√2)`, and that times `of` or times one half: the steps to GELU. */
  | { readonly kind: 'erf' | 'erf-plus' | 'erf-product' | 'erf-half'; readonly of: Dynamic }
  /** Whole numbers or truth values (0 and 1), which a cast to integers leaves as they are. */
  | { readonly kind: 'whole' }
  /** Channels as several axes, and those axes in another order: two thirds of a channel shuffle. */
  | { readonly kind: 'split-channels'; readonly of: Dynamic; readonly digits: Shape }
  | {
      readonly kind: 'permuted-channels';
      readonly of: Dynamic;
      readonly digits: Shape;
      readonly axes: readonly number[];
    };

/** `[0, 2, …, 1]`: from ONNX's order to channels last. */
export function toLast(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 2), 1];
}

/** `[0, rank-1, 1, …]`: from channels last to ONNX's order. */
export function toGiven(rank: number): number[] {
  return [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 1)];
}

/** Place of an ONNX axis in a form. */
export function axisIn(form: Form, rank: number, axis: number): number {
  if (form === 'given' || axis === 0) return axis;
  return axis === 1 ? rank - 1 : axis - 1;
}

/** Values by ONNX axis, in the order of a form. */
export function inForm<Item>(form: Form, items: readonly Item[]): Item[] {
  return form === 'given' ? [...items] : toLast(items.length).map((axis) => items[axis]!);
}

/** Whether a permutation leaves every axis where it is. */
export function isIdentity(permutation: readonly number[]): boolean {
  return permutation.every((axis, place) => axis === place);
}

/** The graph while it is imported: nodes, shapes, names that are taken, and the tensors that folding made. */
export class OnnxGraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #inputs: GraphInput[] = [];
  readonly #shapes = new Map<string, Shape>();
  readonly #computed = new Map<string, { shape: Shape; values: Float32Array }>();

  readonly #ids = new FreshNames();
  readonly #tensors: FreshNames;

  constructor(
    /** The tensors of the file. */
    readonly file: WeightSource,
    /** Where those are that lie outside it. */
    readonly readExternal?: ExternalReader,
  ) {
    this.#tensors = new FreshNames(file.names);
  }

  /** A graph input; channels last where it has images. */
  input(name: string, shape: Shape, form: Form): Dynamic {
    const ordered = inForm(form, shape);
    this.#ids.take(name);
    this.#inputs.push({ name, shape: ordered });
    this.#shapes.set(name, ordered);
    return { kind: 'dynamic', shape, given: form === 'given' ? name : null, last: form === 'last' ? name : null };
  }

  /** Adds a node under the id, or a variant of it if that is taken, and returns its id. @throws {InvalidInputError} if shapes do not fit. */
  add(id: string, origin: string, node: NewNode): string {
    const unique = this.#ids.take(id);
    const complete = { ...node, id: unique, origin: [origin] } as Node;
    const inputs = node.inputs.map((name) => this.shape(name));
    const shape = nodeShape(complete, { inputs, single: inputs, batch: 1 });
    if (elementCount(shape) > largestValue) {
      throw new InvalidInputError(
        `node '${unique}' would compute [${shape.join(', ')}] values: at most 2^28 are supported`,
      );
    }
    this.#nodes.push(complete);
    this.#shapes.set(unique, shape);
    return unique;
  }

  /** Shape of a value of the graph. */
  shape(id: string): Shape {
    return this.#shapes.get(id)!;
  }

  /** A value in a form, transposed where it is not there yet. */
  in(form: Form, value: Dynamic): string {
    const there = value[form];
    if (there !== null) return there;
    const rank = value.shape.length;
    if (rank < 3) {
      // With at most one axis behind the batch, both orders are the same.
      const only = value.given ?? value.last!;
      value[form] = only;
      return only;
    }
    const from = (form === 'given' ? value.last : value.given)!;
    const permutation = form === 'given' ? toGiven(rank) : toLast(rank);
    const suffix = form === 'given' ? 'channels_first' : 'channels_last';
    const id = this.add(`${from}.${suffix}`, from, {
      op: 'transpose',
      inputs: [from],
      attrs: { permutation },
      weights: {},
    });
    value[form] = id;
    return id;
  }

  /** A value whose elements lie in memory as in ONNX's order. */
  flat(value: Dynamic): string {
    if (value.given !== null) return value.given;
    const [, channels = 1, ...spatial] = value.shape;
    return channels === 1 || elementCount(spatial) === 1 ? value.last! : this.in('given', value);
  }

  /** The form that needs the fewest transposes: channels last as soon as one value has nothing else. */
  preferredForm(values: readonly Dynamic[]): Form {
    return values.some((value) => value.given === null) ? 'last' : 'given';
  }

  /** A new tensor of the weight source. */
  store(name: string, shape: Shape, values: Float32Array): Weight {
    const unique = this.#tensors.take(name);
    this.#computed.set(unique, { shape, values });
    return storedWeight(unique);
  }

  /** A constant that the file holds outside its initialisers. */
  tensor(name: string, tensor: OnnxTensor): Constant {
    return this.constant(name, tensor.shape, tensor.read(this.readExternal), isFloatType(tensor.elementType));
  }

  /** A constant of values that were computed at import. */
  constant(name: string, shape: Shape, values: Float64Array | Float32Array, isFloat: boolean): Constant {
    const first = values[0] ?? 0;
    const store = (): Weight => this.store(name, shape, Float32Array.from(values));
    let weight: Weight | null = null;
    return {
      kind: 'constant',
      shape,
      isFloat,
      get weight() {
        weight ??= values.length > 0 && values.every((value) => value === first) ? fillWeight(shape, first) : store();
        return weight;
      },
      read: () => values,
    };
  }

  /** A constant as a value of the network. */
  materialise(value: Operand, id: string, origin: string): Dynamic {
    if (value.kind === 'dynamic') return value;
    const { shape, weight } = value;
    const node = this.add(id, origin, { op: 'constant', inputs: [], attrs: { shape }, weights: { value: weight } });
    return { kind: 'dynamic', shape, given: node, last: null };
  }

  /** A constant in a form, as a value of the network, aligned to `rank` axes as broadcasting does. */
  materialiseIn(form: Form, value: Constant, rank: number, id: string, origin: string): string {
    const aligned = [...new Array<number>(rank - value.shape.length).fill(1), ...value.shape];
    let weight = value.weight;
    if (aligned.length !== value.shape.length) weight = reshapeWeight(weight, aligned);
    if (form === 'last' && rank > 2) weight = transposeWeight(weight, toLast(rank));
    const shape = rank > 2 ? inForm(form, aligned) : aligned;
    return this.add(id, origin, { op: 'constant', inputs: [], attrs: { shape }, weights: { value: weight } });
  }

  /** The tensors of the file and those that folding made. */
  source(): WeightSource {
    const computed = this.#computed;
    return {
      names: [...this.file.names, ...computed.keys()],
      shape: (name) => computed.get(name)?.shape ?? this.file.shape(name),
      read: (name) => computed.get(name)?.values ?? this.file.read(name),
    };
  }

  /** The nodes that outputs depend on, and all inputs. */
  finish(outputs: Graph['outputs'], metadata: Graph['metadata']): Graph {
    const needed = new Set(outputs.map((output) => output.value));
    const nodes: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!needed.has(node.id)) continue;
      nodes.push(node);
      for (const input of node.inputs) needed.add(input);
    }
    return { formatVersion: '1.0', nodes: nodes.reverse(), inputs: this.#inputs, outputs, metadata };
  }
}
