import test from 'ava';
import { InvalidInputError } from '../errors.js';
import { budgetConnections } from './budget.js';

const gResNext = (blocks: readonly number[], width: number): number[] =>
  blocks.flatMap((count, stage) => new Array<number>(count).fill(width << stage));

test('the budgets of G-ResNeXt-50 and -101 at b = 32 are the published ones', (t) => {
  t.is(budgetConnections(gResNext([3, 4, 6, 3], 128), 32), 157_184);
  t.is(budgetConnections(gResNext([3, 4, 23, 3], 256), 32), 1_185_792);
});

test('a budget that is not positive and finite is refused', (t) => {
  for (const b of [0, -1, NaN, Infinity])
    t.throws(() => budgetConnections([64], b), {
      instanceOf: InvalidInputError,
      message: `budget b is ${b}: it must be positive and finite, the budget is Σ C² / b`,
    });
  t.throws(() => budgetConnections([64, 1.5], 8), {
    message: 'a layer has 1.5 channels: a positive integer is needed',
  });
});
