import { type ByteSource, InvalidInputError } from '@dgconv/core';
import { inflateSync } from 'fflate';

/** A file within a zip archive. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes after decompression. */
  readonly size: number;
  /** @throws {InvalidInputError} if the entry is broken. */
  read(): Uint8Array;
  /** Bytes `[offset, offset + length)` of the entry; reads no more than that where the entry is stored. */
  readRange(offset: number, length: number): Uint8Array;
}

const endRecord = 0x06054b50;
const zip64EndRecord = 0x06064b50;
const zip64Locator = 0x07064b50;
const centralHeader = 0x02014b50;
const localHeader = 0x04034b50;
const endRecordSize = 22;
const longestComment = 0xffff;
/** Deflate cannot expand by more than this (RFC 1951: 258 bytes a 2-bit code pair). */
const largestRatio = 1032;
/** Bytes; a compressed entry has to be held whole, so more than this is refused. */
const largestCompressedEntry = 2 ** 28;

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Lists the entries of a zip archive (APPNOTE 6.3, with zip64), stored or deflated, by name.
 * @throws {InvalidInputError} if the archive is truncated, inconsistent, encrypted or compressed in another way.
 */
export function readZip(source: ByteSource): ReadonlyMap<string, ZipEntry> {
  const fail = (problem: string): never => {
    throw new InvalidInputError(`${source.name}: ${problem}`);
  };
  const tailSize = Math.min(source.size, endRecordSize + longestComment);
  const tail = view(source.read(source.size - tailSize, tailSize));
  let end = tailSize - endRecordSize;
  while (end >= 0 && tail.getUint32(end, true) !== endRecord) end -= 1;
  if (end < 0) fail('the zip archive has no end record, so the file is truncated or no zip archive');

  let count = tail.getUint16(end + 10, true);
  let directorySize = tail.getUint32(end + 12, true);
  let directoryOffset = tail.getUint32(end + 16, true);
  const locator = end - 20;
  if (locator >= 0 && tail.getUint32(locator, true) === zip64Locator) {
    const record = view(source.read(Number(tail.getBigUint64(locator + 8, true)), 56));
    if (record.getUint32(0, true) !== zip64EndRecord) fail('the zip64 end record is not where its locator points');
    count = Number(record.getBigUint64(32, true));
    directorySize = Number(record.getBigUint64(40, true));
    directoryOffset = Number(record.getBigUint64(48, true));
  }
  const directoryBytes = source.read(directoryOffset, directorySize);
  const directory = view(directoryBytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > directorySize || directory.getUint32(at, true) !== centralHeader) {
      fail(`entry ${index} of ${count} of the zip directory is broken`);
    }
    const flags = directory.getUint16(at + 8, true);
    const method = directory.getUint16(at + 10, true);
    const nameSize = directory.getUint16(at + 28, true);
    const extraSize = directory.getUint16(at + 30, true);
    const commentSize = directory.getUint16(at + 32, true);
    const next = at + 46 + nameSize + extraSize + commentSize;
    if (next > directorySize) fail(`entry ${index} of ${count} of the zip directory passes its end`);
    const name = new TextDecoder().decode(directoryBytes.subarray(at + 46, at + 46 + nameSize));
    const sizes = zip64Sizes(directory, at, at + 46 + nameSize, extraSize);
    at = next;
    if ((flags & 1) !== 0) fail(`the zip entry ${name} is encrypted`);
    if (method !== 0 && method !== 8)
      fail(`the zip entry ${name} is compressed with method ${method}; 0 and 8 are known`);
    if (method === 0 && sizes.size !== sizes.compressed) fail(`the zip entry ${name} is stored but its sizes differ`);
    if (method === 8 && sizes.size > Math.min(largestCompressedEntry, largestRatio * sizes.compressed + 64)) {
      fail(`the zip entry ${name} claims ${sizes.size} bytes from ${sizes.compressed}, which is too much`);
    }
    entries.set(name, zipEntry(source, name, method, sizes));
  }
  return entries;
}

interface EntrySizes {
  readonly size: number;
  readonly compressed: number;
  readonly offset: number;
}

/** Sizes and offset of a central directory entry, from its zip64 extra field where 32 bits do not hold them. */
function zip64Sizes(directory: DataView, header: number, extra: number, extraSize: number): EntrySizes {
  const fields = { compressed: header + 20, size: header + 24, offset: header + 42 };
  const sizes = {
    size: directory.getUint32(fields.size, true),
    compressed: directory.getUint32(fields.compressed, true),
    offset: directory.getUint32(fields.offset, true),
  };
  for (let at = extra; at + 4 <= extra + extraSize;) {
    const end = Math.min(at + 4 + directory.getUint16(at + 2, true), extra + extraSize);
    if (directory.getUint16(at, true) === 1) {
      let value = at + 4;
      for (const key of ['size', 'compressed', 'offset'] as const) {
        if (sizes[key] === 0xffffffff && value + 8 <= end) {
          sizes[key] = Number(directory.getBigUint64(value, true));
          value += 8;
        }
      }
    }
    at = end;
  }
  return sizes;
}

function zipEntry(source: ByteSource, name: string, method: number, sizes: EntrySizes): ZipEntry {
  const dataOffset = (): number => {
    const header = view(source.read(sizes.offset, 30));
    if (header.getUint32(0, true) !== localHeader) {
      throw new InvalidInputError(`${source.name}: the zip entry ${name} has no header at byte ${sizes.offset}`);
    }
    return sizes.offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  };
  const inflate = (): Uint8Array => {
    const packed = source.read(dataOffset(), sizes.compressed);
    // One byte of room more than declared shows an entry that holds more than it says.
    const room = new Uint8Array(sizes.size + 1);
    let bytes: Uint8Array;
    try {
      bytes = inflateSync(packed, { out: room });
    } catch (cause) {
      throw new InvalidInputError(`${source.name}: the zip entry ${name} cannot be decompressed`, { cause });
    }
    if (bytes.length !== sizes.size) {
      throw new InvalidInputError(
        `${source.name}: the zip entry ${name} does not have the ${sizes.size} bytes that it claims`,
      );
    }
    return bytes;
  };
  const readRange = (offset: number, length: number): Uint8Array => {
    if (offset < 0 || length < 0 || offset + length > sizes.size) {
      throw new InvalidInputError(
        `${source.name}: bytes ${offset} to ${offset + length} of the zip entry ${name} are asked for, but it has ${sizes.size}`,
      );
    }
    return method === 0 ? source.read(dataOffset() + offset, length) : inflate().subarray(offset, offset + length);
  };
  return { name, size: sizes.size, readRange, read: () => readRange(0, sizes.size) };
}
