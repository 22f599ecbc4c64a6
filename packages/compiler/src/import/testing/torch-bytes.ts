import { type Zippable, zipSync } from 'fflate';

/** Pickle bytes of protocol 2, written by hand. */
export const p = {
  concat: (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part])),
  ascii: (text: string): Uint8Array => new TextEncoder().encode(text),
  op: (...bytes: number[]): Uint8Array => Uint8Array.from(bytes),
  string: (text: string): Uint8Array => {
    const bytes = p.ascii(text);
    return p.concat(p.ascii('X'), uint32(bytes.length), bytes);
  },
  count: (value: number): Uint8Array => p.concat(p.ascii('J'), uint32(value)),
  tuple: (...items: Uint8Array[]): Uint8Array => p.concat(p.ascii('('), ...items, p.ascii('t')),
  global: (module: string, name: string): Uint8Array => p.ascii(`c${module}\n${name}\n`),
  dictionary: (entries: Record<string, Uint8Array>): Uint8Array =>
    p.concat(p.ascii('}('), ...Object.entries(entries).flatMap(([key, value]) => [p.string(key), value]), p.ascii('u')),
  file: (value: Uint8Array): Uint8Array => p.concat(p.op(0x80, 2), value, p.ascii('.')),
};

function uint32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** A tensor of a checkpoint: a window of a storage of `values` values. */
export interface TensorSpec {
  readonly key?: string;
  readonly storage?: string;
  readonly values: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

function storageId(spec: TensorSpec, extra: readonly Uint8Array[] = []): Uint8Array {
  return p.concat(
    p.tuple(
      p.string('storage'),
      p.global('torch', spec.storage ?? 'FloatStorage'),
      p.string(spec.key ?? '0'),
      p.string('cpu'),
      p.count(spec.values),
      ...extra,
    ),
    p.ascii('Q'),
  );
}

/** The pickle of a tensor. */
export function tensor(spec: TensorSpec, extra: readonly Uint8Array[] = []): Uint8Array {
  return p.concat(
    p.global('torch._utils', '_rebuild_tensor_v2'),
    p.tuple(
      storageId(spec, extra),
      p.count(spec.offset ?? 0),
      p.tuple(...spec.shape.map(p.count)),
      p.tuple(...spec.strides.map(p.count)),
      p.op(0x89),
      p.concat(p.global('collections', 'OrderedDict'), p.ascii(')R')),
    ),
    p.ascii('R'),
  );
}

/** A checkpoint as PyTorch 1.6 and later write it. */
export function checkpoint(root: Uint8Array, storages: Record<string, ArrayBufferView>, level: 0 | 6 = 0): Uint8Array {
  const files: Zippable = { 'net/data.pkl': [p.file(root), { level }], 'net/byteorder': p.ascii('little') };
  for (const [key, data] of Object.entries(storages)) {
    files[`net/data/${key}`] = [new Uint8Array(data.buffer, data.byteOffset, data.byteLength), { level }];
  }
  return zipSync(files);
}

/** A checkpoint as PyTorch before 1.6 wrote it. */
export function legacyCheckpoint(root: Uint8Array, storages: readonly [string, number, ArrayBufferView][]): Uint8Array {
  const magic = p.op(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);
  const keys = p.concat(p.ascii(']('), ...storages.map(([key]) => p.string(key)), p.ascii('e'));
  return p.concat(
    p.file(magic),
    p.file(p.count(1001)),
    p.file(p.dictionary({ little_endian: p.op(0x88) })),
    p.file(root),
    p.file(keys),
    ...storages.flatMap(([, count, data]) => [
      new Uint8Array(BigInt64Array.of(BigInt(count)).buffer),
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    ]),
  );
}
