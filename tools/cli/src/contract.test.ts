import { compile, emitters } from '@dgconv/compiler';
import { initialWeights, mapSource, zooGraph } from '@dgconv/core';
import test from 'ava';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProgram } from './program.js';
import { dgconv } from './testing/dgconv.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-cli-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, contents: string | Uint8Array = ''): string => {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
};

/** One sentence on stderr, nothing on stdout. */
const refusal = test.macro(async (t, code: number, message: RegExp, ...args: string[]) => {
  const outcome = await dgconv(...args);
  t.is(outcome.code, code, outcome.stderr);
  t.is(outcome.stdout, '');
  t.regex(outcome.stderr, message);
  t.notRegex(outcome.stderr, /\n\s+at /, 'no stack trace');
});

test('no command is a usage error', refusal, 2, /Usage: dgconv/);
test('an unknown command is a usage error', refusal, 2, /unknown command 'tarin'/, 'tarin');
test('an unknown flag is a usage error', refusal, 2, /unknown option '--fast'/, 'doctor', '--fast');
test('an unknown model is a usage error', refusal, 2, /There is no such model/, 'inspect', '--model', 'resnet51');
test('a model to train that the zoo lacks is a usage error', refusal, 2, /resnet51/, 'train', '--model', 'resnet51');
test('an unknown format is a usage error', refusal, 2, /'caffe' is not one of onnx, tflite, edge/, 'compile', 'absent.pth', '--to', 'caffe'); // prettier-ignore
test('an unknown target is a usage error', refusal, 2, /--target/, 'compile', 'absent.pth', '--target', 'vax');
test('an unknown runtime is a usage error', refusal, 2, /--runtime/, 'run', 'absent.edge', '--input', 'x.npy', '--runtime', 'torch'); // prettier-ignore
test('a runtime that does not take the format is a usage error', refusal, 2, /runs \.onnx files, not \.edge/, 'run', 'absent.edge', '--input', 'x.npy', '--runtime', 'ort'); // prettier-ignore
test('an unknown suite to time is a usage error', refusal, 2, /--suite/, 'bench', '--suite', 'torch');
test('a trace without a .edge file is a usage error', refusal, 2, /--profile measures the steps of a \.edge file/, 'bench', 'absent.onnx', '--profile', 'absent.json'); // prettier-ignore
test('a latency table without a .edge file is a usage error', refusal, 2, /--latency-table measures/, 'bench', 'absent.tflite', '--latency-table', 'absent.json'); // prettier-ignore
test('a broken file to time is named', refusal, 3, /broken-to-time\.edge: the \.edge file is invalid/, 'bench', file('broken-to-time.edge', 'DGCE and nothing behind it')); // prettier-ignore
test('an unknown suite is a usage error', refusal, 2, /--suite/, 'conformance', '--suite', 'torch');
test('an unknown runtime of a suite is a usage error', refusal, 2, /--runtime/, 'conformance', '--runtime', 'torch');
test('a bundle and a runtime together are a usage error', refusal, 2, /cannot be used with option '--runtime/, 'conformance', '--bundle', 'absent', '--runtime', 'edge'); // prettier-ignore
test('a model and a suite together are a usage error', refusal, 2, /takes the place of --suite/, 'conformance', '--from-model', 'absent.edge', '--suite', 'all'); // prettier-ignore
test('a folder without test vectors is rejected', refusal, 3, /has no ONNX test vectors/, 'conformance', '--suite', 'onnx', '--runtime', 'edge-wasm', '--data', folder); // prettier-ignore
test('a result that is missing is rejected', refusal, 3, /absent\.json cannot be read/, 'conformance', '--result', 'absent.json'); // prettier-ignore

test("a board's result is shown: a failed case exits 1, and its JSON is the result", async (t) => {
  const result = (failures: readonly object[]) => ({ runtime: 'dgconv-run', suite: 'bundle', passed: 3, failed: failures.length, skipped: 0, failures, skips: [] }); // prettier-ignore
  const good = await dgconv('conformance', '--json', '--result', file('good.json', JSON.stringify(result([]))));
  t.is(good.code, 0, good.stderr);
  t.deepEqual(JSON.parse(good.stdout), result([]));
  const failures = [{ name: 'conv', reason: 'it differs' }];
  const bad = await dgconv('conformance', '--result', file('bad.json', JSON.stringify(result(failures))));
  t.is(bad.code, 1);
  t.regex(bad.stderr, /conv .*it differs/);
  t.regex(bad.stderr, /3 passed, 1 failed, 0 skipped/);
});

test('bench --profile gives the time of every step, as JSON and as a trace', async (t) => {
  const graph = zooGraph('resnext_mnist');
  const source = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const model = file('steps.edge', emitters.edge(compile(source, { formats: ['edge'] }).targets.edge!));
  const trace = join(folder, 'trace.json');
  const flags = ['--runtimes', 'edge-wasm', '--warmup', '0', '--repeats', '1', '--no-memory', '--quiet', '--json'];
  const { code, stdout, stderr } = await dgconv('bench', model, '--profile', trace, ...flags);
  t.is(code, 0, stderr);
  const { rows, profiles } = JSON.parse(stdout) as {
    rows: { name: string }[];
    profiles: { name: string; steps: { id: string; kernel: string; ms: number }[] }[];
  };
  t.deepEqual([rows.length, profiles.map(({ name }) => name)], [1, ['steps']]);
  t.true(profiles[0]!.steps.every(({ kernel, ms }) => kernel.startsWith('dgc_f32_') && ms >= 0));
  const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as { traceEvents: { name: string; ph: string }[] };
  t.deepEqual(
    traceEvents.filter(({ ph }) => ph === 'X').map(({ name }) => name),
    profiles[0]!.steps.map(({ id }) => id),
  );
});

test("a network's own ops pass as cases and go into a bundle, which is not overwritten", async (t) => {
  const graph = zooGraph('resnext_mnist');
  const source = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const model = file('own.edge', emitters.edge(compile(source, { formats: ['edge'] }).targets.edge!));
  const own = await dgconv('conformance', '--from-model', model, '--runtime', 'edge-wasm', '--json', '--quiet');
  t.is(own.code, 0, own.stderr);
  const result = JSON.parse(own.stdout) as { runtime: string; suite: string; passed: number; failed: number };
  t.like(result, { runtime: 'edge-wasm', suite: 'own.edge', failed: 0 });
  t.true(result.passed > 5);
  const board = join(folder, 'board');
  const written = await dgconv('conformance', '--from-model', model, '--bundle', board, '--quiet');
  t.is(written.code, 0, written.stderr);
  t.is(readdirSync(board).filter((name) => name.endsWith('.edge')).length, result.passed);
  const again = await dgconv('conformance', '--from-model', model, '--bundle', board);
  t.is(again.code, 2);
  t.regex(again.stderr, /exists; give --force/);
});

test('an extension that no runtime takes is a usage error', refusal, 2, /is no \.onnx, \.tflite, \.edge file/, 'run', 'model.h5', '--input', 'x.npy'); // prettier-ignore
test('a budget of zero is a usage error', refusal, 2, /number above 0/, 'train', '--model', 'g_resnet_mnist', '--budget', 'b=0'); // prettier-ignore
test('a budget of nothing known is a usage error', refusal, 2, /b\|zeta\|macs/, 'inspect', '--model', 'g_resnext50', '--budget', 'watts=3'); // prettier-ignore
test(
  'no epochs are a usage error',
  refusal,
  2,
  /whole number from 1 to/,
  'train',
  '--model',
  'g_resnet_mnist',
  '--epochs',
  '0',
);
test(
  'zero best classes are a usage error',
  refusal,
  2,
  /at least 1/,
  'run',
  'a.edge',
  '--input',
  'x.npy',
  '--top',
  '0',
);
test('inspecting a file and a zoo model at once is a usage error', refusal, 2, /either a FILE or --model/, 'inspect', 'a.edge', '--model', 'resnet50'); // prettier-ignore
test('verifying only TFLite without a reference is a usage error', refusal, 2, /nothing to compare with/, 'verify', 'a.tflite'); // prettier-ignore
test('an unknown data set is a usage error', refusal, 2, /imagenet/, 'data', 'get', 'imagenet');

test('a missing file is named', refusal, 3, /absent\.edge/, 'run', 'absent.edge', '--input', 'x.npy');
test('a missing checkpoint is named', refusal, 3, /absent\.pth/, 'compile', 'absent.pth', '--arch', 'g_resnext50', '--out', folder); // prettier-ignore
test('a missing run directory is named', refusal, 3, /absent-run/, 'report', 'absent-run');
test(
  'a file that is no .edge model is rejected',
  refusal,
  3,
  /noise\.edge/,
  'inspect',
  file('noise.edge', 'DGCEnoise'),
);
test('a file that is no ONNX model is rejected', refusal, 3, /noise\.onnx/, 'compile', file('noise.onnx', '\x07'), '--out', join(folder, 'noise')); // prettier-ignore

test('a run directory without a model is rejected', async (t) => {
  const run = join(folder, 'empty-run');
  mkdirSync(run);
  const outcome = await dgconv('compile', run, '--out', join(folder, 'empty-out'));
  t.is(outcome.code, 3, outcome.stderr);
  t.regex(outcome.stderr, /empty-run.*model\.safetensors/);
  t.false(existsSync(join(folder, 'empty-out')));
});

test('an existing file is not overwritten without --force', async (t) => {
  const out = join(folder, 'taken');
  mkdirSync(out);
  writeFileSync(join(out, 'demo.edge'), 'mine');
  const outcome = await dgconv('compile', 'absent.pth', '--name', 'demo', '--out', out);
  t.is(outcome.code, 2);
  t.regex(outcome.stderr, /demo\.edge exists; give --force/);
  t.deepEqual(readdirSync(out), ['demo.edge']);
});

const commands = createProgram().commands.map((command) => command.name());
for (const command of commands)
  test(`dgconv ${command} --help shows examples on stdout`, async (t) => {
    const outcome = await dgconv(command, '--help');
    t.is(outcome.code, 0);
    t.regex(outcome.stdout, /^Examples:$/m);
    t.regex(outcome.stdout, new RegExp(`\\$ dgconv ${command}`));
    t.is(outcome.stderr, '');
  });

test('--help and --version are answered on stdout', async (t) => {
  const [help, version] = await Promise.all([dgconv('--help'), dgconv('--version')]);
  t.is(help.code, 0);
  for (const command of commands) t.regex(help.stdout, new RegExp(`^  ${command}`, 'm'));
  t.regex(help.stdout, /^Examples:$/m);
  t.is(version.code, 0);
  t.regex(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

test('doctor says what is present, as one JSON document', async (t) => {
  const outcome = await dgconv('doctor', '--json', '--quiet');
  t.is(outcome.code, 0, outcome.stderr);
  const { findings } = JSON.parse(outcome.stdout) as { findings: { kind: string; name: string; present: boolean }[] };
  t.true(findings.some(({ kind, name, present }) => kind === 'backend' && name === 'cpu' && present));
  t.is(outcome.stderr, '');
});

test('data list names the sets and where they come from', async (t) => {
  const outcome = await dgconv('data', 'list', '--json', '--quiet');
  t.is(outcome.code, 0);
  const { dataSets } = JSON.parse(outcome.stdout) as { dataSets: { name: string; source: string }[] };
  t.true(dataSets.some(({ name }) => name === 'mnist'));
  t.true(dataSets.every(({ source }) => source.length > 0));
});
