import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** Table of CRC-32C (Castagnoli), reflected polynomial 0x82F63B78. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C of bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord's masked checksum: rotated, so that a checksum of data with checksums stays one. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** One record of a TFRecord file: length, its checksum, data, its checksum. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(8 + 4 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return record;
}

/** Wire types of protocol buffers. */
const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

const tag = (field: number, type: number): number[] => varint(field * 8 + type);

function fixed(size: 4 | 8, value: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return bytes;
}

const message = (field: number, content: readonly number[]): number[] => [
  ...tag(field, wire.bytes),
  ...varint(content.length),
  ...content,
];

const text = (field: number, value: string): number[] => message(field, [...new TextEncoder().encode(value)]);

/** TensorBoard's `Event` with scalars: fields wall_time 1, step 2, file_version 3, summary 5 of values (tag 1, simple_value 2). */
export function scalarsEvent(seconds: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const values = Object.entries(scalars).flatMap(([name, value]) =>
    message(1, [...text(1, name), ...tag(2, wire.fixed32), ...fixed(4, value)]),
  );
  return Uint8Array.from([
    ...tag(1, wire.fixed64),
    ...fixed(8, seconds),
    ...tag(2, wire.varint),
    ...varint(step),
    ...message(5, values),
  ]);
}

/** A TensorBoard event file of scalars, which appends as training goes on. */
export class EventLog {
  readonly #path: string;

  constructor(folder: string) {
    const now = Date.now() / 1000;
    this.#path = join(folder, `events.out.tfevents.${Math.floor(now)}.${process.pid}.dgconv`);
    const version = Uint8Array.from([...tag(1, wire.fixed64), ...fixed(8, now), ...text(3, 'brain.Event:2')]);
    appendFileSync(this.#path, tfRecord(version));
  }

  write(step: number, scalars: Readonly<Record<string, number>>): void {
    appendFileSync(this.#path, tfRecord(scalarsEvent(Date.now() / 1000, step, scalars)));
  }
}
