import { bench, modelOfCase, modelOfFiles, suiteNamed, suites, tableOf, type BenchModel } from '@dgconv/bench';
import { UsageError } from '@dgconv/core';
import { runtimeNames, runtimeOf, type Runtime, type RuntimeName } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { basename, extname } from 'node:path';
import { formatOf } from '../artifacts.js';
import { readBytes } from '../files/read.js';
import { integer, listOf, withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { createConsole } from '../terminal/console.js';

interface BenchOptions extends CommonOptions {
  readonly suite?: string;
  readonly runtimes: readonly RuntimeName[];
  readonly threads: number;
  readonly warmup: number;
  readonly repeats: number;
}

/** Files of one name are one network: each runtime takes the format that it runs. */
const modelsOf = (files: readonly string[]): BenchModel[] => {
  const byName = new Map<string, Record<string, Uint8Array>>();
  for (const file of files) {
    const format = formatOf(file);
    const name = basename(file, extname(file));
    byName.set(name, { ...byName.get(name), [format]: readBytes(file) });
  }
  return [...byName].map(([name, formats]) => modelOfFiles(name, formats));
};

const benchCommand = async (files: readonly string[], options: BenchOptions): Promise<void> => {
  const console = createConsole(options);
  if (files.length > 0 === (options.suite !== undefined))
    throw new UsageError('bench takes either files or --suite NAME');
  files.forEach(formatOf);
  const models = options.suite === undefined ? modelsOf(files) : suiteNamed(options.suite).map(modelOfCase);
  const runtimes: Runtime[] = [];
  for (const name of options.runtimes) {
    const runtime = runtimeOf(name);
    const missing = await runtime.whyUnavailable();
    if (missing === null) runtimes.push(runtime);
    else console.warn(`${name} is left out: ${missing}`);
  }
  let progress: ReturnType<typeof console.progress> | undefined;
  const result = await bench(models, {
    runtimes,
    threads: options.threads,
    warmup: options.warmup,
    rounds: options.repeats,
    onProgress: (done, total, what) => {
      progress ??= console.progress('bench', total);
      progress.update(done, what);
    },
  });
  progress?.stop();
  console.say(tableOf(result));
  console.result(result);
};

/** `dgconv bench`: runtimes in turn, beside each other in one run. */
export const addBenchCommand = (program: Command): void => {
  const command = program
    .command('bench [files...]')
    .description('time files or a suite in several runtimes, in turn')
    .addOption(new Option('--suite <name>', 'layers and networks of our own').choices(Object.keys(suites)))
    .addOption(
      new Option('--runtimes <names>', 'which runtimes, after commas')
        .argParser(listOf(runtimeNames))
        .default(['edge', 'edge-wasm', 'ort', 'litert'], 'edge,edge-wasm,ort,litert'),
    )
    .option('--threads <n>', 'threads of each runtime', integer(1, 256), 1)
    .option('--warmup <n>', 'rounds before the first counted one', integer(0, 10_000), 5)
    .option('--repeats <n>', 'counted rounds', integer(1, 1_000_000), 30);
  withCommonOptions(command).action(benchCommand);
  withExamples(command, [
    'dgconv bench build/demo/demo.edge build/demo/demo.onnx build/demo/demo.tflite',
    'dgconv bench --suite smoke --runtimes edge,ort --json',
  ]);
};
