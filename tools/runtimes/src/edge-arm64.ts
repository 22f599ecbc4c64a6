import { elementCount, inferShapes, InvalidInputError } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { feedsInOrder } from './feeds.js';
import { readNpy, writeNpy } from './npy.js';
import type { Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

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
  },
};
