import { testInputs, type TestInput } from '@dgconv/compiler';
import {
  CheckFailedError,
  costOf,
  InvalidInputError,
  interpret,
  UsageError,
  type Layout,
  type Model,
} from '@dgconv/core';
import { readNpy, runtimeOf } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { formatOf } from '../artifacts.js';
import { toBatch } from '../batch.js';
import { agreement, labelledInputs, largest } from '../data-agreement.js';
import { failNaming, readBytes } from '../files/read.js';
import { firstDifference } from '../first-difference.js';
import {
  integer,
  withCommonOptions,
  withExamples,
  withSourceOptions,
  type CommonOptions,
  type SourceOptions,
} from '../options.js';
import { loadRuntime } from '../runtimes.js';
import { openSource } from '../sources.js';
import { createConsole, paint } from '../terminal/console.js';
import { formatError, formatTable } from '../terminal/table.js';
import {
  evaluatorOf,
  interpretedOnce,
  verifyArtifacts,
  type Artifact,
  type Verification,
} from '../verify-artifacts.js';

interface VerifyOptions extends CommonOptions, SourceOptions {
  readonly reference?: string;
  readonly input?: string;
  readonly layout?: 'nchw' | 'nhwc';
  readonly layers?: boolean;
  readonly data?: string;
  readonly seed: number;
  readonly threads: number;
}

/** Above this many multiply-adds the interpreter, plain as it is, sees one random input instead of one of each kind. */
const manyMacs = 2e8;

/** The images of `--input`. */
const givenInputs = (file: string, model: Model, layout: Layout): TestInput[] => {
  const [input] = model.graph.inputs;
  if (input === undefined || model.graph.inputs.length > 1)
    throw new InvalidInputError(`the model has ${model.graph.inputs.length} inputs; --input takes models with one`);
  const array = readNpy(readBytes(file), file);
  const { count, data } = toBatch(array, input, layout, file);
  const size = data.length / count;
  return Array.from({ length: count }, (_, at) => ({
    name: `${file}[${at}]`,
    feeds: { [input.name]: data.subarray(at * size, (at + 1) * size) },
  }));
};

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** Images that `--data` looks at: the interpreter is plain, and a few hundred tell one answer in a thousand apart. */
const dataImages = 500;

/** Top-1 of the reference and of every artefact in its format's own runtime, and how often they answer alike. */
const compareOnData = async (artifacts: readonly Artifact[], model: Model, spec: string, threads: number) => {
  const { inputs, labels } = await labelledInputs(model, spec, dataImages);
  const output = model.graph.outputs[0]!.name;
  const expected = inputs.map(({ feeds }) => largest(interpret(model, feeds)[output]!));
  const rows = [];
  for (const { file, format, bytes } of artifacts) {
    const runtime = await loadRuntime(undefined, format);
    const session = await runtime.load(bytes, { threads }).catch(failNaming(file));
    const answers: number[] = [];
    for (const { feeds } of inputs) answers.push(largest((await evaluatorOf(session).run(feeds))[output]!));
    await session.dispose();
    rows.push({
      artifact: file,
      runtime: runtime.name,
      top1: agreement(answers, labels),
      agrees: agreement(answers, expected),
    });
  }
  return { spec, images: inputs.length, referenceTop1: agreement(expected, labels), artifacts: rows };
};

/** Says of every file that differs where it starts to. */
const nameLayers = async (
  results: readonly Verification[],
  reference: Model,
  inputs: readonly TestInput[],
  say: (text: string) => void,
): Promise<void> => {
  for (const { artifact, runtime, ok } of results) {
    if (ok) continue;
    const found = await firstDifference(openSource(artifact, {}), reference, runtimeOf(runtime), inputs.at(-1)!.feeds);
    if (found === null) say(`${artifact} in ${runtime}: every layer agrees on the last input`);
    else say(`${artifact} in ${runtime}: the first layer that differs is ${found.layer} (${found.cause})`);
  }
};

const verify = async (files: readonly string[], options: VerifyOptions): Promise<void> => {
  const console = createConsole(options);
  const formats = files.map(formatOf);
  const fallback = files[formats.indexOf('onnx')] ?? files[formats.indexOf('edge')];
  const source = options.reference ?? fallback;
  if (source === undefined)
    throw new UsageError(
      'there is nothing to compare with: give --reference, or an .onnx or .edge file among the files',
    );
  const artifacts = files.map((file, at) => ({ file, format: formats[at]!, bytes: readBytes(file) }));
  const model = openSource(source, options);
  // As the first file declares its own arrays, unless it is said.
  const layout: Layout = (options.layout ?? (formats[0] === 'onnx' ? 'nchw' : 'nhwc')) === 'nchw' ? 'NCHW' : 'NHWC';
  const probes = testInputs(model.graph, { seed: options.seed });
  const inputs = [
    ...(costOf(model.graph).macs > manyMacs ? probes.slice(-1) : probes),
    ...(options.input === undefined ? [] : givenInputs(options.input, model, layout)),
  ];
  const reference = interpretedOnce(model);
  const progress = console.progress('interpret', inputs.length);
  inputs.forEach(({ feeds }, at) => {
    reference.run(feeds);
    progress.update(at + 1);
  });
  progress.stop();
  const results = await verifyArtifacts(artifacts, reference, inputs, options.threads);
  const ok = results.every((result) => result.ok) && results.some((result) => result.skipped === undefined);
  console.say(`reference: ${source}, interpreted in float64, ${inputs.length} inputs`);
  console.say(
    formatTable(
      ['artefact', 'runtime', 'max abs error', 'max rel error', 'allowed', ''],
      results.map((result) => [
        result.artifact,
        result.runtime,
        result.maxAbsError === null ? '' : formatError(result.maxAbsError),
        result.maxRelError === null ? '' : formatError(result.maxRelError),
        formatError(result.tolerance),
        result.skipped !== undefined ? `skipped: ${result.skipped}` : result.ok ? 'equal' : 'DIFFERENT',
      ]),
    ),
  );
  const accuracy =
    options.data === undefined ? undefined : await compareOnData(artifacts, model, options.data, options.threads);
  for (const { artifact, runtime, top1, agrees } of accuracy?.artifacts ?? [])
    console.say(
      `${options.data}, ${accuracy!.images} images: reference ${percent(accuracy!.referenceTop1)} right, ` +
        `${artifact} in ${runtime} ${percent(top1)}, same answer on ${percent(agrees)}`,
    );
  console.result({ ok, results, ...(accuracy === undefined ? {} : { data: accuracy }) });
  if (!ok) {
    if (options.layers) await nameLayers(results, model, inputs, console.warn);
    const [worst] = results.filter((result) => !result.ok);
    throw new CheckFailedError(
      worst === undefined
        ? 'no runtime that is present here takes these files'
        : `${worst.artifact} in ${worst.runtime} differs by ${formatError(worst.maxRelError!)} of the largest output, ${formatError(worst.tolerance)} is allowed`,
    );
  }
  console.say(paint('green', 'every artefact computes what the reference computes'));
};

/** `dgconv verify`: every artefact in every runtime against the interpreted reference. */
export const addVerifyCommand = (program: Command): void => {
  const command = program
    .command('verify <files...>')
    .description('compare files in every runtime with the interpreted reference')
    .option(
      '--reference <input>',
      'run directory, checkpoint, LayersModel, ONNX or TFLite file (default: the .onnx, else the .edge)',
    )
    .option('--input <file>', 'further inputs (.npy)')
    .addOption(
      new Option('--layout <layout>', 'dimension order of --input (default: as the first file declares)').choices([
        'nchw',
        'nhwc',
      ]),
    )
    .option('--layers', 'name the first layer that differs')
    .option('--data <spec>', "both models' top-1 accuracy and their agreement on a data set's first test images")
    .option('--seed <n>', 'of the random inputs', integer(0, 2 ** 32 - 1), 1)
    .option('--threads <n>', 'threads of the runtimes', integer(1, 256), 1);
  withSourceOptions(command);
  withCommonOptions(command).action(verify);
  withExamples(command, [
    'dgconv verify build/demo/demo.onnx build/demo/demo.tflite build/demo/demo.edge --reference runs/demo',
    'dgconv verify build/demo/demo.onnx build/demo/demo.edge',
  ]);
};
