import { readFileSync } from 'node:fs';
import test from 'ava';
import { onnxOps } from './onnx-ops/index.js';

test('docs/onnx-import.md lists exactly the operators that the importer has', (t) => {
  const text = readFileSync(new URL('../../../../../docs/onnx-import.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:Family|Constants only) /.test(line));
  const listed = rows.flatMap((row) =>
    row
      .split('|')[2]!
      .split(',')
      .map((name) => name.trim()),
  );
  t.deepEqual(listed.toSorted(), [...onnxOps.keys()].sort());
});
