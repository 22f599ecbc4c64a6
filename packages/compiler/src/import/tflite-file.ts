import { elementCount, InvalidInputError, type Shape, UnsupportedError } from '@dgconv/core';
import { FlatTable } from '../flat-table.js';
import { customOperator, tfliteOperatorName } from './tflite-operators.js';

/** Per-tensor or per-channel quantisation: `(value - zeroPoint) · scale`. */
export interface TfliteQuantization {
  readonly scales: readonly number[];
  readonly zeroPoints: readonly number[];
  readonly axis: number;
}

/** A tensor of a TFLite file; `bytes` are there if it is a constant. */
export interface TfliteTensor {
  readonly name: string;
  readonly shape: Shape;
  /** Code of its element type in TFLite's schema. */
  readonly type: number;
  readonly bytes: Uint8Array | null;
  readonly quantization: TfliteQuantization | null;
  /** How a sparse constant is stored, as the schema's SparsityParameters. */
  readonly sparsity: FlatTable | null;
}

/** One operation of a TFLite file; tensors by index, -1 for an absent input. */
export interface TfliteOperation {
  /** The builtin operator's name, or the custom one's. */
  readonly operator: string;
  readonly isCustom: boolean;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options: FlatTable | null;
  readonly customOptions: Uint8Array | null;
}

/** Name under which callers know an input or output, and its tensor. */
export interface TfliteBorder {
  readonly name: string;
  readonly tensor: number;
}

/** The first subgraph of a TFLite file, every index checked. */
export interface TfliteModel {
  readonly name: string;
  readonly tensors: readonly TfliteTensor[];
  readonly operations: readonly TfliteOperation[];
  readonly inputs: readonly TfliteBorder[];
  readonly outputs: readonly TfliteBorder[];
}

/** Far more than networks have, few enough that every pass is quick. */
const largestOperationCount = 20_000;

/** Elements of a tensor that we would hold in memory. */
const largestTensor = 2 ** 31;

const readTensor = (table: FlatTable, index: number, buffers: readonly FlatTable[], file: Uint8Array): TfliteTensor => {
  const name = table.string(3) ?? '';
  const where = `tensor '${name === '' ? index : name}'`;
  const shape = table.int32s(0);
  if (shape.some((size) => size < 0) || !(elementCount(shape) < largestTensor))
    throw new InvalidInputError(
      `${where} has the shape [${shape.join(', ')}]: sizes from 0 on are needed, 2^31 values at most`,
    );
  const buffer = table.int32(2);
  if (buffer < 0 || buffer >= Math.max(1, buffers.length))
    throw new InvalidInputError(`${where} is kept in buffer ${buffer}; the file has ${buffers.length}`);
  const quantization = table.table(4);
  const scales = quantization?.float32s(2) ?? [];
  return {
    name,
    shape,
    type: table.int8(1),
    bytes: buffer === 0 ? null : (bufferBytes(buffers[buffer]!, file, where) ?? nothingIn(shape)),
    quantization:
      scales.length === 0 ? null : { scales, zeroPoints: quantization!.int64s(3), axis: quantization!.int32(6) },
    sparsity: table.table(6),
  };
};

/** A buffer's bytes: inside the flatbuffer, or behind it in the same file, where models over 2 GB keep them. */
const bufferBytes = (buffer: FlatTable, file: Uint8Array, where: string): Uint8Array | null => {
  const inside = buffer.bytes(0);
  if (inside !== null && inside.length > 0) return inside;
  const [offset, size] = [buffer.uint64(1), buffer.uint64(2)];
  // 1 marks a buffer that has been moved; only larger offsets are places.
  if (offset <= 1 || size === 0) return null;
  if (offset + size > file.length)
    throw new InvalidInputError(
      `${where} is kept at ${offset} to ${offset + size}, behind the file's ${file.length} bytes`,
    );
  return file.subarray(offset, offset + size);
};

/** What a constant without elements has: the shape of a scalar is one. */
const nothingIn = (shape: readonly number[]): Uint8Array | null =>
  elementCount(shape) === 0 ? new Uint8Array() : null;

const operatorOf = (table: FlatTable): Pick<TfliteOperation, 'operator' | 'isCustom'> => {
  // Files from before the 128th operator have the code in the first slot only.
  const code = Math.max(table.int8(0), table.int32(3));
  return code === customOperator
    ? { operator: table.string(1) ?? '', isCustom: true }
    : { operator: tfliteOperatorName(code), isCustom: false };
};

/**
 * Reads the tables of a TFLite file (schema version 3); constants stay views of `bytes`.
 * @throws {InvalidInputError} if the bytes are no such file, or an offset or index leads outside of it.
 * @throws {UnsupportedError} if its schema is of another version, or it has more operations than networks have.
 */
export function readTflite(bytes: Uint8Array): TfliteModel {
  const model = FlatTable.root(bytes, 'TFL3');
  const version = model.int32(0);
  if (version !== 3) throw new UnsupportedError(`the file has version ${version} of TFLite's schema: 3 is supported`);
  const [subgraph] = model.tables(2);
  if (subgraph === undefined) throw new InvalidInputError('the file has no subgraph: there is nothing to run');
  const buffers = model.tables(4);
  const operators = model.tables(1).map(operatorOf);
  const tensors = subgraph.tables(0).map((table, index) => readTensor(table, index, buffers, bytes));
  const indices = (table: FlatTable, slot: number, isOptional: boolean, where: string): number[] => {
    const found = table.int32s(slot);
    const wrong = found.find((index) => index >= tensors.length || index < (isOptional ? -1 : 0));
    if (wrong !== undefined)
      throw new InvalidInputError(`${where} names tensor ${wrong}; the file has ${tensors.length}`);
    return found;
  };
  const operationTables = subgraph.tables(3);
  if (operationTables.length > largestOperationCount)
    throw new UnsupportedError(
      `the model has ${operationTables.length} operations: at most ${largestOperationCount} are supported`,
    );
  const operations = operationTables.map((table, index): TfliteOperation => {
    const code = table.int32(0);
    const operator = operators[code];
    if (operator === undefined)
      throw new InvalidInputError(`operation ${index} has operator ${code}; the file lists ${operators.length}`);
    const where = `operation ${index} (${operator.operator})`;
    return {
      ...operator,
      inputs: indices(table, 1, true, where),
      outputs: indices(table, 2, false, where),
      options: operator.isCustom ? null : table.table(4),
      customOptions: table.bytes(5),
    };
  });
  const signature = model.tables(7).find((table) => table.int32(4) === 0);
  const borders = (slot: 1 | 2, signatureSlot: 0 | 1): TfliteBorder[] => {
    const named = new Map(signature?.tables(signatureSlot).map((entry) => [entry.int32(1), entry.string(0) ?? '']));
    const what = slot === 1 ? 'input' : 'output';
    const names = new Set<string>();
    return indices(subgraph, slot, false, `the list of ${what}s`).map((tensor, index) => {
      const given = named.get(tensor) ?? tensors[tensor]!.name;
      let name = given === '' ? `${what}_${index}` : given;
      while (names.has(name)) name = `${name}.${index}`;
      names.add(name);
      return { name, tensor };
    });
  };
  return {
    name: subgraph.string(4) ?? '',
    tensors,
    operations,
    inputs: borders(1, 0),
    outputs: borders(2, 1),
  };
}
