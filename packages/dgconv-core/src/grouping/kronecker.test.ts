import test from 'ava';
import fc from 'fast-check';
import { InvalidInputError } from '../errors.js';
import { gateComplexity } from './complexity.js';
import { gateFactors, hardGates, primeFactors } from './gates.js';
import { groupingFromGates, groupIds, kroneckerMask } from './kronecker.js';
import { Mask } from './mask.js';
import { recogniseGrouping } from './recognise.js';
import { maskOf } from './supports.js';

type Matrix = number[][];
const ones = (rows: number, cols: number): Matrix =>
  Array.from({ length: rows }, () => new Array<number>(cols).fill(1));
const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, row) => Array.from({ length: size }, (_, col) => (row === col ? 1 : 0)));
const kronecker = (left: Matrix, right: Matrix): Matrix =>
  left.flatMap((leftRow) => right.map((rightRow) => leftRow.flatMap((a) => rightRow.map((b) => a * b))));

/** The definition, as matrix products. */
function literalMask(gates: readonly number[], channelsOut: number, channelsIn: number): Matrix {
  const factors = gateFactors(channelsOut, channelsIn);
  const common = factors.reduce((product, size) => product * size, 1);
  return gates
    .map((gate, k) => (gate > 0 ? ones(factors[k]!, factors[k]!) : identity(factors[k]!)))
    .concat([ones(channelsOut / common, channelsIn / common)])
    .reduce(kronecker);
}

const allGates = (count: number): number[][] =>
  Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (_, k) => ((bits >> k) & 1 ? 0.5 : -0.5)),
  );

test('the mask of every gate vector up to K = 7 is the literal Kronecker product', (t) => {
  for (let count = 0; count <= 7; count++)
    for (const gates of allGates(count)) {
      const mask = kroneckerMask(gates, 2 ** count, 2 ** count);
      t.true(mask.equals(Mask.fromRows(literalMask(gates, 2 ** count, 2 ** count))));
    }
});

test('for every gate vector up to K = 10, channels connect iff they agree on every bit whose gate is off', (t) => {
  for (let count = 0; count <= 10; count++)
    for (const gates of allGates(count)) {
      const channels = 2 ** count;
      const split = gates.reduce((bits, gate, k) => (gate > 0 ? bits : bits | (1 << (count - 1 - k))), 0);
      const grouping = groupingFromGates(gates, channels, channels);
      const groups = 2 ** gates.filter((gate) => gate <= 0).length;
      t.is(grouping.groups, groups);
      t.is(
        gateComplexity(gates, channels, channels),
        gates.reduce((product, gate) => product * (gate > 0 ? 2 : 1), channels),
      );
      if (grouping.kind !== 'equal') {
        t.is(split, 0);
        continue;
      }
      const size = channels / groups;
      let isRight = true;
      for (let group = 0; group < groups; group++)
        for (let k = 0; k < size; k++)
          isRight &&= (grouping.inputOrder[group * size + k]! & split) === (grouping.inputOrder[group * size]! & split);
      t.true(isRight);
      t.is(grouping.inputOrder.join(), grouping.outputOrder.join());
      t.is(JSON.stringify(recogniseGrouping(maskOf(grouping))), JSON.stringify(grouping));
    }
});

test('any channel counts and gates give the literal product, its grouping and its complexity', (t) => {
  fc.assert(
    fc.property(
      fc
        .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
        .map(([common, out, into]) => [common * out, common * into] as const)
        .chain(([out, into]) =>
          fc.tuple(
            fc.constant(out),
            fc.constant(into),
            fc.array(fc.constantFrom(-1, 0, 1), {
              minLength: gateFactors(out, into).length,
              maxLength: gateFactors(out, into).length,
            }),
          ),
        ),
      ([out, into, gates]) => {
        const expected = Mask.fromRows(literalMask(gates, out, into));
        const mask = kroneckerMask(gates, out, into);
        t.true(mask.equals(expected));
        t.is(gateComplexity(gates, out, into), expected.nonZeros);
        t.deepEqual(recogniseGrouping(mask), groupingFromGates(gates, out, into));
      },
    ),
    { seed: 1 },
  );
});

test('96 channels have the factors 2·2·2·2·2·3 and group ids are digits of the split factors', (t) => {
  t.deepEqual(gateFactors(96, 96), [2, 2, 2, 2, 2, 3]);
  t.deepEqual(gateFactors(6, 4), [2]);
  t.deepEqual(primeFactors(1), []);
  const factors = [
    { size: 2, isMerge: true },
    { size: 3, isMerge: false },
  ];
  t.deepEqual([...groupIds(factors, 6)], [0, 1, 2, 0, 1, 2]);
  t.deepEqual([...groupIds(factors, 12)], [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
});

test('a gate is on iff it is greater than zero', (t) => {
  t.deepEqual(hardGates([1e-8, 0, -0, -1e-8, Infinity]), [1, 0, 0, 0, 1]);
  t.deepEqual(hardGates(Float32Array.of(0.5, -0.5)), [1, 0]);
});

test('NaN gates and a number of gates that does not fit are refused with the values', (t) => {
  t.throws(() => hardGates([1, NaN]), {
    instanceOf: InvalidInputError,
    message: 'gate 1 is NaN: a gate must be a number, it is on where it is > 0',
  });
  t.throws(() => kroneckerMask([1, 1, 1], 8, 12), {
    instanceOf: InvalidInputError,
    message: '3 gates do not fit 12 → 8 channels: gcd 4 = 2·2 needs 2',
  });
  t.throws(() => gateComplexity([1, 1], 0, 4), { instanceOf: InvalidInputError });
});
