import test from 'ava';
import fc from 'fast-check';
import { InvalidInputError } from '../errors.js';
import {
  channelShuffle,
  checkPermutation,
  composePermutations,
  digitPermutation,
  identityPermutation,
  invertPermutation,
  isIdentityPermutation,
  recogniseChannelShuffle,
  recogniseDigitPermutation,
} from './permutation.js';

const permutationOf = (length: number) => fc.shuffledSubarray([...Array(length).keys()], { minLength: length });

test('inversion and composition are those of take', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }).chain((length) => fc.tuple(permutationOf(length), permutationOf(length))),
      ([first, second]) => {
        const values = first.map((_, index) => `channel ${index}`);
        const take = (from: string[], order: readonly number[]): string[] => order.map((index) => from[index]!);
        t.deepEqual(take(take(values, first), second), take(values, composePermutations(first, second)));
        t.true(isIdentityPermutation(composePermutations(first, invertPermutation(first))));
        t.is(isIdentityPermutation(first), first.join() === identityPermutation(first.length).join());
      },
    ),
    { seed: 1 },
  );
});

test('every reshape-transpose-reshape is recognised and rebuilt', (t) => {
  const digits = fc
    .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
    .chain((shape) => fc.tuple(fc.constant(shape), permutationOf(shape.length)));
  fc.assert(
    fc.property(digits, ([shape, axes]) => {
      const permutation = digitPermutation({ shape, axes });
      const found = recogniseDigitPermutation(permutation);
      t.not(found, null);
      t.deepEqual(digitPermutation(found!), permutation);
      t.true(found!.shape.length <= shape.length);
    }),
    { seed: 1 },
  );
});

test('for four and six channels, exactly the digit permutations are recognised', (t) => {
  const all = (rest: number[]): number[][] =>
    rest.length === 0
      ? [[]]
      : rest.flatMap((head) => all(rest.filter((other) => other !== head)).map((tail) => [head, ...tail]));
  const recognised = (length: number) =>
    all([...Array(length).keys()])
      .filter((permutation) => recogniseDigitPermutation(permutation) !== null)
      .map((permutation) => permutation.join(''));
  t.deepEqual(recognised(4), ['0123', '0213']);
  t.deepEqual(recognised(6), ['012345', '024135', '031425']);
});

test('a channel shuffle is recognised with its number of groups', (t) => {
  t.deepEqual(channelShuffle(6, 3), [0, 2, 4, 1, 3, 5]);
  t.is(recogniseChannelShuffle(channelShuffle(6, 3)), 3);
  t.is(recogniseChannelShuffle(channelShuffle(6, 2)), 2);
  t.is(recogniseChannelShuffle(identityPermutation(6)), null);
  t.is(recogniseChannelShuffle([1, 0, 2]), null);
  t.throws(() => channelShuffle(6, 4), { instanceOf: InvalidInputError });
});

test('a permutation with a missing channel is refused', (t) => {
  t.throws(() => checkPermutation([0, 3, 1], 'outputOrder'), {
    instanceOf: InvalidInputError,
    message: 'outputOrder has 3 at position 1: entries are 0 to 2',
  });
  t.throws(() => checkPermutation([0, 1, 1]), { message: 'permutation has 1 twice' });
  t.notThrows(() => checkPermutation([2, 0, 1]));
});
