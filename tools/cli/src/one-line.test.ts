import test from 'ava';
import { dgconv } from './testing/dgconv.js';
import { oneLine } from './one-line.js';

test('line breaks and control characters are written out, other letters stay', (t) => {
  t.is(oneLine('name \u001b[31m\r\na\u2028é 犬'), 'name \\u001b[31m\\u000d\\u000aa\\u2028é 犬');
});

test('a message without an end is cut', (t) => {
  t.is(oneLine('x'.repeat(5000)), `${'x'.repeat(900)}…`);
});

test('a name with a line break does not break the sentence in two', async (t) => {
  const { code, stderr } = await dgconv('compile', 'no\nsuch.onnx', '--out', 'nowhere');
  t.is(code, 3);
  t.is(stderr, 'error: there is no file or directory no\\u000asuch.onnx\n');
});
