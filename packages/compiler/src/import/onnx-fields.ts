import protobuf from 'protobufjs/minimal.js';

/** One field of a message: read it from the reader and say so, or leave it to be skipped. */
export type FieldVisitor = (field: number, wire: number, reader: protobuf.Reader) => boolean;

/** Reads one message, field by field; nested messages come as bytes, so that no file can nest too deep. */
export function eachField(bytes: Uint8Array, visit: FieldVisitor): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!visit(tag >>> 3, tag & 7, reader)) reader.skipType(tag & 7);
  }
}

/** A signed 64-bit integer as a double: exact to 2^53, beyond that as near as can be (slice ends use the largest). */
export function readInt64(reader: protobuf.Reader): number {
  return Number(reader.int64());
}

/** A StringStringEntryProto. */
export function decodeEntry(bytes: Uint8Array): [key: string, value: string] {
  const entry: [string, string] = ['', ''];
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2 || (field !== 1 && field !== 2)) return false;
    entry[field - 1] = reader.string();
    return true;
  });
  return entry;
}
