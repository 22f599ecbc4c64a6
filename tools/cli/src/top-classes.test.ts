import test from 'ava';
import { topClasses } from './top-classes.js';

test('logits are answered as probabilities, best first, with their names', (t) => {
  const top = topClasses(Float32Array.of(0, Math.log(3), 0), 2, ['ant', 'bee', 'cow']);
  t.deepEqual(top.map((entry) => entry.class), ['bee', 'ant']); // prettier-ignore
  t.true(Math.abs(top[0]!.score - 0.6) < 1e-6);
});

test('probabilities stay as they are', (t) => {
  const [best] = topClasses(Float32Array.of(0.25, 0.75), 1);
  t.deepEqual(best, { class: '1', index: 1, score: 0.75 });
});

test('the index breaks ties', (t) => {
  t.deepEqual(topClasses(Float32Array.of(1, 1, 1), 3).map(({ index }) => index), [0, 1, 2]); // prettier-ignore
});
