import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printGraph } from '@dgconv/core';
import { randomModel } from '@dgconv/core/testing';
import test from 'ava';
import { compile } from './compile.js';
import { dumpPassesTo } from './pass-dumps.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-dumps-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test('every pass leaves a numbered, readable graph, the same each time', (t) => {
  const model = randomModel(5, { size: 12 });
  const dump = (name: string) => {
    const directory = join(folder, name, 'passes');
    const { targets } = compile(model, { formats: ['edge', 'onnx'], observe: dumpPassesTo(directory) });
    const files = readdirSync(directory).sort();
    return { targets, files, texts: files.map((file) => readFileSync(join(directory, file), 'utf8')) };
  };
  const [first, second] = [dump('first'), dump('second')];
  t.deepEqual(first.texts, second.texts);
  t.is(first.files[0], '00.source.txt');
  t.is(first.texts[0], `${printGraph(model.graph)}\n`);
  t.is(first.files[1], '01.harden-gates.txt');
  const lastOf = (format: 'edge' | 'onnx'): string =>
    first.texts[first.files.findLastIndex((file) => file.includes(`.${format}.`))]!;
  for (const format of ['edge', 'onnx'] as const) t.is(lastOf(format), `${printGraph(first.targets[format]!.graph)}\n`);
});
