import test from 'ava';
import { InvalidArgumentError } from 'commander';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { budgets, shard } from './options.js';
import { dgconv } from './testing/dgconv.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-sweep-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const train = (out: string, ...more: string[]) =>
  dgconv(...'train --model g_resnet_mnist --epochs 1 --limit 60 --batch-size 20 --json --quiet'.split(' '), '--out', join(folder, out), ...more); // prettier-ignore

test('several budgets are several runs; a part of them is trained, then what is left', async (t) => {
  const sweep = ['--budget', 'b=8,zeta=900,b=32'];
  const part = await train('sweep', ...sweep, '--shard', '2/2');
  t.is(part.code, 0, part.stderr);
  const result = JSON.parse(part.stdout) as { runs: { out: string; budget: number; budgetMet: boolean }[] };
  t.is(result.runs.length, 1);
  t.like(result.runs[0], { out: join(folder, 'sweep', 'zeta=900'), budget: 900, budgetMet: true });
  t.deepEqual(readdirSync(join(folder, 'sweep')), ['zeta=900']);
  const again = await train('sweep', ...sweep);
  t.is(again.code, 2);
  t.regex(again.stderr, /zeta=900 holds a run; give --resume to go on with it/);
  const rest = await train('sweep', ...sweep, '--resume');
  t.is(rest.code, 0, rest.stderr);
  t.deepEqual(
    (JSON.parse(rest.stdout) as { runs: { out: string }[] }).runs.map(({ out }) => out),
    [join(folder, 'sweep', 'b=8'), join(folder, 'sweep', 'b=32')],
  );
});

test('parts of one budget are a usage error', async (t) => {
  const { code, stderr } = await train('none', '--budget', 'b=8', '--shard', '1/2');
  t.is(code, 2);
  t.regex(stderr, /--shard takes a part of several budgets/);
  t.false(existsSync(join(folder, 'none')));
});

test('what is no list of budgets or no part is refused', (t) => {
  t.deepEqual(budgets('b=8, ms=0.5'), [
    { kind: 'b', value: 8 },
    { kind: 'ms', value: 0.5 },
  ]);
  t.deepEqual(shard('2/4'), { index: 2, count: 4 });
  for (const text of ['b=8,', 'b=8,b=8', 'b=8;b=16', ''])
    t.throws(() => budgets(text), { instanceOf: InvalidArgumentError }, text);
  for (const text of ['0/2', '3/2', '1', '1/2/3', 'a/b', '-1/2', '1/0'])
    t.throws(() => shard(text), { instanceOf: InvalidArgumentError }, text);
});
