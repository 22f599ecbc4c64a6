import test from 'ava';
import fc from 'fast-check';
import { InvalidInputError } from '../errors.js';
import { Mask, type MaskJson } from './mask.js';

const wideMask = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 70 }))
  .chain(([rows, cols]) =>
    fc
      .array(fc.boolean(), { minLength: rows * cols, maxLength: rows * cols })
      .map((values) => ({ rows, cols, values })),
  );

test('every view of a mask agrees with its entries', (t) => {
  fc.assert(
    fc.property(wideMask, ({ rows, cols, values }) => {
      const mask = Mask.fromFunction(rows, cols, (row, col) => values[row * cols + col]!);
      t.is(mask.nonZeros, values.filter(Boolean).length);
      for (let row = 0; row < rows; row++) {
        const line = values.slice(row * cols, (row + 1) * cols);
        t.deepEqual(
          mask.rowSupport(row),
          [...line.keys()].filter((col) => line[col]),
        );
        for (let col = 0; col < cols; col++) t.is(mask.get(row, col), line[col] ? 1 : 0);
      }
      for (let col = 0; col < cols; col++)
        t.deepEqual(
          mask.columnSupport(col),
          [...Array(rows).keys()].filter((row) => values[row * cols + col]),
        );
      t.true(mask.transpose().transpose().equals(mask));
      t.true(Mask.fromJSON(JSON.parse(JSON.stringify(mask)) as MaskJson).equals(mask));
      t.true(
        Mask.fromWeights(
          values.map((value) => (value ? -0.5 : 0)),
          rows,
          cols,
        ).equals(mask),
      );
      const classes = mask.rowClasses();
      for (let a = 0; a < rows; a++)
        for (let b = 0; b < rows; b++)
          t.is(classes[a] === classes[b], mask.rowSupport(a).join() === mask.rowSupport(b).join());
    }),
    { seed: 1 },
  );
});

test('a mask from weights looks at whole patches and at the threshold', (t) => {
  const weights = [0, 0.1, 0, 0, -0.3, 0, 0.2, NaN];
  t.deepEqual(Mask.fromWeights(weights, 2, 2).rowSupport(0), [0]);
  t.deepEqual(Mask.fromWeights(weights, 2, 2, 0.25).rowSupport(0), []);
  t.deepEqual(Mask.fromWeights(weights, 2, 2, 0.25).rowSupport(1), [0, 1]);
});

test('impossible masks are refused with the values', (t) => {
  const refused = (make: () => Mask, message: string): void => {
    t.throws(make, { instanceOf: InvalidInputError, message });
  };
  refused(() => Mask.ones(0, 3), 'a mask has 0 rows: a positive integer is needed');
  refused(() => Mask.fromRows([[0, 1], [1]]), 'mask row 1 has 1 entries, row 0 has 2');
  refused(() => Mask.fromRows([[0, 2]]), 'mask entry [0, 1] is 2: an entry must be 0 or 1');
  refused(() => Mask.fromSupports(2, [[2]]), 'mask row 0 names column 2: columns are 0 to 1');
  refused(() => Mask.fromWeights([1, 2, 3], 2, 2), '3 weights do not fill a [2, 2] kernel evenly');
  refused(
    () => Mask.fromJSON({ rows: 1, cols: 3, bits: btoa('\x0f') }),
    'mask [1, 3] has ones beyond the last column of row 0',
  );
  refused(() => Mask.fromJSON({ rows: 1, cols: 3, bits: '' }), 'mask [1, 3] has 0 bytes, it needs 1');
  refused(() => Mask.fromJSON({ rows: 1, cols: 3, bits: '~' }), 'mask bits are not base64');
});
