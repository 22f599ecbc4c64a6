import { elementCount, type Shape } from '@dgconv/core';
import onnxProto, { type onnx } from 'onnx-proto';
import { mapAxes, type Order, sameOrder, toNchw, toNhwc } from './onnx-orders.js';

const { AttributeProto, TensorProto } = onnxProto.onnx;

/** What an ONNX attribute of ours can be; `float` marks a number that is not an integer. */
export type AttributeValue = number | string | readonly number[] | { readonly float: number };

/** What a rule gives: a tensor, NCHW if it has rank 4, or NHWC where that is said; or one that is made in the order that is asked for. */
export type Emitted = string | { readonly nhwc: string } | ((order: Order) => string);

/** A tensor in the order that it has. */
export const emitted = (tensor: string, order: Order): Emitted => (order === 'nchw' ? tensor : { nhwc: tensor });

const bytesOf = (values: Float32Array | BigInt64Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const attribute = (name: string, value: AttributeValue): onnx.IAttributeProto => {
  const { AttributeType } = AttributeProto;
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
};

/** The tensors that hold a value, by order (`nchw` alone unless it has rank 4), and what makes those that are not there. */
type Tensors = Partial<Record<Order, string>> & { readonly make?: (order: Order) => string };

/**
 * Collects the nodes and initialisers of an ONNX graph in order, with unique names. The rules of `onnx-ops.ts` call `op` and
 * return the tensor that holds their result; `define` then binds it to the value.
 */
export class OnnxBuilder {
  readonly nodes: onnx.INodeProto[] = [];
  readonly initializers: onnx.ITensorProto[] = [];
  readonly #names = new Set<string>();
  readonly #tensors = new Map<string, Tensors>();
  #scope = '';

  constructor(
    readonly shapeOf: (id: string) => Shape,
    /** By value, as `ordersWanted` gives them. */
    private readonly wanted: ReadonlyMap<string, Order>,
  ) {}

  /** Keeps a name from being given to anything else. */
  reserve(name: string): void {
    this.#names.add(name);
  }

  /** The tensor that holds a value, NCHW if it has rank 4. */
  tensor(id: string): string {
    return this.inOrder(id, 'nchw');
  }

  /** The tensor that holds a value in an order; made the first time that somebody asks for it. */
  inOrder(id: string, wanted: Order): string {
    const tensors = this.#tensorsOf(id);
    const order = this.shapeOf(id).length === 4 ? wanted : 'nchw';
    const known = tensors[order];
    if (known !== undefined) return known;
    // It belongs to the value, whoever asks for it first.
    const scope = this.#scope;
    this.#scope = id;
    const made = tensors.make?.(order) ?? this.#reordered(tensors, order, this.shapeOf(id));
    this.#scope = scope;
    tensors[order] = made;
    return made;
  }

  /** The order in which a value is needed further on. */
  orderWanted(id: string): Order {
    return this.wanted.get(id) ?? 'nchw';
  }

  /** The order in which fewer elements of these values have to be moved; NCHW if it does not matter. */
  orderFor(ids: readonly string[]): Order {
    const cost = (id: string, order: Order): number => {
      const [shape, tensors] = [this.shapeOf(id), this.#tensorsOf(id)];
      if (shape.length !== 4 || tensors[order] !== undefined || tensors.make !== undefined) return 0;
      return sameOrder(shape) ? 1 : elementCount(shape);
    };
    const costs = (order: Order): number => ids.reduce((sum, id) => sum + cost(id, order), 0);
    return costs('nhwc') < costs('nchw') ? 'nhwc' : 'nchw';
  }

  /** Gives a value its NCHW tensor. */
  bind(id: string, tensor: string): void {
    this.#tensors.set(id, { nchw: tensor });
  }

  /**
   * Emits one node of ours and gives its result the name `target`, or `id` where that is free.
   * @param target - name of an output of the graph, which is NCHW.
   * @param rule - emits nodes by `op` and returns the tensor of the result, which may be one that existed before.
   */
  define(id: string, target: string | undefined, rule: () => Emitted): void {
    this.#scope = id;
    const before = this.nodes.length;
    const result = rule();
    const tensors: Tensors =
      typeof result === 'string' ? { nchw: result } : typeof result === 'function' ? { make: result } : { ...result };
    this.#tensors.set(id, tensors);
    if (tensors.make !== undefined && target === undefined) return;
    if (this.shapeOf(id).length !== 4 && tensors.nhwc !== undefined) tensors.nchw = tensors.nhwc;
    const order = target === undefined && tensors.nchw === undefined ? 'nhwc' : 'nchw';
    const tensor = this.inOrder(id, order);
    const last = this.nodes.at(-1);
    if (this.nodes.length > before && last?.output?.[0] === tensor) {
      const name = target ?? this.#unique(id);
      last.output = [name];
      // The name of the layer is that of its convolution, if it has one.
      if (!this.nodes.slice(before).some((node) => node.name === id)) last.name = id;
      tensors[order] = name;
    } else if (target !== undefined) {
      this.nodes.push({ opType: 'Identity', name: id, input: [tensor], output: [target], attribute: [] });
      tensors.nchw = target;
    }
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

  /**
   * A value's elements in NHWC order as `shape`: a Transpose only where the order of elements differs.
   * @param wanted - in which order, if it does not matter.
   */
  reshapeValue(id: string, shape: Shape, wanted: Order): Emitted {
    const from = this.inOrder(id, sameOrder(this.shapeOf(id)) ? this.orderFor([id]) : 'nhwc');
    const order = sameOrder(shape) ? wanted : 'nhwc';
    return emitted(this.reshape(from, mapAxes(shape, order)), order);
  }

  /** A value of a lower rank as NCHW, which broadcasts as the value does against NHWC. */
  aligned(id: string): string {
    const shape = this.shapeOf(id);
    const whole = [...new Array<number>(4 - shape.length).fill(1), ...shape];
    if (sameOrder(whole)) return this.reshape(this.tensor(id), mapAxes(whole, 'nchw'));
    return this.#reordered({ nhwc: this.reshape(this.tensor(id), whole) }, 'nchw', whole);
  }

  /** A new tensor with the elements of one in the other order. */
  #reordered(tensors: Tensors, order: Order, shape: Shape): string {
    const from = (order === 'nchw' ? tensors.nhwc : tensors.nchw)!;
    if (sameOrder(shape)) return this.reshape(from, mapAxes(shape, order));
    return this.op('Transpose', [from], { perm: order === 'nchw' ? [...toNhwc] : [...toNchw] });
  }

  #tensorsOf(id: string): Tensors {
    const tensors = this.#tensors.get(id);
    if (tensors === undefined) throw new Error(`internal: value '${id}' is used before it is defined`);
    return tensors;
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
