import { bfloat16Value, elementCount, float16Value, InvalidInputError, type Shape } from '@dgconv/core';
import protobuf from 'protobufjs/minimal.js';
import { decodeEntry, eachField, readInt64 } from './onnx-fields.js';

/** ONNX element types that we read, with their size in a file in bytes. */
const elementTypes = {
  1: { name: 'float32', bytes: 4 },
  2: { name: 'uint8', bytes: 1 },
  3: { name: 'int8', bytes: 1 },
  4: { name: 'uint16', bytes: 2 },
  5: { name: 'int16', bytes: 2 },
  6: { name: 'int32', bytes: 4 },
  7: { name: 'int64', bytes: 8 },
  9: { name: 'bool', bytes: 1 },
  10: { name: 'float16', bytes: 2 },
  11: { name: 'float64', bytes: 8 },
  12: { name: 'uint32', bytes: 4 },
  13: { name: 'uint64', bytes: 8 },
  16: { name: 'bfloat16', bytes: 2 },
} as const;

type ElementType = keyof typeof elementTypes;

/** Whether an ONNX element type is one of the floating-point types. */
export function isFloatType(type: number): boolean {
  return type === 1 || type === 10 || type === 11 || type === 16;
}

/** How messages call an ONNX element type. */
export function elementTypeName(type: number | null): string {
  return type !== null && Object.hasOwn(elementTypes, type) ? elementTypes[type as ElementType].name : `type ${type}`;
}

/** Where the bytes of a tensor outside the model file are. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** Reads bytes of a file beside the model. @throws {InvalidInputError} if there are none. */
export type ExternalReader = (data: ExternalData) => Uint8Array;

const noExternalData: ExternalReader = ({ location }) => {
  throw new InvalidInputError(`the model keeps tensors in '${location}', which was not given`);
};

/** A tensor of the file, not yet decoded: its bytes are views of the file's. */
export interface OnnxTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly elementType: number;
  /** Where its bytes are, if they are not in the file. */
  readonly external: ExternalData | null;
  /**
   * The values as a float64 or float32 array; float types are at most float32 exact.
   * @param readExternal - default: there is nothing beside the model.
   */
  read(readExternal?: ExternalReader): Float32Array | Float64Array;
}

/** More elements than a tensor of a network that runs on a CPU could have. */
const largestCount = 2 ** 31;

/**
 * Reads a TensorProto's description; its values are decoded when they are asked for.
 * @throws {InvalidInputError} if shape, type and amount of data do not agree.
 */
export function decodeOnnxTensor(bytes: Uint8Array): OnnxTensor {
  let name = '';
  let elementType = 0;
  let raw: Uint8Array | null = null;
  let isExternal = false;
  const shape: number[] = [];
  /** Little-endian numbers of the fields `float_data` and `double_data`. */
  const fixed: Uint8Array[] = [];
  /** Numbers of the fields `int32_data`, `int64_data` and `uint64_data`. */
  const varints: Uint8Array[] = [];
  const external = new Map<string, string>();
  eachField(bytes, (field, wire, reader) => {
    if (field === 1 && wire === 0) shape.push(readInt64(reader));
    else if (field === 1 && wire === 2) eachVarint(reader.bytes(), (dimension) => shape.push(dimension));
    else if (field === 2 && wire === 0) elementType = reader.int32();
    else if (field === 8 && wire === 2) name = reader.string();
    else if (field === 9 && wire === 2) raw = reader.bytes();
    else if (field === 13 && wire === 2) external.set(...decodeEntry(reader.bytes()));
    else if (field === 14 && wire === 0) isExternal = reader.int32() === 1;
    else if ((field === 4 || field === 10) && wire === 2) fixed.push(reader.bytes());
    else if ((field === 4 && wire === 5) || (field === 10 && wire === 1)) {
      const start = reader.pos;
      reader.skip(field === 4 ? 4 : 8);
      fixed.push(bytes.subarray(start, reader.pos));
    } else if ((field === 5 || field === 7 || field === 11) && wire === 2) varints.push(reader.bytes());
    else if ((field === 5 || field === 7 || field === 11) && wire === 0) {
      const start = reader.pos;
      reader.skip();
      varints.push(bytes.subarray(start, reader.pos));
    } else return false;
    return true;
  });
  const where = `tensor '${name}'`;
  if (!Object.hasOwn(elementTypes, elementType)) {
    throw new InvalidInputError(`${where} has element type ${elementType}, which is not supported`);
  }
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0) || elementCount(shape) > largestCount) {
    throw new InvalidInputError(`${where} has shape [${shape.join(', ')}]: sizes are 0 or more, at most 2^31 elements`);
  }
  const type = elementTypes[elementType as ElementType];
  const count = elementCount(shape);
  const size = count * type.bytes;
  const disagree = (found: string): never => {
    throw new InvalidInputError(
      `${where} of shape [${shape.join(', ')}] and type ${type.name} needs ${count} values, the file has ${found}`,
    );
  };
  if (isExternal) {
    const data = externalData(external, size, where);
    return {
      name,
      shape,
      elementType,
      external: data,
      read(readExternal = noExternalData) {
        const outside = readExternal(data);
        return outside.length === size
          ? fromBytes(outside, elementType as ElementType)
          : disagree(`${outside.length} bytes`);
      },
    };
  }
  const stored = raw as Uint8Array | null;
  if (stored !== null) {
    if (stored.length !== size) disagree(`${stored.length} bytes`);
    return { name, shape, elementType, external: null, read: () => fromBytes(stored, elementType as ElementType) };
  }
  if (elementType === 1 || elementType === 11) {
    const length = fixed.reduce((sum, chunk) => sum + chunk.length, 0);
    if (length !== size) disagree(`${length} bytes`);
    return {
      name,
      shape,
      elementType,
      external: null,
      read: () => fromBytes(concatenate(fixed, length), elementType as ElementType),
    };
  }
  const found = varints.reduce((sum, chunk) => sum + countVarints(chunk, where), 0);
  if (found !== count) disagree(`${found}`);
  return { name, shape, elementType, external: null, read: () => fromVarints(varints, count, elementType) };
}

function externalData(entries: ReadonlyMap<string, string>, size: number, where: string): ExternalData {
  const number = (key: string, fallback: number): number => {
    const text = entries.get(key);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw new InvalidInputError(`${where} has external data with ${key} '${text}': it must be a number of bytes`);
    }
    return value;
  };
  const location = entries.get('location');
  if (location === undefined || location === '') {
    throw new InvalidInputError(`${where} has external data without a location`);
  }
  const length = number('length', size);
  if (length !== size) {
    throw new InvalidInputError(`${where} needs ${size} bytes of external data, the file says ${length}`);
  }
  return { location, offset: number('offset', 0), length };
}

function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const whole = new Uint8Array(length);
  let position = 0;
  for (const chunk of chunks) {
    whole.set(chunk, position);
    position += chunk.length;
  }
  return whole;
}

/** The values of little-endian numbers. */
function fromBytes(bytes: Uint8Array, type: ElementType): Float32Array | Float64Array {
  // A copy is aligned, whatever stood before it in the file; a Buffer's own slice() would be none.
  const { buffer } = new Uint8Array(bytes);
  switch (type) {
    case 1:
      return new Float32Array(buffer);
    case 2:
    case 9:
      return Float64Array.from(new Uint8Array(buffer));
    case 3:
      return Float64Array.from(new Int8Array(buffer));
    case 4:
      return Float64Array.from(new Uint16Array(buffer));
    case 5:
      return Float64Array.from(new Int16Array(buffer));
    case 6:
      return Float64Array.from(new Int32Array(buffer));
    case 7:
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case 10:
      return halves(new Uint16Array(buffer), float16Value);
    case 11:
      return new Float64Array(buffer);
    case 12:
      return Float64Array.from(new Uint32Array(buffer));
    case 13:
      return Float64Array.from(new BigUint64Array(buffer), Number);
    case 16:
      return halves(new Uint16Array(buffer), bfloat16Value);
  }
}

/** The values of variable-length integers; 16-bit floats are stored as the integers of their bits. */
function fromVarints(chunks: readonly Uint8Array[], count: number, type: number): Float32Array | Float64Array {
  const values = new Float64Array(count);
  let index = 0;
  for (const chunk of chunks) eachVarint(chunk, (value) => (values[index++] = value));
  if (type === 10) return halves(values, float16Value);
  if (type === 16) return halves(values, bfloat16Value);
  return values;
}

function eachVarint(bytes: Uint8Array, visit: (value: number) => void): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) visit(readInt64(reader));
}

/** Bytes of the longest integer. */
const longestVarint = 10;

/** How many integers there are; values are read later, when it is too late to refuse a file. */
function countVarints(bytes: Uint8Array, where: string): number {
  let [count, length] = [0, 0];
  for (const byte of bytes) {
    length++;
    if (byte < 0x80) [count, length] = [count + 1, 0];
    else if (length === longestVarint) break;
  }
  if (length > 0) throw new InvalidInputError(`${where} has an integer that does not end`);
  return count;
}

function halves(bits: Uint16Array | Float64Array, decode: (bits: number) => number): Float32Array {
  const values = new Float32Array(bits.length);
  for (let index = 0; index < bits.length; index++) values[index] = decode(bits[index]! & 0xffff);
  return values;
}
