import type { Shape } from '@dgconv/core';
import { Builder } from 'flatbuffers';
import {
  tensorType,
  writeAlignedBytes,
  writeInt32Vector,
  writeOffsetVector,
  writeOptions,
  type OptionField,
  type TfliteOperator,
} from './tflite-schema.js';

interface Tensor {
  name: string;
  readonly shape: Shape;
  readonly type: number;
  readonly buffer: number;
}

interface Operation {
  readonly opcode: number;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly optionsType: number;
  readonly options: readonly OptionField[];
}

/** A named input or output of the network and its tensor. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: number;
}

const bytesOf = (values: Float32Array | Int32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Collects tensors, buffers and operations of a TFLite model in order; `finish` writes the file. */
export class TfliteBuilder {
  readonly #tensors: Tensor[] = [];
  /** Buffer 0 is the empty one that tensors without data share. */
  readonly #buffers: Uint8Array[] = [new Uint8Array()];
  readonly #operations: Operation[] = [];
  readonly #operators: TfliteOperator[] = [];
  readonly #names = new Set<string>();
  readonly #tensorOf = new Map<string, number>();
  #scope = '';
  #layer = -1;

  constructor(readonly shapeOf: (id: string) => Shape) {}

  reserve(name: string): void {
    this.#names.add(name);
  }

  /** A tensor that the caller feeds. */
  input(name: string, shape: Shape): number {
    const tensor = this.#tensor(name, shape, tensorType.float32, 0);
    this.#tensorOf.set(name, tensor);
    return tensor;
  }

  /** The tensor that holds a value. */
  tensor(id: string): number {
    const tensor = this.#tensorOf.get(id);
    if (tensor === undefined) throw new Error(`internal: value '${id}' is used before it is defined`);
    return tensor;
  }

  shapeOfTensor(tensor: number): Shape {
    return this.#tensors[tensor]!.shape;
  }

  /**
   * Emits one node of ours and gives the result the name `target`, or `id` where that is free.
   * @param rule - emits operations and returns the tensor of the result, which may be one that existed before.
   */
  define(id: string, target: string | undefined, rule: () => number): void {
    this.#scope = id;
    this.#layer = -1;
    const before = this.#tensors.length;
    const operationsBefore = this.#operations.length;
    let result = rule();
    const isNew = result >= before && this.#operations.length > operationsBefore;
    if (target !== undefined && !isNew) result = this.copy(result);
    // The layer's own operation has its name, whatever follows it; of a single one that is the value.
    if (this.#layer >= 0 && this.#layer !== result) this.#tensors[this.#layer]!.name = this.#unique(id);
    else if (isNew && target === undefined) this.#tensors[result]!.name = this.#unique(id);
    if (target !== undefined) this.#tensors[result]!.name = target;
    this.#tensorOf.set(id, result);
  }

  /** A tensor with the same contents and a place of its own. */
  copy(tensor: number, name?: string): number {
    const { shape } = this.#tensors[tensor]!;
    const result = this.op({ code: 22, optionsType: 17, version: 1 }, [tensor, this.integers('shape', shape)], shape, [
      ['int32-vector', shape],
    ]);
    if (name !== undefined) this.#tensors[result]!.name = name;
    return result;
  }

  /** Appends an operation and returns the tensor of its result; input -1 is an absent optional one. */
  op(operator: TfliteOperator, inputs: readonly number[], shape: Shape, options: readonly OptionField[] = []): number {
    let opcode = this.#operators.findIndex(
      ({ code, version }) => code === operator.code && version === operator.version,
    );
    if (opcode < 0) opcode = this.#operators.push(operator) - 1;
    const output = this.#tensor(this.#unique(`${this.#scope}/result`), shape, tensorType.float32, 0);
    this.#operations.push({ opcode, inputs, outputs: [output], optionsType: operator.optionsType, options });
    return output;
  }

  /** Appends the operation that a layer is about: its tensor is named after it, even if more operations follow. */
  layer(...operation: Parameters<TfliteBuilder['op']>): number {
    this.#layer = this.op(...operation);
    return this.#layer;
  }

  /** A float32 constant. */
  floats(hint: string, shape: Shape, values: Float32Array): number {
    return this.#constant(hint, shape, tensorType.float32, bytesOf(values));
  }

  /** A float32 scalar. */
  scalar(value: number): number {
    return this.floats('scalar', [], Float32Array.of(value));
  }

  /** An int32 constant: a vector, or of the shape given. */
  integers(hint: string, values: readonly number[], shape: Shape = [values.length]): number {
    return this.#constant(hint, shape, tensorType.int32, bytesOf(Int32Array.from(values)));
  }

  /**
   * Writes the file.
   * @param metadata - bytes by name, each a buffer of its own in the model's metadata.
   */
  finish(
    name: string,
    inputs: readonly NamedTensor[],
    outputs: readonly NamedTensor[],
    metadata: Readonly<Record<string, Uint8Array>>,
  ): Uint8Array {
    const entries = Object.entries(metadata).map(([key, bytes]) => {
      const buffer = this.#buffers.push(bytes) - 1;
      return { key, buffer };
    });
    const size = this.#buffers.reduce((sum, bytes) => sum + bytes.length + 64, 0);
    const builder = new Builder(size + 256 * (this.#tensors.length + this.#operations.length) + 4096);
    const buffers = writeOffsetVector(
      builder,
      this.#buffers.map((bytes) => {
        const data = bytes.length > 0 ? writeAlignedBytes(builder, bytes) : 0;
        builder.startObject(1);
        builder.addFieldOffset(0, data, 0);
        return builder.endObject();
      }),
    );
    const subgraphs = writeOffsetVector(builder, [this.#writeSubgraph(builder, name, inputs, outputs)]);
    const operatorCodes = writeOffsetVector(
      builder,
      this.#operators.map(({ code, version }) => {
        builder.startObject(4);
        // Readers of before the 128th operator look at the byte only.
        builder.addFieldInt8(0, Math.min(code, 127), 0);
        builder.addFieldInt32(2, version, 1);
        builder.addFieldInt32(3, code, 0);
        return builder.endObject();
      }),
    );
    const description = builder.createString('dgconv');
    const metadataVector = writeOffsetVector(
      builder,
      entries.map(({ key, buffer }) => {
        const keyOffset = builder.createString(key);
        builder.startObject(2);
        builder.addFieldOffset(0, keyOffset, 0);
        builder.addFieldInt32(1, buffer, 0);
        return builder.endObject();
      }),
    );
    const signatures = writeOffsetVector(builder, [this.#writeSignature(builder, inputs, outputs)]);
    builder.startObject(8);
    builder.addFieldInt32(0, 3, 0);
    builder.addFieldOffset(1, operatorCodes, 0);
    builder.addFieldOffset(2, subgraphs, 0);
    builder.addFieldOffset(3, description, 0);
    builder.addFieldOffset(4, buffers, 0);
    builder.addFieldOffset(6, metadataVector, 0);
    builder.addFieldOffset(7, signatures, 0);
    builder.finish(builder.endObject(), 'TFL3');
    return builder.asUint8Array().slice();
  }

  #writeSubgraph(
    builder: Builder,
    name: string,
    inputs: readonly NamedTensor[],
    outputs: readonly NamedTensor[],
  ): number {
    const tensors = writeOffsetVector(
      builder,
      this.#tensors.map(({ name: tensorName, shape, type, buffer }) => {
        const nameOffset = builder.createString(tensorName);
        const shapeOffset = writeInt32Vector(builder, shape);
        builder.startObject(8);
        builder.addFieldOffset(0, shapeOffset, 0);
        builder.addFieldInt8(1, type, 0);
        builder.addFieldInt32(2, buffer, 0);
        builder.addFieldOffset(3, nameOffset, 0);
        return builder.endObject();
      }),
    );
    const operations = writeOffsetVector(
      builder,
      this.#operations.map((operation) => {
        const inputsOffset = writeInt32Vector(builder, operation.inputs);
        const outputsOffset = writeInt32Vector(builder, operation.outputs);
        const options = operation.optionsType === 0 ? 0 : writeOptions(builder, operation.options);
        builder.startObject(9);
        builder.addFieldInt32(0, operation.opcode, 0);
        builder.addFieldOffset(1, inputsOffset, 0);
        builder.addFieldOffset(2, outputsOffset, 0);
        builder.addFieldInt8(3, operation.optionsType, 0);
        builder.addFieldOffset(4, options, 0);
        return builder.endObject();
      }),
    );
    const inputsOffset = writeInt32Vector(builder, inputs.map(({ tensor }) => tensor)); // prettier-ignore
    const outputsOffset = writeInt32Vector(builder, outputs.map(({ tensor }) => tensor)); // prettier-ignore
    const nameOffset = builder.createString(name);
    builder.startObject(5);
    builder.addFieldOffset(0, tensors, 0);
    builder.addFieldOffset(1, inputsOffset, 0);
    builder.addFieldOffset(2, outputsOffset, 0);
    builder.addFieldOffset(3, operations, 0);
    builder.addFieldOffset(4, nameOffset, 0);
    return builder.endObject();
  }

  #writeSignature(builder: Builder, inputs: readonly NamedTensor[], outputs: readonly NamedTensor[]): number {
    const maps = [inputs, outputs].map((named) =>
      writeOffsetVector(
        builder,
        named.map(({ name, tensor }) => {
          const nameOffset = builder.createString(name);
          builder.startObject(2);
          builder.addFieldOffset(0, nameOffset, 0);
          builder.addFieldInt32(1, tensor, 0);
          return builder.endObject();
        }),
      ),
    );
    const key = builder.createString('serving_default');
    builder.startObject(5);
    builder.addFieldOffset(0, maps[0]!, 0);
    builder.addFieldOffset(1, maps[1]!, 0);
    builder.addFieldOffset(2, key, 0);
    return builder.endObject();
  }

  #constant(hint: string, shape: Shape, type: number, bytes: Uint8Array): number {
    return this.#tensor(this.#unique(`${this.#scope}/${hint}`), shape, type, this.#buffers.push(bytes) - 1);
  }

  #tensor(name: string, shape: Shape, type: number, buffer: number): number {
    return this.#tensors.push({ name, shape, type, buffer }) - 1;
  }

  #unique(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }
}
