import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { crc32c, EventLog, scalarsEvent, tfRecord } from './event-log.js';

test('the checksum is CRC-32C of the iSCSI specification', (t) => {
  t.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
});

test('a record has its length, both masked checksums and the data', (t) => {
  const record = tfRecord(Uint8Array.of(1, 2, 3));
  t.is(record.length, 19);
  t.deepEqual([...record.subarray(0, 8)], [3, 0, 0, 0, 0, 0, 0, 0]);
  t.deepEqual([...record.subarray(12, 15)], [1, 2, 3]);
  const unmask = (value: number) => {
    const rotated = (value - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  const view = new DataView(record.buffer);
  t.is(unmask(view.getUint32(8, true)), crc32c(record.subarray(0, 8)));
  t.is(unmask(view.getUint32(15, true)), crc32c(record.subarray(12, 15)));
});

test('scalars are written as the protocol buffer that TensorBoard reads', (t) => {
  const bytes = scalarsEvent(1.5, 300, { a: 0.5 });
  t.deepEqual(
    [...bytes],
    // wall_time = 1.5, step = 300, summary { value { tag: "a", simple_value: 0.5 } }
    [9, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 16, 0xac, 2, 42, 10, 10, 8, 10, 1, 97, 21, 0, 0, 0, 0x3f],
  );
});

test('the log starts with its version', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-events-'));
  new EventLog(folder).write(1, { loss: 2 });
  const [name] = readdirSync(folder) as [string];
  t.regex(name, /^events\.out\.tfevents\.\d+\./);
  t.true(readFileSync(join(folder, name)).includes('brain.Event:2'));
});
