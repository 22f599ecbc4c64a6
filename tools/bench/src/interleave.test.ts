import test from 'ava';
import { executedShare } from './executed-macs.js';
import { interleave, median } from './interleave.js';

test('subjects take turns in alternating order, and neither warm-up rounds nor the first run of a long turn are counted', async (t) => {
  const order: string[] = [];
  const subject = (name: string) => ({
    name,
    run: async () => {
      order.push(name);
      await new Promise((resolve) => setTimeout(resolve, 12));
    },
  });
  const timings = await interleave([subject('a'), subject('b')], { warmup: 1, rounds: 2 });
  t.is(order.join(''), 'ab' + 'bbaa' + 'aabb');
  t.deepEqual(
    timings.map(({ name, sortedMs }) => [name, sortedMs.length]),
    [
      ['a', 2],
      ['b', 2],
    ],
  );
});

test('quick subjects run several times in a turn, and the time of one run is given', async (t) => {
  let runs = 0;
  // A run takes 1/64 ms.
  const options = { warmup: 0, rounds: 1, now: () => runs / 64 };
  const [timing] = await interleave([{ name: 'a', run: () => void runs++ }], options);
  t.is(runs, 3 + 20);
  t.deepEqual(timing!.sortedMs, [1 / 64]);
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
