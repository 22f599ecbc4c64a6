import { whyNoMpi } from '@dgconv/trainer';
import test from 'ava';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mpiLaunch } from './mpi-launch.js';
import { inTurn, type Outcome } from './testing/dgconv.js';

const bin = fileURLToPath(new URL('../../bin/dgconv.js', import.meta.url));
const out = join(mkdtempSync(join(tmpdir(), 'dgconv-mpi-')), 'run');

/** As root, and with more processes than cores, Open MPI wants to be told that this is meant. */
const environment = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_mpi_yield_when_idle: '1',
};

const train = (...args: string[]): Promise<Outcome> =>
  inTurn(
    () =>
      new Promise((resolve) => {
        const child = spawn('mpirun', ['-n', '2', process.execPath, bin, 'train', ...args], { env: environment });
        const text = { stdout: '', stderr: '' };
        for (const stream of ['stdout', 'stderr'] as const)
          child[stream].on('data', (chunk) => {
            text[stream] += String(chunk);
          });
        child.on('close', (code) => resolve({ code, ...text }));
      }),
  );

const missing =
  spawnSync('mpirun', ['--version']).status === 0 ? whyNoMpi() : 'there is no mpirun: install openmpi-bin';
const underMpi = missing === null ? test : test.skip;
const name = (title: string) => (missing === null ? title : `skipped: ${title}: ${missing}`);

underMpi(name('under mpirun two processes train, and one answers'), async (t) => {
  const options = 'train --model g_resnet_mnist --budget b=16 --epochs 1 --limit 100 --batch-size 20 --json --quiet';
  const { code, stdout, stderr } = await train(...options.split(' ').slice(1), '--out', out);
  t.is(code, 0, stderr);
  t.like(JSON.parse(stdout), { out, epochs: 1, budgetMet: true });
  t.is(stderr, '');
  t.true(existsSync(join(out, 'model.safetensors')));
});

underMpi(name('under mpirun what is wrong is said once'), async (t) => {
  const unknown = await train('--model', 'resnet51');
  t.is(unknown.code, 2);
  t.is(unknown.stderr.match(/there is no model 'resnet51'/g)?.length, 1, unknown.stderr);
  const odd = await train('--model', 'g_resnet_mnist', '--batch-size', '25', '--out', `${out}-odd`);
  t.is(odd.code, 2);
  t.is(odd.stderr.match(/error: batchSize is 25, shared by 2 processes/g)?.length, 1, odd.stderr);
  t.is(odd.stdout, '');
  t.false(existsSync(`${out}-odd`));
});

test('a process knows its place from the environment of its launcher', (t) => {
  t.is(mpiLaunch({ PATH: '/bin' }), null);
  t.deepEqual(mpiLaunch({ OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_LOCAL_SIZE: '2' }), { rank: 1, size: 4, localSize: 2 }); // prettier-ignore
  t.deepEqual(mpiLaunch({ PMI_RANK: '0', PMI_SIZE: '3' }), { rank: 0, size: 3, localSize: 1 });
  t.deepEqual(mpiLaunch({ PMIX_RANK: '2' }), { rank: 2, size: null, localSize: 1 });
  t.is(mpiLaunch({ OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' }), null, 'started alone');
  // Slurm sets this for a batch script too, which is no process of an MPI job.
  t.is(mpiLaunch({ SLURM_NTASKS: '4' }), null);
});
