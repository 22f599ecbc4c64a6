import {
  bytesPerValue,
  elementCount,
  InvalidInputError,
  toFloat32,
  UnsupportedError,
  type ValueFormat,
} from '@dgconv/core';
import type { FlatTable } from '../flat-table.js';
import type { TfliteTensor } from './tflite-file.js';
import type { Constant, TfliteGraph } from './tflite-graph.js';

/** Element types by their codes in TFLite's schema. */
const typeNames =
  `float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant
uint32 uint16 int4 bfloat16`.split(/\s/);

const formats: Readonly<Record<string, ValueFormat>> = {
  float32: 'float32',
  float16: 'float16',
  bfloat16: 'bfloat16',
  float64: 'float64',
  int32: 'int32',
  int64: 'int64',
  int16: 'int16',
  int8: 'int8',
  uint8: 'uint8',
  uint16: 'uint16',
  bool: 'bool',
};
/** A few bytes can stand for a sparse tensor of any size. */
const largestSparse = 2 ** 24;

/** Name of an element type. */
export const tfliteTypeName = (type: number): string => typeNames[type] ?? `type ${type}`;

/**
 * The constant that a tensor of the file is: float16, bfloat16 and quantised values as the floats that they stand for, sparse ones
 * written out when they are read.
 * @throws {InvalidInputError} if its bytes do not fill its shape.
 * @throws {UnsupportedError} for an element type without numbers.
 */
export function constantOf(graph: TfliteGraph, tensor: TfliteTensor, bytes: Uint8Array, name: string): Constant {
  const type = tfliteTypeName(tensor.type);
  const format = formats[type];
  if (format === undefined)
    throw new UnsupportedError(`tensor '${name}' is ${type}: constants of that type are not supported`);
  const count = elementCount(tensor.shape);
  const { quantization, sparsity, shape } = tensor;
  const stored = Math.floor(bytes.length / bytesPerValue[format]);
  if (sparsity === null && (stored !== count || bytes.length % bytesPerValue[format] !== 0))
    throw new InvalidInputError(
      `tensor '${name}' has ${bytes.length} bytes, its shape [${shape.join(', ')}] needs ${count * bytesPerValue[format]}`,
    );
  if (sparsity !== null && count > largestSparse)
    throw new UnsupportedError(`tensor '${name}' is sparse and has ${count} values: at most 2^24 are supported`);
  const isFloat = quantization !== null || ['float16', 'bfloat16', 'float32', 'float64'].includes(type);
  if (quantization !== null) checkQuantization(tensor, name);
  return graph.constant(name, shape, isFloat, () => {
    const compact = toFloat32(bytes, format);
    const values = sparsity === null ? compact : denseValues(compact, sparsity, tensor, name);
    return quantization === null ? values : dequantized(values, tensor);
  });
}

function checkQuantization({ quantization, shape }: TfliteTensor, name: string): void {
  const { scales, zeroPoints, axis } = quantization!;
  const isPerTensor = scales.length === 1;
  const fits = isPerTensor || (axis >= 0 && axis < shape.length && scales.length === shape[axis]);
  if (!fits || (zeroPoints.length > 1 && zeroPoints.length !== scales.length))
    throw new InvalidInputError(
      `tensor '${name}' has ${scales.length} scales and ${zeroPoints.length} zero points along axis ${axis} of [${shape.join(', ')}]`,
    );
}

function dequantized(values: Float32Array, { quantization, shape }: TfliteTensor): Float32Array {
  const { scales, zeroPoints, axis } = quantization!;
  const inner = scales.length === 1 ? 1 : elementCount(shape.slice(axis + 1));
  return values.map((value, index) => {
    const at = Math.floor(index / inner) % scales.length;
    return (value - (zeroPoints[at] ?? zeroPoints[0] ?? 0)) * scales[at]!;
  });
}

/** One level of a sparse tensor: every index, or for each entry of the level above a list of some. */
interface Level {
  readonly size: number;
  readonly segments: readonly number[] | null;
  readonly indices: readonly number[];
}

/** Union members of the schema's SparseIndexVector. */
const readIndices = (union: FlatTable | null, type: number): readonly number[] => {
  if (union === null) return [];
  if (type === 1) return union.int32s(0);
  if (type === 2) return union.uint16s(0);
  return [...(union.bytes(0) ?? [])];
};

/** Writes a sparse tensor out: its levels in traversal order, the blocked ones behind the dimensions. */
function denseValues(compact: Float32Array, sparsity: FlatTable, { shape }: TfliteTensor, name: string): Float32Array {
  const broken = (): never => {
    throw new InvalidInputError(`tensor '${name}': its sparse form does not fit its shape [${shape.join(', ')}]`);
  };
  const order = sparsity.int32s(0);
  const blocks = sparsity.int32s(1);
  const levels = sparsity.tables(2).map((table): Level => {
    const isSparse = table.int8(0) === 1;
    return {
      size: table.int32(1),
      segments: isSparse ? readIndices(table.table(3), table.int8(2)) : null,
      indices: isSparse ? readIndices(table.table(5), table.int8(4)) : [],
    };
  });
  const rank = shape.length;
  const isOrder =
    new Set(order).size === rank + blocks.length && order.every((axis) => axis >= 0 && axis < rank + blocks.length);
  if (!isOrder || levels.length !== order.length || blocks.some((axis) => axis < 0 || axis >= rank)) broken();
  // Size of the block along each dimension: 1 where it is not blocked.
  const blockSize = shape.map((_, axis) => {
    const block = blocks.indexOf(axis);
    return block < 0 ? 1 : levels[order.indexOf(rank + block)]!.size;
  });
  levels.forEach(({ size, segments }, level) => {
    const axis = order[level]!;
    const fits =
      axis < rank ? size === Math.ceil(shape[axis]! / blockSize[axis]!) : size <= shape[blocks[axis - rank]!]!;
    if (segments === null ? size < 1 || !fits : axis >= rank) broken();
  });
  const result = new Float32Array(elementCount(shape));
  const place = new Array<number>(rank + blocks.length).fill(0);
  let next = 0;
  const visit = (level: number, entry: number): void => {
    if (level === levels.length) {
      let at = 0;
      for (let axis = 0; axis < rank; axis += 1) {
        const block = blocks.indexOf(axis);
        const index = place[axis]! * blockSize[axis]! + (block < 0 ? 0 : place[rank + block]!);
        if (index >= shape[axis]!) broken();
        at = at * shape[axis]! + index;
      }
      if (next >= compact.length) broken();
      result[at] = compact[next]!;
      next += 1;
      return;
    }
    const { size, segments, indices } = levels[level]!;
    const axis = order[level]!;
    if (segments === null) {
      for (let index = 0; index < size; index += 1) {
        place[axis] = index;
        visit(level + 1, entry * size + index);
      }
      return;
    }
    const [from, to] = [segments[entry] ?? broken(), segments[entry + 1] ?? broken()];
    if (!(from >= 0 && to <= indices.length)) broken();
    for (let position = from; position < to; position += 1) {
      place[axis] = indices[position]!;
      if (place[axis]! < 0) broken();
      visit(level + 1, position);
    }
  };
  visit(0, 0);
  return result;
}
