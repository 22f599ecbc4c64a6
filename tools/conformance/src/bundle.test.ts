import { InvalidInputError, UnsupportedError } from '@dgconv/core';
import { decodeEdge, EdgeSession } from '@dgconv/runtime-edge';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readBundleResult } from './bundle-result.js';
import { bundleIndex, filesOfBundle, writeBundle } from './bundle.js';
import type { ConformanceCase } from './conformance-case.js';
import { goldenSuite } from './golden-suite.js';
import { summarise, tapOf } from './outcome.js';

const folderFor = (t: { teardown: (undo: () => void) => void }): string => {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

test('a bundle lists its cases with files that load, and says what it leaves out', async (t) => {
  const folder = folderFor(t);
  const unsupported: ConformanceCase = {
    name: 'nobody can',
    prepare() {
      throw new UnsupportedError('no engine does this');
    },
  };
  const broken: ConformanceCase = {
    name: 'broken',
    prepare(_format, enter) {
      enter('compile');
      throw new Error('internal: a hole');
    },
  };
  const cases = goldenSuite().slice(0, 5);
  const { written, left } = await writeBundle(folder, [...cases, unsupported, broken]);
  t.deepEqual([...written.values()], cases);
  t.deepEqual(left, [
    { name: 'nobody can', status: 'skipped', reason: 'no engine does this' },
    { name: 'broken', status: 'failed', stage: 'compile', reason: 'internal: a hole' },
  ]);
  const lines = readFileSync(join(folder, bundleIndex), 'utf8').trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => line.split('\t')[1]),
    cases.map(({ name }) => name),
  );
  for (const line of lines) {
    const file = join(folder, line.split('\t')[0]!);
    const session = await EdgeSession.load(file, { engine: 'wasm' });
    t.is(session.inputs.length, decodeEdge(readFileSync(file)).graph.inputs.length);
    session.dispose();
  }
});

test('a bundle takes the place of an older one in its folder, and of nothing else there', async (t) => {
  const folder = folderFor(t);
  t.deepEqual(filesOfBundle(join(folder, 'absent')), []);
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  t.deepEqual(filesOfBundle(folder), []);
  await writeBundle(folder, goldenSuite().slice(0, 3));
  writeFileSync(join(folder, 'result.json'), '{}');
  t.deepEqual(
    filesOfBundle(folder)
      .map((file) => basename(file))
      .sort(),
    ['0-0.edge', '1-0.edge', '2-0.edge', 'README.txt', 'cases.txt', 'result.json'],
  );
  await writeBundle(folder, goldenSuite().slice(0, 1));
  t.deepEqual(readdirSync(folder).sort(), ['0-0.edge', 'README.txt', 'cases.txt', 'notes.txt']);
});

test('a bundle that cannot be written is refused with its name', async (t) => {
  const file = join(folderFor(t), 'file');
  writeFileSync(file, '');
  await t.throwsAsync(writeBundle(join(file, 'bundle'), []), {
    instanceOf: InvalidInputError,
    message: /^the bundle .*bundle cannot be written/,
  });
});

test('outcomes written as TAP are read back', (t) => {
  const text = tapOf([
    { name: 'conv 3x3', status: 'passed' },
    { name: 'pool', status: 'failed', stage: 'mismatch', reason: "'y': value 3 is 1, expected 2" },
    { name: 'lstm', status: 'skipped', reason: 'the operator is not supported' },
  ]);
  t.deepEqual(readBundleResult(text, 'result.tap'), {
    runtime: 'dgconv-run',
    suite: 'bundle',
    passed: 1,
    failed: 1,
    skipped: 1,
    failures: [{ name: 'pool', stage: 'mismatch', reason: "mismatch: 'y': value 3 is 1, expected 2" }],
    skips: [{ name: 'lstm', reason: 'the operator is not supported' }],
  });
  t.throws(() => readBundleResult(text.replace('1..3', '1..4'), 'result.tap'), {
    instanceOf: InvalidInputError,
    message: 'result.tap: the plan says 4, there are 3 results',
  });
  t.throws(() => readBundleResult(text.replace('ok 1', 'ok 3'), 'result.tap'), {
    message: 'result.tap: result 1 carries the number 3',
  });
  t.throws(() => readBundleResult(`${text}Bail out! the disk is full\n`, 'result.tap'), {
    message: 'result.tap ends early: Bail out! the disk is full',
  });
});

test('a result in JSON is read, and refused where it contradicts itself', (t) => {
  const { failures, ...counts } = summarise('dgconv-run', 'bundle', [
    { name: 'a', status: 'passed' },
    { name: 'b', status: 'failed', stage: 'run', reason: 'it differs' },
  ]);
  const json = { ...counts, failures: failures.map(({ name, reason }) => ({ name, reason })), isa: 'neon' };
  t.deepEqual(readBundleResult(JSON.stringify(json), 'result.json'), { ...counts, failures });
  const refused = (document: unknown, message: RegExp) =>
    t.throws(() => readBundleResult(JSON.stringify(document), 'result.json'), {
      instanceOf: InvalidInputError,
      message,
    });
  refused({ ...json, failed: 0 }, /counts 0 failures and lists 1/);
  refused({ ...json, passed: -1 }, /'passed' is no count/);
  refused({ ...json, runtime: 3 }, /'runtime' is no text/);
  refused({ ...json, skips: {} }, /'skips' is no list/);
  refused({ ...json, cases: ['a'] }, /'cases' does not list the 2 cases/);
  refused({ ...json, cases: ['a', 'c'] }, /'b' is none of its cases/);
  refused([], /an object belongs/);
  const reason = "test vector 0: value 3 of output 'y' is 1, expected 2 (allowed difference: 0)";
  const differs = readBundleResult(JSON.stringify({ ...json, failures: [{ name: 'b', reason }] }), 'result.json');
  t.deepEqual(differs.failures, [{ name: 'b', stage: 'mismatch', reason }]);
  const steering = { ...json, runtime: 'board\u001b[2J', failures: [{ name: 'a\nb', reason: '\u009b31m!' }] };
  const shown = readBundleResult(JSON.stringify(steering), 'result.json');
  t.is(shown.runtime, 'board [2J');
  t.deepEqual(shown.failures, [{ name: 'a b', stage: 'run', reason: ' 31m!' }]);
  t.throws(() => readBundleResult('nonsense', 'result.json'), { message: /^result\.json is neither JSON nor TAP/ });
});

const boards = [
  { target: 'arm64', emulator: 'qemu-aarch64', isa: 'neon' },
  { target: 'armhf', emulator: 'qemu-arm', isa: 'neon32' },
];
for (const { target, emulator, isa } of boards) {
  const program = fileURLToPath(new URL(`../${target}/dgconv-run`, import.meta.resolve('@dgconv/runtime-edge')));
  const missing = !existsSync(program)
    ? ` (skipped: dgconv-run is not built: npm run build:${target})`
    : spawnSync(emulator, ['--version']).status !== 0
      ? ` (skipped: there is no ${emulator})`
      : '';
  (missing === '' ? test : test.skip)(
    `the golden suite passes on ${target} as on a board, and both of its results are read${missing}`,
    async (t) => {
      const folder = folderFor(t);
      const { written, left } = await writeBundle(folder, goldenSuite());
      t.deepEqual(left, []);
      const { status, stdout, stderr } = spawnSync(emulator, [program, 'conformance', '.'], {
        cwd: folder,
        encoding: 'utf8',
      });
      t.is(status, 0, stderr);
      t.is(stdout, `${written.size} of ${written.size} cases passed (${isa}, 1 threads)\n`);
      for (const name of ['result.json', 'result.tap']) {
        const result = readBundleResult(readFileSync(join(folder, name), 'utf8'), name);
        t.like(result, { runtime: 'dgconv-run', passed: written.size, failed: 0, skipped: 0, failures: [] });
      }
    },
  );
}
