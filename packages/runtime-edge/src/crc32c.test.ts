import test from 'ava';
import { crc32c } from './crc32c.js';

test('the checksum has the check values of RFC 3720', (t) => {
  t.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  t.is(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
});

test('the checksum of nothing is zero', (t) => {
  t.is(crc32c(new Uint8Array(0)), 0);
});
