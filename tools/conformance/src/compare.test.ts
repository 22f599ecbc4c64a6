import test from 'ava';
import { difference, exactly, onnxTolerance } from './compare.js';
import { type Outcome, summarise, tapOf } from './outcome.js';

const tensor = (...data: number[]) => ({ shape: [data.length], data });

test('equal tensors agree, also where they hold NaN and infinities', (t) => {
  t.is(
    difference(
      tensor(1, Number.NaN, Number.POSITIVE_INFINITY),
      tensor(1, Number.NaN, Number.POSITIVE_INFINITY),
      exactly,
    ),
    null,
  );
});

test('a NaN where a number is expected, and a number where a NaN is, are differences', (t) => {
  t.regex(difference(tensor(1), tensor(Number.NaN), onnxTolerance)!, /value 0 is NaN, expected 1/);
  t.regex(difference(tensor(Number.NaN), tensor(1), onnxTolerance)!, /value 0 is 1, expected NaN/);
});

test('the worst value is named, and shapes are compared before values', (t) => {
  t.regex(difference(tensor(1, 1), tensor(1.01, 1.5), onnxTolerance)!, /value 1 is 1.5/);
  t.is(difference(tensor(1), { shape: [1, 1], data: [1] }, exactly), 'the shape is [1, 1], expected [1]');
});

test('a tolerance of zero sees the last bit', (t) => {
  t.not(difference(tensor(1), tensor(1 + 2 ** -52), exactly), null);
  t.is(difference(tensor(0), tensor(-0), exactly), null);
});

const outcomes: Outcome[] = [
  { name: 'a # b', status: 'passed' },
  { name: 'c', status: 'failed', stage: 'mismatch', reason: 'value 0\nis 1' },
  { name: 'd', status: 'skipped', reason: 'not claimed' },
];

test('a result counts every outcome once', (t) => {
  const { passed, failed, skipped, failures, skips } = summarise('edge', 'all', outcomes);
  t.deepEqual([passed, failed, skipped], [1, 1, 1]);
  t.deepEqual(failures, [{ name: 'c', stage: 'mismatch', reason: 'value 0\nis 1' }]);
  t.deepEqual(skips, [{ name: 'd', reason: 'not claimed' }]);
});

test('the TAP report has one line a case and survives characters that mean something in it', (t) => {
  const lines = tapOf(outcomes).split('\n');
  t.is(lines[1], '1..3');
  t.is(lines[2], 'ok 1 - a   b');
  t.is(lines[3], 'not ok 2 - c');
  t.true(lines.includes('ok 3 - d # SKIP not claimed'));
});
