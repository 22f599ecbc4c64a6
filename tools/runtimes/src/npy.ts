import { InvalidInputError } from '@dgconv/core';
import type { RuntimeTensor } from './runtime.js';

/** Element types that can be read: bytes each, and how one is read. */
const elementTypes: Readonly<Record<string, { size: number; read: (view: DataView, at: number) => number }>> = {
  '<f4': { size: 4, read: (view, at) => view.getFloat32(at, true) },
  '<f8': { size: 8, read: (view, at) => view.getFloat64(at, true) },
  '|u1': { size: 1, read: (view, at) => view.getUint8(at) },
  '|i1': { size: 1, read: (view, at) => view.getInt8(at) },
  '<i2': { size: 2, read: (view, at) => view.getInt16(at, true) },
  '<u2': { size: 2, read: (view, at) => view.getUint16(at, true) },
  '<i4': { size: 4, read: (view, at) => view.getInt32(at, true) },
  '<u4': { size: 4, read: (view, at) => view.getUint32(at, true) },
  '<i8': { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
};

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Whether a file starts as `.npy` files do. */
export const isNpy = (bytes: Uint8Array): boolean => magic.every((value, at) => bytes[at] === value);

/**
 * Reads an `.npy` file (versions 1 to 3, little-endian numbers) as float32, in C order.
 * @param file - how messages call it.
 * @throws {InvalidInputError} if the bytes are no such file, are cut off, or hold another element type or Fortran order.
 * @see NumPy Enhancement Proposal 1
 */
export const readNpy = (bytes: Uint8Array, file: string): RuntimeTensor => {
  const reject = (reason: string): never => {
    throw new InvalidInputError(`${file}: ${reason}`);
  };
  if (bytes.length < 10 || magic.some((value, at) => bytes[at] !== value))
    return reject('this is no .npy file (it does not start with \\x93NUMPY)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) return reject(`.npy version ${version} is not 1, 2 or 3`);
  const headerAt = version === 1 ? 10 : 12;
  if (bytes.length < headerAt) return reject('the .npy header is cut off');
  const headerLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataAt = headerAt + headerLength;
  if (dataAt > bytes.length) return reject(`the .npy header says ${headerLength} bytes, the file ends before`);
  const header = new TextDecoder().decode(bytes.subarray(headerAt, dataAt));
  const descriptor = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const dimensions = /'shape':\s*\(([\d\s,L]*)\)/.exec(header)?.[1];
  if (descriptor === undefined || order === undefined || dimensions === undefined)
    return reject("the .npy header lacks 'descr', 'fortran_order' or 'shape'");
  const elementType = elementTypes[descriptor];
  if (elementType === undefined)
    return reject(`element type '${descriptor}' is not one of ${Object.keys(elementTypes).join(', ')}`);
  if (order === 'True') return reject('the array is in Fortran order; save numpy.ascontiguousarray(x)');
  const shape = dimensions.split(',').filter((part) => part.trim() !== '').map((part) => Number.parseInt(part, 10)); // prettier-ignore
  const count = shape.reduce((product, size) => product * size, 1);
  const { size, read } = elementType;
  if (!Number.isSafeInteger(count) || dataAt + count * size !== bytes.length)
    return reject(`shape [${shape.join(', ')}] of ${descriptor} needs ${count * size} bytes of data, there are ${bytes.length - dataAt}`); // prettier-ignore
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = read(view, dataAt + i * size);
  return { shape, data };
};

/** The `.npy` file (version 1, float32, C order) of a tensor. */
export const writeNpy = ({ shape, data }: RuntimeTensor): Uint8Array => {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  // NumPy wants the data 64-byte aligned, the header ending with a newline.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const bytes = new Uint8Array(10 + length + 4 * data.length);
  bytes.set(magic);
  bytes[6] = 1;
  const view = new DataView(bytes.buffer);
  view.setUint16(8, length, true);
  bytes.set(new TextEncoder().encode(`${text.padEnd(length - 1)}\n`), 10);
  data.forEach((value, at) => view.setFloat32(10 + length + 4 * at, value, true));
  return bytes;
};
