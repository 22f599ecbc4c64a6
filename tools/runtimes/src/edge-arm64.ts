<<<<<<< HEAD
import { elementCount, inferShapes, InvalidInputError } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
=======
import { InvalidInputError, type Shape } from '@dgconv/core';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
>>>>>>> ebfa8d0 (Runtime edge-arm64: dgconv-run under qemu, one process a run; suites go through a bundle, as on a board)
import { feedsInOrder } from './feeds.js';
import { readNpy, writeNpy } from './npy.js';
import type { Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

<<<<<<< HEAD
/** The static program for a board, which `npm run build:arm64` leaves beside the engine. */
const program = (): string => {
  const engine = createRequire(import.meta.url).resolve('@dgconv/runtime-edge');
  return join(dirname(engine), '..', 'arm64', 'dgconv-run');
};

/** The program as it is on an ARM machine, elsewhere under qemu. */
const commandLine = (args: readonly string[]): readonly [string, string[]] =>
  process.arch === 'arm64' ? [program(), [...args]] : ['qemu-aarch64', [program(), ...args]];

/** Our engine as `dgconv-run` on ARM, a process for each run. */
export const edgeArm64Runtime: Runtime = {
  name: 'edge-arm64',
  formats: ['edge'],
  describe: () => Promise.resolve(`dgconv-run, arm64${process.arch === 'arm64' ? '' : ' under qemu'}`),
  whyUnavailable() {
    if (!existsSync(program()))
      return Promise.resolve('dgconv-run is not built for arm64; get it by: npm run build:arm64');
    if (process.arch !== 'arm64' && spawnSync('qemu-aarch64', ['--version']).status !== 0)
      return Promise.resolve('there is no qemu-aarch64; get it by: apt-get install qemu-user');
    return Promise.resolve(null);
  },
  load(bytes, { threads = 1 } = {}) {
    const { graph } = decodeEdge(bytes);
    const shapes = inferShapes(graph);
    const spec = (name: string, value: string): TensorSpec => ({ name, shape: shapes.get(value)!, layout: 'NHWC' });
    const inputs = graph.inputs.map(({ name }) => spec(name, name));
    const outputs = graph.outputs.map(({ name, value }) => spec(name, value));
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-arm64-'));
    const model = join(folder, 'model.edge');
    writeFileSync(model, bytes);
    const runOnce = (feeds: Readonly<Record<string, Float32Array>>): Record<string, RuntimeTensor> => {
      const args = ['run', model, '--threads', String(threads)];
      feedsInOrder(inputs, feeds).forEach((data, at) => {
        const file = join(folder, `input${at}.npy`);
        writeFileSync(file, writeNpy({ shape: inputs[at]!.shape, data }));
        args.push('--input', `${inputs[at]!.name}=${file}`);
      });
      outputs.forEach(({ name }, at) => args.push('--output', `${name}=${join(folder, `output${at}.npy`)}`));
      const [command, commandArgs] = commandLine(args);
      const { status, stderr } = spawnSync(command, commandArgs, { encoding: 'utf8' });
      if (status !== 0) throw new InvalidInputError(`dgconv-run refuses the model: ${stderr.trim()}`);
      return Object.fromEntries(
        outputs.map(({ name, shape }, at): [string, RuntimeTensor] => {
          const { data } = readNpy(readFileSync(join(folder, `output${at}.npy`)), name);
          if (data.length !== elementCount(shape))
            throw new Error(`internal: dgconv-run wrote ${data.length} values of '${name}'`);
          return [name, { shape, data }];
        }),
      );
    };
    return Promise.resolve({
      inputs,
      outputs,
      run: (feeds) => new Promise((resolve) => resolve(runOnce(feeds))),
      bind: (feeds) => () => void runOnce(feeds),
      dispose() {
        rmSync(folder, { recursive: true, force: true });
        return Promise.resolve();
      },
    });
=======
const program = fileURLToPath(new URL('../arm64/dgconv-run', import.meta.resolve('@dgconv/runtime-edge')));

/** What goes before the program: nothing on an ARM machine, elsewhere Debian's emulator of one. */
const emulator: readonly string[] = process.arch === 'arm64' && process.platform === 'linux' ? [] : ['qemu-aarch64'];

/** What a run of dgconv-run said, with its exit code: 0 done, 1 a check failed, 3 an input was rejected. */
export interface DgconvRunOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the arm64 build of `dgconv-run`, under emulation where this is no ARM machine.
 * @throws {InvalidInputError} if it did not end by itself.
 */
export function dgconvRunArm64(args: readonly string[]): Promise<DgconvRunOutcome> {
  const [command, ...rest] = [...emulator, program, ...args] as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (chunk: string) => (text[stream] += chunk));
    }
    child.on('error', (error) => reject(new InvalidInputError(`${command} cannot be run: ${error.message}`)));
    child.on('close', (code, signal) =>
      code === null
        ? reject(new InvalidInputError(`dgconv-run ended with ${signal}: ${text.stderr.trim()}`))
        : resolve({ code, ...text }),
    );
  });
}

/** What dgconv-run printed as JSON. */
async function answer(args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await dgconvRunArm64([...args, '--json']);
  if (code !== 0) throw new InvalidInputError(stderr.trim().replace(/^dgconv-run: /, ''));
  return JSON.parse(stdout);
}

/** Our engine for 64-bit ARM, as the static program that goes on a board: a process for each run. */
export const edgeArm64Runtime: Runtime = {
  name: 'edge-arm64',
  formats: ['edge'],
  async describe() {
    const { stdout } = await dgconvRunArm64(['--version']);
    return `${stdout.trim()}, neon${emulator.length > 0 ? ' under qemu' : ''}`;
  },
  whyUnavailable() {
    const reasons: string[] = [];
    if (!existsSync(program)) {
      reasons.push(
        "dgconv-run for arm64 is not built; get it by: Debian's g++-aarch64-linux-gnu, then npm run build:arm64",
      );
    }
    if (emulator.length > 0 && spawnSync(emulator[0]!, ['--version']).status !== 0) {
      reasons.push(`there is no ${emulator[0]}; get it by: Debian's package qemu-user`);
    }
    return Promise.resolve(reasons.length === 0 ? null : reasons.join('; '));
  },
  async load(bytes, { threads = 1 } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-arm64-'));
    const model = join(folder, 'model.edge');
    try {
      writeFileSync(model, bytes);
      type Border = readonly { readonly name: string; readonly shape: Shape }[];
      const info = (await answer(['info', model])) as { readonly inputs: Border; readonly outputs: Border };
      const specs = (border: Border): TensorSpec[] =>
        border.map(({ name, shape }) => ({ name, shape, layout: 'NHWC' }));
      const [inputs, outputs] = [specs(info.inputs), specs(info.outputs)];
      const run = async (feeds: Readonly<Record<string, Float32Array>>) => {
        const arrays = feedsInOrder(inputs, feeds);
        const call = join(folder, randomUUID());
        // Names that a file system or NAME=FILE could not take stay out of paths; a lone tensor needs no name.
        const file = (what: string, list: readonly TensorSpec[], at: number) =>
          `${list.length === 1 ? '' : `${list[at]!.name}=`}${call}-${what}${at}.npy`;
        inputs.forEach(({ shape }, at) => writeFileSync(`${call}-in${at}.npy`, writeNpy({ shape, data: arrays[at]! })));
        await answer([
          ...['run', model, '--threads', String(threads)],
          ...inputs.flatMap((_, at) => ['--input', file('in', inputs, at)]),
          ...outputs.flatMap((_, at) => ['--output', file('out', outputs, at)]),
        ]);
        return Object.fromEntries(
          outputs.map(({ name, shape }, at): [string, RuntimeTensor] => {
            const path = `${call}-out${at}.npy`;
            return [name, { shape, data: readNpy(readFileSync(path), path).data }];
          }),
        );
      };
      return {
        inputs,
        outputs,
        run,
        bind: (feeds) => async () => void (await run(feeds)),
        dispose: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })),
      };
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
>>>>>>> ebfa8d0 (Runtime edge-arm64: dgconv-run under qemu, one process a run; suites go through a bundle, as on a board)
  },
};
