import { UnsupportedError, UsageError, zooGraph, type Graph, type WeightSource } from '@dgconv/core';
import { Option, type Command } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  budget,
  checkModel,
  integer,
  withCommonOptions,
  withExamples,
  type BudgetOption,
  type CommonOptions,
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
  readonly budget?: BudgetOption;
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

/** A budget in ms and its table come together. */
const checkBudget = ({ budget, latencyTable, model }: TrainOptions): void => {
  if (budget?.kind === 'ms' && latencyTable === undefined)
    throw new UsageError(
      `a budget in ms needs --latency-table FILE; dgconv bench --model ${model} --latency-table FILE measures one`,
    );
  if (budget?.kind !== 'ms' && latencyTable !== undefined)
    throw new UsageError('--latency-table belongs to a budget in ms, such as --budget ms=5');
};

const isRun = (path: string): boolean => existsSync(join(path, 'model.safetensors'));

const trainCommand = async (options: TrainOptions): Promise<void> => {
  const console = createConsole(options);
  checkModel(options.model);
  checkBudget(options);
  const out = options.out ?? join('runs', options.model.replace(/^.*\/|\.onnx$/g, ''));
  if (isRun(out) && !options.resume && !options.force)
    throw new UsageError(`${out} holds a run; give --resume to go on with it, or --force to start over`);
  const { graph, weights } = startingPoint(options);
  const { openMpi, train, setBackendThreads } = await import('@dgconv/trainer');
  const launch = mpiLaunch();
  const communicator = launch === null ? undefined : openMpi();
  if (launch !== null && launch.size !== null && communicator!.size !== launch.size) {
    throw new UnsupportedError(
      `mpirun started ${launch.size} processes, and the MPI addon sees ${communicator!.size}: it was built for another MPI; npm run build makes it anew`,
    );
  }
  const threads = options.threads ?? (launch === null ? undefined : threadsOf(launch));
  if (threads !== undefined) await setBackendThreads(threads);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort();
  });
  let progress: ReturnType<typeof console.progress> | undefined;
  const select = options.select === undefined ? {} : { select: options.select };
  const learn =
    options.learn === undefined ? (options.select === undefined ? undefined : { rule: 'dgconv' as const, ...select })
    : options.learn === 'none' ? undefined
    : { rule: options.learn, ...select }; // prettier-ignore
  const result = await train({
    graph,
    weights,
    ...(learn === undefined ? {} : { learn }),
    data: options.data,
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    latencyTable: options.latencyTable ?? null,
    epochs: options.epochs,
    batchSize: options.batchSize,
    limit: options.limit ?? null,
    backend: options.backend,
    out,
    resume: options.resume ?? false,
    seed: options.seed,
    command: `dgconv ${process.argv.slice(2).join(' ')}`,
    signal: stop.signal,
    ...(communicator === undefined ? {} : { communicator }),
    onProgress: (state) => {
      progress ??= console.progress('train', state.steps);
      progress.update(state.step, trainingNote(state));
    },
  });
  progress?.stop();
  console.say(
    `${out}: test accuracy ${(100 * result.testAccuracy).toFixed(2)} %, ζ ${formatCount(result.zeta)}` +
      `, ${(1000 * result.secondsPerStep).toFixed(0)} ms a step on ${result.backend}`,
  );
  if (options.budget !== undefined)
    console.say(`budget: ${budgetNote({ kind: options.budget.kind, cost: result.cost!, limit: result.budget! })}`);
  if (result.budgetMet === false)
    console.warn(paint('red', `the budget was missed: ${result.cost} of at most ${result.budget}`));
  console.result({
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
    .option('--budget <budget>', 'b, zeta, macs, params or ms, such as b=32', budget)
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
    'mpirun -n 4 dgconv train --model g_resnet_mnist --budget b=32',
  ]);
};
