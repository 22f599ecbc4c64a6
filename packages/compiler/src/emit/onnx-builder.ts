import type { Shape } from '@dgconv/core';
import onnxProto, { type onnx } from 'onnx-proto';

const { AttributeProto, TensorProto } = onnxProto.onnx;

/** What an ONNX attribute of ours can be; `float` marks a number that is not an integer. */
export type AttributeValue = number | string | readonly number[] | { readonly float: number };

/** NHWC axis → NCHW axis. */
const toNchw = [0, 2, 3, 1] as const;
/** NCHW axis → NHWC axis. */
const toNhwc = [0, 3, 1, 2] as const;

/** Axis of an NHWC value in the ONNX graph, where values of rank 4 are NCHW. */
export const mapAxis = (axis: number, rank: number): number => {
  const positive = axis < 0 ? axis + rank : axis;
  return rank === 4 ? toNchw[positive]! : positive;
};

/** One entry per axis, from NHWC order to the order in the ONNX graph. */
export const mapAxes = <T>(perAxis: readonly T[]): T[] =>
  perAxis.length === 4 ? toNhwc.map((axis) => perAxis[axis]!) : [...perAxis];

/** Whether NHWC and NCHW of this shape lay the elements out alike. */
const sameOrder = (shape: Shape): boolean => shape.length !== 4 || shape[3] === 1 || shape[1]! * shape[2]! === 1;

const bytesOf = (values: Float32Array | BigInt64Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const attribute = (name: string, value: AttributeValue): onnx.IAttributeProto => {
  const { AttributeType } = AttributeProto;
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
};

/**
 * Collects the nodes and initialisers of an ONNX graph in order, with unique names. The rules of `onnx-ops.ts` call `op` and
 * return the tensor that holds their result; `define` then binds it to the value.
 */
export class OnnxBuilder {
  readonly nodes: onnx.INodeProto[] = [];
  readonly initializers: onnx.ITensorProto[] = [];
  readonly #names = new Set<string>();
  readonly #tensorOf = new Map<string, string>();
  #scope = '';

  constructor(readonly shapeOf: (id: string) => Shape) {}

  /** Keeps a name from being given to anything else. */
  reserve(name: string): void {
    this.#names.add(name);
  }

  /** The tensor that holds a value. */
  tensor(id: string): string {
    const tensor = this.#tensorOf.get(id);
    if (tensor === undefined) throw new Error(`internal: value '${id}' is used before it is defined`);
    return tensor;
  }

  bind(id: string, tensor: string): void {
    this.#tensorOf.set(id, tensor);
  }

  /**
   * Emits one node of ours and gives its result the name `target`, or `id` where that is free.
   * @param rule - emits nodes by `op` and returns the tensor of the result, which may be one that existed before.
   */
  define(id: string, target: string | undefined, rule: () => string): void {
    this.#scope = id;
    const before = this.nodes.length;
    const result = rule();
    const last = this.nodes.at(-1);
    if (this.nodes.length > before && last?.output?.[0] === result) {
      const name = target ?? this.#unique(id);
      last.output = [name];
      // The name of the layer is that of its convolution, if it has one.
      if (!this.nodes.slice(before).some((node) => node.name === id)) last.name = id;
      this.bind(id, name);
    } else if (target !== undefined) {
      this.nodes.push({ opType: 'Identity', name: id, input: [result], output: [target], attribute: [] });
      this.bind(id, target);
    } else this.bind(id, result);
  }

  /** Appends a node and returns the name of its output. */
  op(opType: string, input: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const output = this.#unique(`${this.#scope}/${opType.toLowerCase()}`);
    const entries = Object.entries(attributes).map(([name, value]) => attribute(name, value));
    this.nodes.push({ opType, name: output, input: [...input], output: [output], attribute: entries });
    return output;
  }

  /** Appends the node that a layer is about, named after it whatever follows. */
  layer(opType: string, input: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const output = this.op(opType, input, attributes);
    this.nodes.at(-1)!.name = this.#scope;
    return output;
  }

  /** A float32 initialiser `dims`, in ONNX's own order. */
  floats(hint: string, dims: Shape, values: Float32Array): string {
    return this.#initializer(hint, dims, TensorProto.DataType.FLOAT, values);
  }

  /** A float32 scalar. */
  scalar(value: number): string {
    return this.floats('scalar', [], Float32Array.of(value));
  }

  /** An int64 vector. */
  integers(hint: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return this.#initializer(hint, [values.length], TensorProto.DataType.INT64, data);
  }

  reshape(tensor: string, dims: Shape): string {
    return this.op('Reshape', [tensor, this.integers('shape', dims)]);
  }

  /** The tensor of a value in NHWC order (a value of another rank as it is), `dims` NHWC. */
  toPlain(id: string): string {
    const shape = this.shapeOf(id);
    if (shape.length !== 4) return this.tensor(id);
    if (sameOrder(shape)) return this.reshape(this.tensor(id), shape);
    return this.op('Transpose', [this.tensor(id)], { perm: [...toNchw] });
  }

  /** A tensor in NHWC order `shape` brought into the graph's order. */
  fromPlain(tensor: string, shape: Shape): string {
    if (shape.length !== 4) return tensor;
    return sameOrder(shape)
      ? this.reshape(tensor, mapAxes(shape))
      : this.op('Transpose', [tensor], { perm: [...toNhwc] });
  }

  /** A value's elements in NHWC order as `shape`, in the graph's order: a Transpose only where the order of elements differs. */
  reshapeValue(id: string, shape: Shape): string {
    const from = sameOrder(this.shapeOf(id)) ? this.tensor(id) : this.toPlain(id);
    if (sameOrder(shape)) return this.reshape(from, mapAxes(shape));
    return this.fromPlain(this.reshape(from, shape), shape);
  }

  #initializer(hint: string, dims: Shape, dataType: number, values: Float32Array | BigInt64Array): string {
    const name = this.#unique(`${this.#scope}/${hint}`);
    this.initializers.push({ name, dims: [...dims], dataType, rawData: bytesOf(values) });
    return name;
  }

  #unique(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }
}
