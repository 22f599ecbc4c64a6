import { constants, crc32, deflateRawSync } from 'node:zlib';

const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
};
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** An entry of {@link zip}; `claimedSize` is what the directory says that it inflates to. */
export interface ZipMember {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflated?: boolean;
  readonly claimedSize?: number;
}

/** A zip archive, well formed but for what its members claim. */
export const zip = (members: readonly ZipMember[]): Buffer => {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, deflated = false, claimedSize = data.length } of members) {
    const fields = [
      u16(deflated ? 8 : 0),
      Buffer.alloc(4),
      u32(deflated ? 0 : crc32(data)),
      u32(data.length),
      u32(claimedSize),
      u16(name.length),
      u16(0),
    ];
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), u16(20), u16(0), ...fields, Buffer.from(name), data]);
    directory.push(Buffer.from('PK\x01\x02'), u16(20), u16(20), u16(0), ...fields);
    directory.push(u16(0), u16(0), u16(0), u32(0), u32(offset), Buffer.from(name));
    locals.push(local);
    offset += local.length;
  }
  const entries = Buffer.concat(directory);
  const end = [u16(0), u16(0), u16(members.length), u16(members.length), u32(entries.length), u32(offset), u16(0)];
  return Buffer.concat([...locals, entries, Buffer.from('PK\x05\x06'), ...end]);
};

/** Raw deflate data of `count` pieces of 64 MB of zeros, 64 kB each. */
export const deflatedZeros = (count: number): Buffer => {
  const piece = deflateRawSync(Buffer.alloc(2 ** 26), { finishFlush: constants.Z_SYNC_FLUSH });
  const last = deflateRawSync(Buffer.alloc(0));
  return Buffer.concat([...new Array<Buffer>(count).fill(piece), last]);
};

/** A `.pth` file whose pickle is this. */
export const torchZip = (pickle: Uint8Array): Buffer => zip([{ name: 'archive/data.pkl', data: pickle }]);

/** A field of a protobuf message: a number as a varint, else bytes. */
export const field = (number: number, value: number | bigint | string | Uint8Array): Buffer => {
  const varint = (input: bigint): Buffer => {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, input);
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    return Buffer.from([...bytes, Number(rest)]);
  };
  if (typeof value === 'number' || typeof value === 'bigint')
    return Buffer.concat([varint(BigInt(number << 3)), varint(BigInt(value))]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(BigInt((number << 3) | 2)), varint(BigInt(bytes.length)), bytes]);
};

/** An ONNX tensor type of float32 values. */
const onnxValue = (name: string, shape: readonly number[]): Buffer => {
  const dimensions = Buffer.concat(shape.map((size) => field(1, field(1, size))));
  const type = field(1, Buffer.concat([field(1, 1), field(2, dimensions)]));
  return Buffer.concat([field(1, name), field(2, type)]);
};

/** A node of an ONNX graph. */
export const onnxNode = (
  operator: string,
  inputs: readonly string[],
  output: string,
  ...attributes: readonly Buffer[]
): Buffer =>
  Buffer.concat([
    ...inputs.map((name) => field(1, name)),
    field(2, output),
    field(3, `the ${operator}`),
    field(4, operator),
    ...attributes.map((attribute) => field(5, attribute)),
  ]);

/** A float32 initialiser with raw data, or with `external` entries. */
export const onnxTensor = (
  name: string,
  dims: readonly (number | bigint)[],
  content: Uint8Array | Readonly<Record<string, string>>,
): Buffer => {
  const isRaw = content instanceof Uint8Array;
  return Buffer.concat([
    ...dims.map((size) => field(1, size)),
    field(2, 1),
    field(8, name),
    ...(isRaw
      ? [field(9, content)]
      : [
          ...Object.entries(content).map(([key, value]) => field(13, Buffer.concat([field(1, key), field(2, value)]))),
          field(14, 1),
        ]),
  ]);
};

/** An ONNX model from `x` `[1, 3, 4, 4]` to `y`. */
export const onnxModel = (nodes: readonly Buffer[], tensors: readonly Buffer[] = []): Buffer => {
  const graph = Buffer.concat([
    ...nodes.map((node) => field(1, node)),
    field(2, 'hostile'),
    ...tensors.map((tensor) => field(5, tensor)),
    field(11, onnxValue('x', [1, 3, 4, 4])),
    field(12, onnxValue('y', [1, 3, 4, 4])),
  ]);
  return Buffer.concat([field(1, 8), field(8, Buffer.concat([field(1, ''), field(2, 15)])), field(7, graph)]);
};

/** A `.safetensors` file with this header; `claimed` is the length that it says the header has. */
export const safetensors = (header: string, data = 0, claimed = BigInt(header.length)): Buffer => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed);
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(data)]);
};

/** An `.npy` file with this header text. */
export const npy = (header: string, data: Uint8Array = Buffer.alloc(0)): Buffer => {
  const text = Buffer.from(`${header}\n`);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), u16(text.length), text, data]);
};

/** A PNG file of black pixels that says it has this size, one bit each. */
export const blackPng = (width: number, height: number): Buffer => {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const rows = Buffer.alloc(height * (1 + Math.ceil(width / 8)));
  const data = deflateRawSync(rows);
  // A zlib stream: header, deflate data, Adler-32 of zeros (s1 = 1, s2 = length mod 65521).
  const adler = Buffer.alloc(4);
  adler.writeUInt32BE(((rows.length % 65521) * 65536 + 1) >>> 0);
  const pixels = Buffer.concat([Buffer.from([0x78, 0x9c]), data, adler]);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
};
