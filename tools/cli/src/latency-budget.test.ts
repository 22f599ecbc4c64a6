import { readLatencyTable, zooGraph, type LatencyTable } from '@dgconv/core';
import test from 'ava';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dgconv } from './testing/dgconv.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-latency-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const train = (out: string, budget: string, ...more: string[]) =>
  dgconv(...'train --model g_resnet_mnist --epochs 1 --limit 120 --batch-size 20 --json --quiet'.split(' '), ...['--out', join(folder, out), '--budget', budget, ...more]); // prettier-ignore

test('a network is measured, then trained within a budget of milliseconds', async (t) => {
  const file = join(folder, 'latency.json');
  const measured = await dgconv(...'bench --model g_resnet_mnist --runtimes edge-wasm --repeats 1 --warmup 0 --quiet'.split(' '), '--latency-table', file); // prettier-ignore
  t.is(measured.code, 0, measured.stderr);
  const table = readLatencyTable(readFileSync(file, 'utf8'), file);
  t.deepEqual(
    table.networks.map(({ name }) => name),
    ['g_resnet_mnist'],
  );
  // The fewer groups the slower, so that the budget lies between one group everywhere and the fastest whatever was measured.
  const made = { ...table, networks: [{ name: 'g_resnet_mnist', ms: 30, restMs: 1 }], entries: table.entries.map((entry) => ({ ...entry, ms: 1 / entry.groups })) }; // prettier-ignore
  writeFileSync(file, JSON.stringify(made satisfies LatencyTable));
  const convolutions = zooGraph('g_resnet_mnist').nodes.filter(({ op }) => op === 'conv2d').length;
  const outcome = await train('run', `ms=${convolutions - 1}`, '--latency-table', file);
  t.is(outcome.code, 0, outcome.stderr);
  const result = JSON.parse(outcome.stdout) as { cost: number; budget: number; budgetMet: boolean };
  t.like(result, { budget: convolutions - 1, budgetMet: true });
  t.true(result.cost <= convolutions - 1 && result.cost > 1, `it costs ${result.cost}`);
});

const refusal = test.macro(async (t, code: number, message: RegExp, budget: string, ...more: string[]) => {
  const outcome = await train('refused', budget, ...more);
  t.is(outcome.code, code, outcome.stderr);
  t.is(outcome.stdout, '');
  t.regex(outcome.stderr, message);
  t.regex(outcome.stderr, /^error: [^\n]*\n$/, 'one line');
  t.false(existsSync(join(folder, 'refused')));
});

const file = (name: string, contents: string): string => {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
};

test('a budget in ms without a table is a usage error', refusal, 2, /needs --latency-table FILE; dgconv bench --model g_resnet_mnist --latency-table FILE measures one/, 'ms=1'); // prettier-ignore
test('a table for another budget is a usage error', refusal, 2, /belongs to a budget in ms/, 'b=8', '--latency-table', 'absent.json'); // prettier-ignore
test('a missing table is named', refusal, 3, /absent\.json/, 'ms=1', '--latency-table', 'absent.json');
test('a table that is no JSON is named', refusal, 3, /broken\.json: not JSON/, 'ms=1', '--latency-table', file('broken.json', '{')); // prettier-ignore
test('a table of another network says of which', refusal, 3, /other\.json: it has times of 'lenet', and the network is 'g_resnet_mnist'/, 'ms=1', '--latency-table', file('other.json', JSON.stringify({ cpu: '', threads: 1, networks: [{ name: 'lenet', ms: 1, restMs: 0 }], entries: [] }))); // prettier-ignore
test('a table without times says what is missing', refusal, 3, /empty\.json: it lacks the time of 'conv1' \(3×3, stride 2, padding 1, 1 → 16 channels, input 28×28\) in 1 group/, 'ms=1', '--latency-table', file('empty.json', JSON.stringify({ cpu: '', threads: 1, networks: [{ name: 'g_resnet_mnist', ms: 1, restMs: 0 }], entries: [] }))); // prettier-ignore

test('a bundle for a board is written once, and its table is made of what the board measured', async (t) => {
  const board = join(folder, 'board');
  const written = await dgconv('bench', '--model', 'g_resnet_mnist', '--bundle', board, '--json', '--quiet');
  t.is(written.code, 0, written.stderr);
  t.is((JSON.parse(written.stdout) as { files: number }).files, readFileSync(join(board, 'files.txt'), 'utf8').trim().split('\n').length); // prettier-ignore
  const again = await dgconv('bench', '--model', 'g_resnet_mnist', '--bundle', board);
  t.is(again.code, 2);
  const unmeasured = await dgconv('bench', '--result', board, '--latency-table', join(folder, 'board.json'));
  t.is(unmeasured.code, 3);
  t.regex(unmeasured.stderr, /times\.jsonl/);
  const without = await dgconv('bench', '--result', board);
  t.is(without.code, 2);
  t.regex(without.stderr, /goes with --latency-table/);
});
