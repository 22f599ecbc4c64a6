import {
  bench,
  chromeTrace,
  type MeasuredNetwork,
  measureLatencies,
  measureWasmPeakGflops,
  modelOfCase,
  modelOfFiles,
  modelOfNetwork,
  profileModel,
  readLatencyBundle,
  suiteNamed,
  suites,
  tableOf,
  withoutLearning,
  writeLatencyBundle,
  type BenchModel,
  filesOfLatencyBundle,
} from '@dgconv/bench';
import { InvalidInputError, UsageError, type Graph } from '@dgconv/core';
import { decodeEdge, measurePeakGflops, type StepTime } from '@dgconv/runtime-edge';
import {
  edgeNativeRuntime,
  runtimeNames,
  runtimeOf,
  wasmVariant,
  type Runtime,
  type RuntimeName,
} from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { spawnSync } from 'node:child_process';
import { formatOf } from '../artifacts.js';
import { filesByModel } from '../files/by-model.js';
import { failNaming, readBytes } from '../files/read.js';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { checkModel, integer, listOf, withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { openNetwork } from '../sources.js';
import { type Console, createConsole } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';

interface BenchOptions extends CommonOptions {
  readonly model?: string;
  readonly suite?: string;
  readonly runtimes?: readonly RuntimeName[];
  readonly threads: number;
  readonly warmup: number;
  readonly repeats: number;
  readonly executed?: boolean;
  readonly memory: boolean;
  readonly profile?: string;
  readonly latencyTable?: string;
  readonly bundle?: string;
  readonly result?: string;
  readonly force?: boolean;
}

const defaultRuntimes: readonly RuntimeName[] = ['edge', 'edge-wasm', 'ort', 'litert'];

/** glibc's variables: with them neither side pays for pages that the allocator gives back between runs. */
const allocator = { MALLOC_MMAP_THRESHOLD_: '1073741824', MALLOC_TRIM_THRESHOLD_: '2147483647' };

/** Starts this command once more with the allocator's thresholds raised, as they are read at the start of a process. */
const restartWithThresholds = (): boolean => {
  if (process.platform !== 'linux' || process.env['MALLOC_MMAP_THRESHOLD_'] !== undefined) return false;
  const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, ...allocator },
  });
  process.exitCode = status ?? 70;
  return true;
};

const modelsOf = (files: readonly string[]): BenchModel[] =>
  [...filesByModel(files)].map(([name, formats]) => {
    const bytes = Object.fromEntries(Object.entries(formats).map(([format, file]) => [format, readBytes(file)]));
    try {
      return modelOfFiles(name, bytes);
    } catch (error) {
      return failNaming(formats.edge ?? name)(error);
    }
  });

const presentRuntimes = async (names: readonly RuntimeName[], console: Console): Promise<Runtime[]> => {
  const present: Runtime[] = [];
  for (const name of names) {
    const runtime = runtimeOf(name);
    const missing = await runtime.whyUnavailable();
    if (missing === null) present.push(runtime);
    else console.warn(`${name} is left out: ${missing}`);
  }
  if (present.length === 0) throw new InvalidInputError(`none of the runtimes ${names.join(', ')} is here`);
  return present;
};

/** What is timed: a model, and the graph whose convolutions go into a latency table if that is not the one in its `.edge` file. */
interface Subject {
  readonly model: BenchModel;
  readonly graph?: Graph;
}

const subjectsOf = (files: readonly string[], { model, suite }: BenchOptions): Subject[] => {
  if (suite !== undefined) return suiteNamed(suite).map((benchCase) => ({ model: modelOfCase(benchCase) }));
  if (model === undefined) return modelsOf(files).map((found) => ({ model: found }));
  const network = openNetwork(model);
  const graph = withoutLearning(network.graph);
  return [{ model: modelOfNetwork(graph.metadata.name, { ...network, graph }), graph }];
};

/** Networks whose convolutions a latency table is about. */
const networksOf = (subjects: readonly Subject[]): MeasuredNetwork[] =>
  subjects.flatMap(({ model, graph }) => {
    const bytes = model.bytesFor(edgeNativeRuntime);
    return bytes === null ? [] : [{ graph: graph ?? decodeEdge(bytes).graph, bytes }];
  });

/** `--bundle`: what a board needs to measure a latency table. */
const writeBundle = (folder: string, subjects: readonly Subject[], options: BenchOptions): void => {
  const console = createConsole(options);
  const files = writeLatencyBundle(folder, networksOf(subjects));
  console.say(
    `${folder}: ${files} files to time. Put dgconv-run into the folder, the folder on the board, run measure.sh there and bring the folder back; ` +
      `then: dgconv bench --result ${folder} --latency-table OUT.json`,
  );
  console.result({ bundle: folder, files });
};

/** `--result`: the latency table that a board measured. */
const readBundle = (folder: string, { latencyTable, force, ...options }: BenchOptions): void => {
  const console = createConsole(options);
  if (latencyTable === undefined) throw new UsageError('--result goes with --latency-table OUT.json, which it makes');
  refuseOverwrite([latencyTable], force === true);
  const table = readLatencyBundle(folder);
  writeFiles({ [latencyTable]: `${JSON.stringify(table, null, 2)}\n` });
  console.say(`latency table: ${latencyTable}, measured on ${table.cpu}`);
  console.result(table);
};

/** What each step of a network takes, and its share of all. */
const stepTable = (name: string, steps: readonly StepTime[]): string => {
  const all = steps.reduce((sum, { ms }) => sum + ms, 0);
  const rows = steps.map(({ id, op, kernel, ms }) => {
    const share = all > 0 ? ((100 * ms) / all).toFixed(1) : '0.0';
    return [id, op, kernel, ms.toFixed(4), `${share} %`];
  });
  return `\n${name}, step by step in our engine\n${formatTable(['node', 'op', 'kernel', 'median ms', 'share'], rows)}`;
};

const benchCommand = async (files: readonly string[], options: BenchOptions): Promise<void> => {
  const console = createConsole(options);
  const sources = [
    files.length > 0,
    ...[options.suite, options.model, options.result].map((given) => given !== undefined),
  ];
  if (sources.filter(Boolean).length !== 1)
    throw new UsageError('bench takes either files, --suite NAME, --model NAME or --result DIR');
  if (options.result !== undefined) return readBundle(options.result, options);
  const formats = files.map(formatOf);
  for (const [flag, value] of [
    ['--profile', options.profile],
    ['--latency-table', options.latencyTable],
    ['--bundle', options.bundle],
  ] as const)
    if (value !== undefined && files.length > 0 && !formats.includes('edge'))
      throw new UsageError(`${flag} measures the steps of a .edge file, and none is given`);
  if (options.model !== undefined) checkModel(options.model);
  if (options.bundle !== undefined) {
    refuseOverwrite(filesOfLatencyBundle(options.bundle), options.force === true);
    return writeBundle(options.bundle, subjectsOf(files, options), options);
  }
  const outputs = [options.profile, options.latencyTable].filter((file) => file !== undefined);
  refuseOverwrite(outputs, options.force === true);
  if (restartWithThresholds()) return;
  const subjects = subjectsOf(files, options);
  const models = subjects.map(({ model }) => model);
  const runtimes = await presentRuntimes(options.runtimes ?? defaultRuntimes, console);
  for (const model of models)
    for (const runtime of options.runtimes === undefined ? [] : runtimes)
      if (model.bytesFor(runtime) === null)
        console.warn(`${runtime.name} is left out for '${model.name}': there is no .${runtime.formats[0]} file of it`);
  let progress: ReturnType<typeof console.progress> | undefined;
  const result = await bench(models, {
    runtimes,
    threads: options.threads,
    warmup: options.warmup,
    rounds: options.repeats,
    memory: options.memory,
    measurePeak: measurePeakGflops,
    measureWasmPeak: () => measureWasmPeakGflops(wasmVariant() === 'relaxed-simd'),
    onProgress: (done, total, what) => {
      progress ??= console.progress('bench', total);
      progress.update(done, what);
    },
  }).finally(() => progress?.stop());
  console.say(tableOf(result, options.executed));
  const profiles: { readonly name: string; readonly steps: readonly StepTime[] }[] = [];
  if (options.profile !== undefined) {
    for (const model of models) {
      const bytes = model.bytesFor(edgeNativeRuntime);
      if (bytes === null) continue;
      const steps = await profileModel(bytes, { threads: options.threads, rounds: options.repeats });
      profiles.push({ name: model.name, steps });
      console.say(stepTable(model.name, steps));
    }
    writeFiles({ [options.profile]: chromeTrace(profiles) });
    console.say(`trace: ${options.profile}`);
  }
  if (options.latencyTable !== undefined) {
    let measured: ReturnType<typeof console.progress> | undefined;
    const table = await measureLatencies(networksOf(subjects), {
      threads: options.threads,
      rounds: options.repeats,
      onProgress: (done, total) => {
        measured ??= console.progress('latency table', total);
        measured.update(done);
      },
    }).finally(() => measured?.stop());
    writeFiles({ [options.latencyTable]: `${JSON.stringify(table, null, 2)}\n` });
    console.say(`latency table: ${options.latencyTable}`);
  }
  console.result(options.profile === undefined ? result : { ...result, profiles });
};

/** `dgconv bench`: runtimes in turn, beside each other in one run. */
export const addBenchCommand = (program: Command): void => {
  const command = program
    .command('bench [files...]')
    .description('time files, a suite or a network in several runtimes, in turn')
    .addOption(new Option('--suite <name>', 'layers and networks of our own').choices(Object.keys(suites)))
    .option('--model <name>', 'network of the zoo, or an .onnx file, before it is trained')
    .addOption(
      new Option('--runtimes <names>', `which runtimes, after commas (default: ${defaultRuntimes.join()})`).argParser(
        listOf(runtimeNames),
      ),
    )
    .option('--threads <n>', 'threads of each runtime', integer(1, 256), 1)
    .option('--warmup <n>', 'rounds before the first counted one', integer(0, 10_000), 5)
    .option('--repeats <n>', 'counted rounds', integer(1, 1_000_000), 30)
    .option('--executed', 'shares of the peak without multiply-adds that fall on zero padding')
    .option('--no-memory', 'leave peak memory out: it takes a process for each row')
    .option('--profile <trace.json>', 'the time of each step, also as a Chrome trace')
    .option(
      '--latency-table <out.json>',
      'write what each convolution takes with each number of groups, for budgets in ms',
    )
    .addOption(
      new Option('--bundle <dir>', 'write a folder with which a board without Node measures a latency table').conflicts(
        ['latencyTable', 'profile'],
      ),
    )
    .option('--result <dir>', 'such a folder, measured: make its --latency-table')
    .option('--force', 'overwrite files');
  withCommonOptions(command).action(benchCommand);
  withExamples(command, [
    'dgconv bench build/demo/demo.edge build/demo/demo.onnx build/demo/demo.tflite',
    'dgconv bench --suite smoke --runtimes edge,ort --json',
    'DGCONV_WASM=relaxed-simd dgconv bench --suite layers --runtimes edge-wasm,litert --executed',
    'dgconv bench --model g_resnet_mnist --runtimes edge --latency-table latency.json',
    'dgconv bench --model g_resnet_mnist --bundle board',
  ]);
};
