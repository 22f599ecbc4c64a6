import { InvalidInputError, type Shape } from '@dgconv/core';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { feedsInOrder } from './feeds.js';
import { readNpy, writeNpy } from './npy.js';
import type { Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

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

/** What dgconv-run printed as JSON; what is wrong with its temporary file is wrong with the model. */
async function answer(command: string, model: string, ...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await dgconvRunArm64([command, model, ...args, '--json']);
  if (code !== 0) {
    throw new InvalidInputError(
      stderr
        .trim()
        .replace(/^dgconv-run: /, '')
        .replace(`${model}: `, 'the model: '),
    );
  }
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
      const info = (await answer('info', model)) as { readonly inputs: Border; readonly outputs: Border };
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
        await answer(
          'run',
          model,
          ...['--threads', String(threads)],
          ...inputs.flatMap((_, at) => ['--input', file('in', inputs, at)]),
          ...outputs.flatMap((_, at) => ['--output', file('out', outputs, at)]),
        );
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
  },
};
