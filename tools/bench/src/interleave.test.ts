import test from 'ava';
import { executedShare } from './executed-macs.js';
import { interleave, median } from './interleave.js';

test('every subject runs once a round, in alternating order, and warm-up rounds are not counted', async (t) => {
  const order: string[] = [];
  const subject = (name: string) => ({ name, run: () => void order.push(name) });
  const timings = await interleave([subject('a'), subject('b')], { warmup: 1, rounds: 2 });
  t.deepEqual(order, ['a', 'b', 'b', 'a', 'a', 'b']);
  t.deepEqual(
    timings.map(({ name, sortedMs }) => [name, sortedMs.length]),
    [
      ['a', 2],
      ['b', 2],
    ],
  );
});

test('the median of an even count is the mean of the middle two', (t) => {
  t.is(median([1, 2, 4, 9]), 3);
  t.is(median([1, 2, 9]), 2);
});

test('a 3×3 kernel with padding 1 on 7×7 pixels executes (19/21)² of its multiply-adds', (t) => {
  const window = {
    kernelSize: [3, 3],
    strides: [1, 1],
    dilations: [1, 1],
    padding: { top: 1, bottom: 1, left: 1, right: 1 },
  } as const;
  t.is(executedShare([1, 7, 7, 4], [1, 7, 7, 4], window), (19 * 19) / (21 * 21));
});
