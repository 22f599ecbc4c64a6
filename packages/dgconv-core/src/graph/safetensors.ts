import type { ByteSource } from '../bytes/byte-source.js';
import { bytesPerValue, toFloat32, type ValueFormat } from '../bytes/tensor-values.js';
import { InvalidInputError } from '../errors.js';
import { array, decodeJson, integer, object, oneOf, pair, Place, record, string, type Decoder } from './decoder.js';
import { checkShape, elementCount, formatShape, type Shape } from './shape.js';
import type { WeightSource } from './weights.js';

/** A `.safetensors` file: its tensors, read where they are needed, and its free-form metadata. */
export interface SafetensorsFile {
  readonly weights: WeightSource;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor to write; `read` is called when its turn comes. */
export interface TensorToWrite {
  readonly name: string;
  readonly shape: Shape;
  read(): Float32Array;
}

interface Entry {
  readonly format: ValueFormat;
  readonly shape: Shape;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
}

/** Names of the number formats in the file. */
const formats = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
} as const satisfies Readonly<Record<string, ValueFormat>>;

/** Bytes and tensors: less than the format allows, far more than networks have, and quick to read. */
const largestHeader = 2 ** 25;
const mostTensors = 2 ** 16;

const entry = object({
  dtype: oneOf(...(Object.keys(formats) as (keyof typeof formats)[])),
  shape: array(integer),
  data_offsets: pair(integer),
});
const metadataKey = '__metadata__';
const header: Decoder<{ tensors: [string, ReturnType<typeof entry>][]; metadata: Record<string, string> }> = (
  value,
  place,
) => {
  const { [metadataKey]: metadata, ...tensors } = record((field) => field)(value, place);
  return {
    metadata: metadata === undefined ? {} : record(string)(metadata, new Place(place, metadataKey)),
    tensors: Object.entries(record(entry)(tensors, place)),
  };
};

/**
 * Opens a `.safetensors` file: only its header is read now. F32, F16, BF16, F64, integers and booleans become float32.
 * @throws {InvalidInputError} naming the file, the tensor and the rule, if it is broken, truncated or of another format.
 */
export function readSafetensors(file: ByteSource): SafetensorsFile {
  const refuse = (rule: string): never => {
    throw new InvalidInputError(`${file.name}: ${rule}`);
  };
  if (file.size < 8) refuse(`${file.size} bytes are too few for a .safetensors file`);
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view(file.read(0, 8)).getBigUint64(0, true));
  if (headerLength > file.size - 8)
    refuse(`no .safetensors file: it claims a header of ${headerLength} bytes, the file has ${file.size}`);
  if (headerLength > largestHeader)
    refuse(`the header has ${headerLength} bytes: at most ${largestHeader} are supported`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(file.read(8, headerLength));
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause;
    throw new InvalidInputError(`${file.name}: the header is not UTF-8`, { cause });
  }
  // Counted before anything is made of them.
  if ((text.match(/"dtype"/g)?.length ?? 0) > mostTensors) refuse(`more than ${mostTensors} tensors are not supported`);
  const { tensors, metadata } = decodeJson(text, header, file.name);
  const start = 8 + headerLength;
  const entries = new Map<string, Entry>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of tensors) {
    checkShape(shape, `${file.name}: tensor '${name}'`);
    const format = formats[dtype];
    const length = elementCount(shape) * bytesPerValue[format];
    const [begin, end] = offsets;
    if (begin < 0 || end - begin !== length || end > file.size - start)
      refuse(
        `tensor '${name}' (${dtype} ${formatShape(shape)}) has bytes ${begin} to ${end} ` +
          `of ${file.size - start}, it needs ${length}`,
      );
    entries.set(name, { format, shape, offset: start + begin, length });
  }
  let position = start;
  for (const [name, { offset, length }] of [...entries].sort(
    ([, left], [, right]) => left.offset - right.offset || left.length - right.length,
  )) {
    if (offset !== position)
      refuse(`tensor '${name}' starts at byte ${offset - start}, the one before ends at ${position - start}`);
    position += length;
  }
  if (position !== file.size) refuse(`${file.size - position} bytes belong to no tensor`);
  const find = (name: string): Entry => entries.get(name) ?? refuse(`there is no tensor '${name}'`);
  return {
    metadata,
    weights: {
      names: [...entries.keys()],
      shape: (name) => find(name).shape,
      read(name) {
        const { format, offset, length } = find(name);
        return toFloat32(file.read(offset, length), format);
      },
    },
  };
}

/**
 * A `.safetensors` file in chunks: header, then one tensor after the other as float32, in the given order. The same input gives
 * the same bytes.
 * @throws {InvalidInputError} if two tensors have one name.
 */
export function* writeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array> {
  const fields: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) fields.push([metadataKey, metadata]);
  const names = new Set([metadataKey]);
  let position = 0;
  for (const { name, shape } of tensors) {
    if (names.has(name)) throw new InvalidInputError(`two tensors are named '${name}'`);
    names.add(name);
    const end = position + 4 * elementCount(shape);
    fields.push([name, { dtype: 'F32', shape, data_offsets: [position, end] }]);
    position = end;
  }
  // Written by hand, so that names like '__proto__' or '7' keep their order and meaning.
  const json = `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${JSON.stringify(field)}`).join(',')}}`;
  const text = new TextEncoder().encode(json);
  const headerLength = Math.ceil(text.length / 8) * 8;
  const start = new Uint8Array(8 + headerLength).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(headerLength), true);
  start.set(text, 8);
  yield start;
  for (const { name, shape, read } of tensors) {
    const values = read();
    if (values.length !== elementCount(shape))
      throw new Error(`internal: tensor '${name}' has ${values.length} values, its shape is ${formatShape(shape)}`);
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
}
