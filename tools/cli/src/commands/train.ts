import { UnsupportedError, UsageError, zooGraph, type Graph, type WeightSource } from '@dgconv/core';
import type { Communicator } from '@dgconv/trainer';
import { Option, type Command } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  budgets,
  checkModel,
  integer,
  shard,
  withCommonOptions,
  withExamples,
  type BudgetOption,
  type CommonOptions,
  type Shard,
} from '../options.js';
import { mpiLaunch, threadsOf } from '../mpi-launch.js';
import { openSource } from '../sources.js';
import { createConsole, paint } from '../terminal/console.js';
import { formatCount } from '../terminal/table.js';
import { budgetNote, trainingNote } from '../terminal/training-note.js';

const rules = ['dgconv', 'flgc', 'condense', 'none'] as const;
const backends = ['auto', 'dgconv', 'tensorflow', 'wasm', 'cpu'] as const;

interface TrainOptions extends CommonOptions {
  readonly model: string;
  readonly learn?: (typeof rules)[number];
  readonly select?: string;
  readonly data: string;
  readonly budget?: readonly BudgetOption[];
  readonly shard?: Shard;
  readonly latencyTable?: string;
  readonly epochs: number;
  readonly batchSize: number;
  readonly limit?: number;
  readonly backend: (typeof backends)[number];
  readonly out?: string;
  readonly resume?: boolean;
  readonly initFrom?: string;
  readonly seed: number;
  readonly threads?: number;
  readonly force?: boolean;
}

/** The network and the weights it starts from, if any. */
const startingPoint = ({ model, initFrom }: TrainOptions): { graph: Graph; weights: WeightSource | null } => {
  const isZoo = !model.endsWith('.onnx');
  if (initFrom !== undefined) return openSource(initFrom, isZoo && !isRun(initFrom) ? { arch: model } : {});
  return isZoo ? { graph: zooGraph(model), weights: null } : openSource(model, {});
};

/** A budget in ms and its table come together, several budgets and a part of them. */
const checkBudgets = ({ budget = [], latencyTable, model, shard: part }: TrainOptions): void => {
  const hasMs = budget.some(({ kind }) => kind === 'ms');
  if (hasMs && latencyTable === undefined)
    throw new UsageError(
      `a budget in ms needs --latency-table FILE; dgconv bench --model ${model} --latency-table FILE measures one`,
    );
  if (!hasMs && latencyTable !== undefined)
    throw new UsageError('--latency-table belongs to a budget in ms, such as --budget ms=5');
  if (budget.length < 2 && part !== undefined)
    throw new UsageError('--shard takes a part of several budgets, such as --budget b=8,b=16,b=32');
};

/** One training: its budget, and the run directory that it leaves. */
interface Run {
  readonly budget: BudgetOption | undefined;
  readonly out: string;
}

/** The runs that are asked for: of several budgets each has a folder of its own in `--out`. */
const runsOf = ({ model, out, budget = [], shard: part = { index: 1, count: 1 } }: TrainOptions): Run[] => {
  const folder = out ?? join('runs', model.replace(/^.*\/|\.onnx$/g, ''));
  if (budget.length < 2) return [{ budget: budget[0], out: folder }];
  return budget
    .map((one) => ({ budget: one, out: join(folder, `${one.kind}=${one.value}`) }))
    .filter((_, at) => at % part.count === part.index - 1);
};

const isRun = (path: string): boolean => existsSync(join(path, 'model.safetensors'));

const isStarted = (path: string): boolean => existsSync(join(path, 'checkpoints', 'latest.safetensors'));

/** Which of the runs are to be trained, and whether from a checkpoint: a sweep that is resumed leaves those that are done. */
const pending = (runs: readonly Run[], { budget = [], resume = false, force = false }: TrainOptions) => {
  const done = runs.find(({ out }) => isRun(out));
  if (done !== undefined && !resume && !force)
    throw new UsageError(`${done.out} holds a run; give --resume to go on with it, or --force to start over`);
  if (budget.length < 2) return runs.map((run) => ({ ...run, resume }));
  return runs
    .filter(({ out }) => !resume || !isRun(out))
    .map((run) => ({ ...run, resume: resume && isStarted(run.out) }));
};

/** The processes that train together, if mpirun started this one. */
const openProcesses = async (): Promise<Communicator | undefined> => {
  const launch = mpiLaunch();
  if (launch === null) return undefined;
  const { openMpi } = await import('@dgconv/trainer');
  const communicator = openMpi();
  if (launch.size !== null && communicator.size !== launch.size) {
    throw new UnsupportedError(
      `mpirun started ${launch.size} processes, and the MPI addon sees ${communicator.size}: it was built for another MPI; npm run build makes it anew`,
    );
  }
  return communicator;
};

const learnOf = ({ learn: rule, select }: TrainOptions) => {
  if (rule === 'none' || (rule === undefined && select === undefined)) return undefined;
  return { rule: rule ?? 'dgconv', ...(select === undefined ? {} : { select }) };
};

const trainCommand = async (options: TrainOptions): Promise<void> => {
  const console = createConsole(options);
  checkModel(options.model);
  checkBudgets(options);
  const isSweep = (options.budget ?? []).length > 1;
  const runs = pending(runsOf(options), options);
  const { graph, weights } = startingPoint(options);
  const { train, setBackendThreads } = await import('@dgconv/trainer');
  const communicator = await openProcesses();
  const launch = mpiLaunch();
  const threads = options.threads ?? (launch === null ? undefined : threadsOf(launch));
  if (threads !== undefined) await setBackendThreads(threads);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort();
  });
  const learn = learnOf(options);
  const results: object[] = [];
  for (const { budget, out, resume } of runs) {
    let progress: ReturnType<typeof console.progress> | undefined;
    const result = await train({
      graph,
      weights,
      ...(learn === undefined ? {} : { learn }),
      data: options.data,
      budget: budget ?? null,
      latencyTable: budget?.kind === 'ms' ? options.latencyTable! : null,
      epochs: options.epochs,
      batchSize: options.batchSize,
      limit: options.limit ?? null,
      backend: options.backend,
      out,
      resume,
      seed: options.seed,
      command: `dgconv ${process.argv.slice(2).join(' ')}`,
      signal: stop.signal,
      ...(communicator === undefined ? {} : { communicator }),
      onProgress: (state) => {
        progress ??= console.progress('train', state.steps);
        progress.update(state.step, trainingNote(state));
      },
    }).finally(() => progress?.stop());
    console.say(
      `${out}: test accuracy ${(100 * result.testAccuracy).toFixed(2)} %, ζ ${formatCount(result.zeta)}` +
        `, ${(1000 * result.secondsPerStep).toFixed(0)} ms a step on ${result.backend}`,
    );
    if (budget !== undefined)
      console.say(`budget: ${budgetNote({ kind: budget.kind, cost: result.cost!, limit: result.budget! })}`);
    if (result.budgetMet === false)
      console.warn(paint('red', `the budget was missed: ${result.cost} of at most ${result.budget}`));
    results.push({
      out,
      epochs: result.epochs,
      testAccuracy: result.testAccuracy,
      validationAccuracy: result.validationAccuracy,
      zeta: result.zeta,
      cost: result.cost,
      budget: result.budget,
      budgetMet: result.budgetMet,
      secondsPerStep: result.secondsPerStep,
      backend: result.backend,
    });
  }
  console.result(isSweep ? { runs: results } : results[0]!);
};

/** `dgconv train`: learns a network, and with it the groups of its convolutions. */
export const addTrainCommand = (program: Command): void => {
  const command = program
    .command('train')
    .description('train a network and learn the groups of its convolutions under a budget')
    .requiredOption('--model <name>', 'network of the zoo, or an .onnx file')
    .addOption(new Option('--learn <rule>', 'how groups are learned (default: as the network has it)').choices(rules))
    .option('--select <pattern>', 'layers whose groups are learned: names with *, several after commas')
    .option('--data <spec>', 'mnist, fashion-mnist, idx:FOLDER, or a folder of images by class', 'mnist')
    .option('--budget <budget>', 'b, zeta, macs, params or ms, such as b=32; several after commas, each a run', budgets)
    .option('--shard <i/n>', 'of several budgets the i-th of n parts, as array jobs count', shard)
    .option('--latency-table <file>', 'for a budget in ms: what dgconv bench --latency-table wrote')
    .option('--epochs <n>', 'passes over the training images', integer(1, 1_000_000), 2)
    .option('--batch-size <n>', 'images a step', integer(1, 65_536), 64)
    .option('--limit <n>', 'only the first so many images', integer(1))
    .addOption(new Option('--backend <name>', 'what computes').choices(backends).default('auto'))
    .option('--out <folder>', 'the run directory (default: runs/MODEL)')
    .option('--resume', 'go on with the run in --out')
    .option('--init-from <input>', 'start from the weights of a run or checkpoint')
    .option('--seed <n>', 'of everything random', integer(0, 2 ** 32 - 1), 1)
    .option('--threads <n>', 'threads of the dgconv backend', integer(1, 256))
    .option('--force', 'start over in a folder that holds a run');
  withCommonOptions(command).action(trainCommand);
  withExamples(command, [
    'dgconv train --model g_resnet_mnist --budget b=32 --epochs 2 --out runs/mnist',
    'dgconv train --model g_resnet_mnist --epochs 1 --limit 2000 --out runs/quick --force --json',
    'dgconv train --model resnet_mnist --learn dgconv --select "layer*.conv2" --budget macs=2e6',
    'dgconv train --model g_resnet_mnist --budget ms=0.05 --latency-table latency.json',
    'dgconv train --model g_resnet_mnist --budget b=8,b=16,b=32,b=64 --shard 1/2 --out runs/sweep',
    'mpirun -n 4 dgconv train --model g_resnet_mnist --budget b=32',
  ]);
};
