import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { spots } from '../testing/spots.js';
import type { TrainResult } from '../training/train.js';
import { alone, broadcastBytes, broadcastJson } from './communicator.js';
import { whyNoMpi } from './mpi.js';

const worker = fileURLToPath(new URL('../testing/mpi-worker.js', import.meta.url));
const data = `idx:${spots()}`;
const folder = () => join(mkdtempSync(join(tmpdir(), 'dgconv-mpi-')), 'run');

/** As root, and with more processes than cores, Open MPI wants to be told that this is meant. */
const environment = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_mpi_yield_when_idle: '1',
};

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the worker in so many processes. */
const mpirun = (processes: number, ...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = spawn('mpirun', ['-n', `${processes}`, process.execPath, worker, ...args], { env: environment });
    const text = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].on('data', (chunk) => {
        text[stream] += String(chunk);
      });
    child.on('close', (code) => resolve({ code, ...text }));
  });

const resultOf = <Result>({ code, stdout, stderr }: Outcome): Result => {
  if (code !== 0) throw new Error(`mpirun ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Result;
};

const missing =
  spawnSync('mpirun', ['--version']).status === 0 ? whyNoMpi() : 'there is no mpirun: install openmpi-bin';
const underMpi = missing === null ? test.serial : test.skip;
const name = (title: string) => (missing === null ? title : `skipped: ${title}: ${missing}`);

test('alone nothing is waited for, and what process 0 has is what there is', (t) => {
  t.deepEqual(broadcastJson(alone, { a: [1] }), { a: [1] });
  t.deepEqual(broadcastBytes(alone, () => Uint8Array.of(1, 2)), Uint8Array.of(1, 2)); // prettier-ignore
});

underMpi(name('means, sums and broadcasts are those of all processes, whatever their number'), async (t) => {
  for (const size of [2, 3]) {
    t.deepEqual(resultOf(await mpirun(size, 'collectives')), {
      size,
      mean: Array.from({ length: 7 }, (_, at) => at + (size - 1) / 2),
      sum: [(size * (size + 1)) / 2, 10 * size],
      bytes: Array<number>(size).fill(7),
    });
  }
});

underMpi(name('steps on halves of a batch are those on the whole batch; all hold the same bits'), async (t) => {
  const { weights, gates, moved, apart, losses } = resultOf<{
    weights: number[];
    gates: number[];
    moved: Record<string, number[]>;
    apart: number;
    losses: [number, number, number][];
  }>(await mpirun(2, 'steps'));
  t.is(weights[0], weights[1]);
  t.is(gates[0], gates[1]);
  // Gates start at ±1e-8.
  t.true(Object.values(moved).flat().every((gate) => Math.abs(gate) > 1e-6)); // prettier-ignore
  t.true(apart < 1e-5, `a weight is ${apart} apart`);
  for (const [own, whole, correct] of losses) {
    t.true(Math.abs(own - whole) < 1e-5);
    t.is(correct, 0);
  }
});

underMpi(name('two processes train one network, and one of them writes it'), async (t) => {
  const out = folder();
  const result = resultOf<TrainResult>(await mpirun(2, 'train', out, data));
  t.true(result.testAccuracy > 0.9, `test accuracy ${result.testAccuracy}`);
  t.true(result.budgetMet! && result.zeta <= 48);
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  t.deepEqual(lines.map((line) => (JSON.parse(line) as { step: number }).step), [11, 22, 33, 44]); // prettier-ignore
  t.is(readdirSync(out).filter((file) => file.startsWith('events.out.tfevents.')).length, 1);
  t.like(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')), { processes: 2, batchSize: 20 });
  // Where one process is told to stop, all do, and the run goes on to the bit.
  const stopped = folder();
  const stop = await mpirun(2, 'stop', stopped, data);
  t.not(stop.code, 0);
  t.regex(stop.stderr, /Training was stopped after step 20 of 44; it can be resumed/);
  t.false(existsSync(join(stopped, 'model.safetensors')));
  resultOf(await mpirun(2, 'train', stopped, data, 'resume'));
  const model = (run: string) => readFileSync(join(run, 'model.safetensors'));
  t.true(model(stopped).equals(model(out)), 'the resumed run ends with other weights');
});

underMpi(name('a process that dies ends all, and nothing is half-written'), async (t) => {
  const out = folder();
  const { code, stdout } = await mpirun(2, 'die', out, data);
  t.is(code, 137);
  t.is(stdout, '');
  const files = readdirSync(out, { recursive: true, encoding: 'utf8' });
  t.deepEqual(files.filter((file) => /model|\.tmp/.test(file)), []); // prettier-ignore
  t.is(readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n').length, 1);
});

underMpi(name('a process that cannot take part ends all before anything is written'), async (t) => {
  const out = folder();
  const { code, stderr } = await mpirun(2, 'fail', out, data);
  t.is(code, 1);
  t.is(stderr.match(/InvalidInputError/g)!.length, 1, stderr);
  t.regex(stderr, /absent/);
  t.false(existsSync(out));
});
