import { compile, emitters } from '@dgconv/compiler';
import { GraphBuilder, initialWeights, InvalidInputError, mapSource } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesOfLatencyBundle, readLatencyBundle, writeLatencyBundle } from './latency-bundle.js';

const folder = () => mkdtempSync(join(tmpdir(), 'dgconv-board-'));

/** A bundle of a network with a convolution of 4 → 6 channels and one of 6 → 6 in 3 groups: 2 + 4 cases and the network. */
function bundle(): string {
  const board = join(folder(), 'board');
  const builder = new GraphBuilder({ name: 'net' });
  let value = builder.conv('a', builder.input('input', [1, 4, 4, 4]), { channelsOut: 6, kernelSize: 3 });
  value = builder.conv('b', value, { channelsOut: 6, kernelSize: 1, groups: 3 });
  const graph = builder.build([{ name: 'output', value }]);
  const model = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const bytes = emitters.edge(compile(model, { formats: ['edge'] }).targets.edge!);
  if (writeLatencyBundle(board, [{ graph, bytes }]) !== 7) throw new Error('internal: the bundle has other cases');
  return board;
}

/** What stands in for dgconv-run: the n-th file that it times takes n milliseconds. */
function pretender(): string {
  const program = join(folder(), 'pretender');
  writeFileSync(
    program,
    `#!/bin/sh
[ "$1 $3 $4 $5 $6 $7" = "bench --repeats 9 --threads 2 --json" ] || exit 2
test -s "$2" || exit 3
echo x >>"$0.count"
echo "{\\"rows\\":[{\\"name\\":\\"$2\\",\\"runtime\\":\\"dgconv-run\\",\\"threads\\":2,\\"medianMs\\":$(wc -l <"$0.count")}]}"
`,
  );
  chmodSync(program, 0o755);
  return program;
}

const measure = (board: string) =>
  spawnSync(join(board, 'measure.sh'), {
    env: { ...process.env, DGCONV_RUN: pretender(), REPEATS: '9', THREADS: '2' },
    encoding: 'utf8',
  });

test('a board with a shell and dgconv-run measures a latency table', (t) => {
  const board = bundle();
  const { status, stderr } = measure(board);
  t.is(status, 0, stderr);
  const { threads, networks, entries } = readLatencyBundle(board);
  t.is(threads, 2);
  t.deepEqual(
    entries.map(({ channelsIn, kernelSize, groups, ms }) => [channelsIn, kernelSize[0], groups, ms]),
    [
      [4, 3, 1, 1],
      [4, 3, 2, 2],
      [6, 1, 1, 3],
      [6, 1, 2, 4],
      [6, 1, 3, 5],
      [6, 1, 6, 6],
    ],
  );
  // As they stand, the convolutions took 1 and 5.
  t.deepEqual(networks, [{ name: 'net', ms: 7, restMs: 1 }]);
});

test('each file of a bundle is one convolution in one number of groups', (t) => {
  const board = bundle();
  const groups = readFileSync(join(board, 'files.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((name) => {
      const [node] = decodeEdge(readFileSync(join(board, name))).graph.nodes;
      return node?.op === 'conv2d' && 'groups' in node.attrs.connectivity ? node.attrs.connectivity.groups : null;
    });
  t.deepEqual(groups.slice(0, 6), [1, 2, 1, 2, 3, 6]);
});

test('a bundle that nobody measured, or that is broken, is refused', (t) => {
  const refuse = (board: string, message: RegExp) =>
    t.throws(() => readLatencyBundle(board), { instanceOf: InvalidInputError, message });
  refuse(join(folder(), 'absent'), /plan\.json/);
  const board = bundle();
  refuse(board, /times\.jsonl/);
  measure(board);
  const times = join(board, 'times.jsonl');
  const lines = readFileSync(times, 'utf8').trim().split('\n');
  const broken = (changed: readonly string[], message: RegExp) => {
    writeFileSync(times, changed.join('\n'));
    refuse(board, message);
  };
  broken(lines.toSpliced(2, 1), /times\.jsonl: it lacks the time of layer-2\.edge$/);
  broken(lines.with(1, lines[1]!.slice(0, 20)), /times\.jsonl: line 2 is no result of dgconv-run bench$/);
  broken(lines.with(0, lines[0]!.replace('"medianMs":', '"medianMs":-')), /line 1 is no result/);
  broken(lines.with(0, 'null'), /line 1 is no result/);
  broken(lines.with(3, lines[3]!.replace('"threads":2', '"threads":1')), /it has times of 2 and 1 threads$/);
  writeFileSync(join(board, 'plan.json'), '{"cases":[],"networks":[{"name":"net","cases":[0]}]}');
  refuse(board, /a network has a convolution that is none of the 0 cases$/);
});

test("a bundle that replaces another leaves none of its times, and nobody else's files", (t) => {
  const board = bundle();
  t.is(measure(board).status, 0);
  writeFileSync(join(board, 'notes.txt'), 'mine');
  t.true(filesOfLatencyBundle(board).includes(join(board, 'times.jsonl')));
  t.is(writeLatencyBundle(board, []), 0);
  t.deepEqual(readdirSync(board).sort(), ['files.txt', 'measure.sh', 'notes.txt', 'plan.json']);
  t.throws(() => readLatencyBundle(board), { instanceOf: InvalidInputError, message: /times\.jsonl cannot be read/ });
});
