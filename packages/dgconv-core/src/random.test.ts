import test from 'ava';
import { InvalidInputError } from './errors.js';
import { RandomSource } from './random.js';

test('a source goes on from its state to the bit', (t) => {
  const source = new RandomSource(7);
  for (let count = 0; count < 100; count++) source.normal();
  const resumed = new RandomSource(source.state);
  for (let count = 0; count < 100; count++) t.is(resumed.uniform(), source.uniform());
});

test('the words are those of xoshiro128** from the state 1, 2, 3, 4', (t) => {
  const source = new RandomSource([1, 2, 3, 4]);
  // By hand from the definition: 2·5 = 10, rotated by 7 = 1280, ·9 = 11520; then s[1] becomes 2^3^1 = 0.
  t.is(source.nextUint32(), 11520);
  t.is(source.nextUint32(), 0);
  t.deepEqual(source.state.length, 4);
});

test('uniform and normal numbers have their mean and variance', (t) => {
  const source = new RandomSource(1);
  const count = 20_000;
  let [sum, squares, normalSum, normalSquares] = [0, 0, 0, 0];
  for (let index = 0; index < count; index++) {
    const value = source.uniform();
    t.true(value >= 0 && value < 1);
    sum += value;
    squares += value * value;
    const deviate = source.normal();
    normalSum += deviate;
    normalSquares += deviate * deviate;
  }
  t.true(Math.abs(sum / count - 1 / 2) < 0.01);
  t.true(Math.abs(squares / count - 1 / 3) < 0.01);
  t.true(Math.abs(normalSum / count) < 0.03);
  t.true(Math.abs(normalSquares / count - 1) < 0.05);
});

test('shuffling keeps every element and reaches every order', (t) => {
  const source = new RandomSource(3);
  const orders = new Set<string>();
  for (let index = 0; index < 200; index++) {
    const array = [0, 1, 2];
    source.shuffle(array);
    t.deepEqual([...array].sort(), [0, 1, 2]);
    orders.add(array.join());
  }
  t.is(orders.size, 6);
});

test('seeds that differ give different numbers, and one that is not an integer is refused', (t) => {
  const seeds = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  t.is(new Set(seeds.map((seed) => new RandomSource(seed).nextUint32())).size, seeds.length);
  t.throws(() => new RandomSource(0.5), { instanceOf: InvalidInputError, message: /^seed 0.5: / });
});
