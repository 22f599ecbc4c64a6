import { InvalidInputError } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { readNpy, writeNpy } from './npy.js';

const tensors = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }).chain((shape) =>
  fc
    .array(fc.float(), {
      minLength: shape.reduce((product, size) => product * size, 1),
      maxLength: shape.reduce((product, size) => product * size, 1),
    })
    .map((values) => ({ shape, data: Float32Array.from(values) })),
);

test('a tensor that is written is read back', (t) => {
  fc.assert(
    fc.property(tensors, (tensor) => {
      t.deepEqual(readNpy(writeNpy(tensor), 'x.npy'), tensor);
    }),
    { seed: 1 },
  );
});

test('data start at a multiple of 64 bytes, as NumPy writes them', (t) => {
  const bytes = writeNpy({ shape: [3], data: Float32Array.of(1, 2, 3) });
  t.is((bytes.length - 12) % 64, 0);
  t.is(
    new TextDecoder().decode(bytes.subarray(10, 70)).trimEnd(),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
  );
});

test('a changed or cut file is read or rejected in one sentence, never anything else', (t) => {
  const valid = writeNpy({ shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) });
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length), (at, value, length) => {
      const bytes = valid.slice(0, length);
      bytes[at] = value;
      try {
        readNpy(bytes, 'x.npy');
      } catch (error) {
        t.true(error instanceof InvalidInputError, String(error));
      }
    }),
    { numRuns: 2000, seed: 1 },
  );
});

test('a file that is no .npy is named with the reason', (t) => {
  t.throws(() => readNpy(new TextEncoder().encode('not an array at all'), 'x.npy'), {
    instanceOf: InvalidInputError,
    message: 'x.npy: this is no .npy file (it does not start with \\x93NUMPY)',
  });
});

test('Fortran order is refused with the way out', (t) => {
  const bytes = writeNpy({ shape: [1], data: Float32Array.of(0) });
  const text = new TextDecoder('latin1').decode(bytes).replace('False', 'True ');
  const changed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  changed[0] = 0x93;
  t.throws(() => readNpy(changed, 'x.npy'), { message: /^x\.npy: the array is in Fortran order/ });
});
