import {
  compile,
  emitters,
  targets,
  testInputs,
  xnnpackReport,
  type CompileResult,
  type DelegateReport,
  type PredictedTime,
  type Shuffle,
  type Target,
} from '@dgconv/compiler';
import { CheckFailedError, type Graph, type Model } from '@dgconv/core';
import { modelFormats, type ModelFormat } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { basename, extname, join, resolve } from 'node:path';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { formatPassDump } from '../pass-dump.js';
import { importSource } from '../sources.js';
import {
  listOf,
  numberFrom,
  withCommonOptions,
  withExamples,
  withSourceOptions,
  type CommonOptions,
  type SourceOptions,
} from '../options.js';
import { createConsole, paint } from '../terminal/console.js';
import { formatBytes, formatCount, formatTable } from '../terminal/table.js';
import { type Artifact, interpretedOnce, ranOnce, type Verification, verifyArtifacts } from '../verify-artifacts.js';

interface CompileOptions extends CommonOptions, SourceOptions {
  readonly target: Target;
  readonly to: readonly ModelFormat[];
  readonly out: string;
  readonly name?: string;
  readonly maskThreshold?: number;
  readonly dumpPassesTo?: string;
  readonly force?: boolean;
}

/** Networks of at most this many multiply-adds are interpreted before they are written; larger ones run once in our engine. */
const interpretedMacs = 5e8;
/** Networks of more weights are not run at all: their dense form would not be held beside the compiled ones. */
const checkedWeights = 2 ** 28;

/** `runs/demo` → `demo`, `x/y.pth` → `y`, `x/y.pth.tar` → `y`. */
const nameOf = (input: string): string =>
  basename(resolve(input.replace(/\.tar$/, '')), extname(input.replace(/\.tar$/, ''))).replaceAll(/[^\w.-]/g, '_');

const compileCommand = async (input: string, options: CompileOptions): Promise<void> => {
  const console = createConsole(options);
  const name = options.name ?? nameOf(input);
  const paths = Object.fromEntries(options.to.map((format) => [format, join(options.out, `${name}.${format}`)]));
  const documentPath = join(options.out, `${name}.compile.json`);
  refuseOverwrite([...Object.values(paths), documentPath], options.force ?? false);
  const { model, masks } = importSource(input, options, options.maskThreshold);
  const dumps: Record<string, string> = {};
  const progress = console.progress('compile', 2 + options.to.length);
  const result = compile(model, {
    formats: options.to,
    target: options.target,
    observe: (format, { name: pass, before, after }) => {
      progress.update(0, `${format ?? 'all formats'}: ${pass}`);
      if (options.dumpPassesTo !== undefined) addDump(dumps, options.dumpPassesTo, format, pass, before, after);
    },
  });
  const bytes = Object.fromEntries(
    options.to.map((format, at) => {
      progress.update(1 + at, `writing .${format}`);
      return [format, emitters[format](result.targets[format]!)];
    }),
  );
  const artifacts = options.to.map((format) => ({ file: paths[format]!, format, bytes: bytes[format]! }));
  progress.update(1 + options.to.length, 'comparing with the source');
  const verifications = await compared(model, result, artifacts).finally(() => progress.stop());
  const wrong = verifications.find(({ ok }) => !ok);
  if (wrong !== undefined)
    throw new CheckFailedError(
      `${wrong.artifact} would differ from ${input} by ${wrong.maxRelError} of the largest output in ${wrong.runtime}; nothing was written`,
    );
  const xnnpack = bytes.tflite === undefined ? null : xnnpackReport(bytes.tflite);
  const document = {
    artifacts: options.to.map((format) => ({ format, path: paths[format]!, bytes: bytes[format]!.length })),
    layers: result.layers,
    shufflesLeft: result.shufflesLeft,
    shuffles: result.shuffles,
    target: options.target,
    predicted: result.predicted,
    macsBefore: result.macsBefore,
    macsAfter: result.macsAfter,
    paramsBefore: result.paramsBefore,
    paramsAfter: result.paramsAfter,
    zeta: result.zeta,
    masks,
    ...(xnnpack === null ? {} : { delegates: { xnnpack } }),
  };
  writeFiles({
    ...Object.fromEntries(options.to.map((format) => [paths[format]!, bytes[format]!])),
    [documentPath]: `${JSON.stringify(document, null, 2)}\n`,
    ...dumps,
  });
  console.say(
    formatTable(
      [
        'layer',
        'grouping',
        'groups',
        'channels',
        'MACs before',
        'after',
        ...options.to.map((format) => `${format} time`),
      ],
      result.layers.map((layer) => [
        layer.name,
        layer.grouping,
        layer.groups,
        `${layer.channelsIn} → ${layer.channelsOut}`,
        formatCount(layer.macsBefore),
        formatCount(layer.macsAfter),
        ...options.to.map((format) => formatShare(layer.predicted[format]!)),
      ]),
    ),
  );
  const saved = 1 - result.macsAfter / result.macsBefore;
  console.say(
    `\nMACs ${formatCount(result.macsBefore)} → ${formatCount(result.macsAfter)} (${(100 * saved).toFixed(1)} % saved), ` +
      `parameters ${formatCount(result.paramsBefore)} → ${formatCount(result.paramsAfter)}, ζ ${formatCount(result.zeta)}, ` +
      `${result.shufflesLeft} shuffles left`,
  );
  for (const format of options.to) console.say(`  ${predictionOf(format, options.target, result.predicted[format]!)}`);
  for (const format of options.to) for (const line of shuffleLines(format, result.shuffles[format]!)) console.say(line);
  for (const { format, path, bytes: size } of document.artifacts)
    console.say(`${paint('green', '✓')} ${path} (${format}, ${formatBytes(size)})`);
  if (xnnpack !== null) console.say(delegateNote(xnnpack));
  const checked = verifications.filter(({ skipped }) => skipped === undefined);
  console.say(
    checked.length === 0
      ? `not compared with ${input} (${result.paramsBefore > checkedWeights ? 'too large for a moment' : 'no runtime is present'}): dgconv verify does it`
      : `equal to ${input} on a random input in ${checked.map(({ runtime }) => runtime).join(', ')}`,
  );
  console.result(document);
};

/** Every artefact on one random input against the network that came in. */
const compared = async (
  model: Model,
  { macsBefore, paramsBefore }: CompileResult,
  artifacts: readonly Artifact[],
): Promise<Verification[]> => {
  const inputs = testInputs(model.graph).slice(-1);
  if (macsBefore <= interpretedMacs) return verifyArtifacts(artifacts, interpretedOnce(model), inputs, 1);
  if (paramsBefore > checkedWeights) return [];
  const reference = await ranOnce(model, inputs[0]!.feeds, 1);
  return verifyArtifacts(artifacts, reference, inputs, 1, { firstOnly: true });
};

/** `41 %`: the predicted time after compilation, of that before. */
const formatShare = ({ before, after, note }: PredictedTime): string =>
  before === 0 ? '' : `${((100 * after) / before).toFixed(0)} %${note === undefined ? '' : ', not faster'}`;

const predictionOf = (format: ModelFormat, target: Target, time: PredictedTime): string => {
  const where =
    target === 'generic' ? (format === 'onnx' ? 'on x64' : 'on the mean of x64, arm64 and wasm') : `on ${target}`;
  const ms =
    time.beforeMs === undefined || time.afterMs === undefined
      ? ''
      : `, ${time.beforeMs.toPrecision(3)} → ${time.afterMs.toPrecision(3)} ms where the tables were measured`;
  const note = time.note === undefined ? '' : `: ${time.note}`;
  return `${format}: predicted time of the layers ${where} ${((100 * time.after) / time.before).toFixed(0)} % of before${ms}${note}`;
};

/** Channel moves that are shown one by one; the document has them all. */
const shownShuffles = 4;

const shuffleLines = (format: ModelFormat, shuffles: readonly Shuffle[]): string[] => {
  const shown = shuffles.slice(0, shownShuffles).map(({ node, reason }) => `  ${format} keeps ${node}: ${reason}`);
  const others = shuffles.length - shown.length;
  return others === 0
    ? shown
    : [...shown, `  ${format} keeps ${others} more, for reasons that the .compile.json gives`];
};

/** How much of the TFLite file runs on LiteRT's fast path, and what does not. */
const delegateNote = ({ operations, delegated, refused }: DelegateReport): string => {
  const taken = `LiteRT's XNNPACK takes ${delegated} of the ${operations} operations of the .tflite`;
  const whats = [...new Set(refused.map(({ operator, reason }) => `${operator} (${reason})`))];
  const rest = whats.map((what) => {
    const nodes = refused.filter(({ operator, reason }) => `${operator} (${reason})` === what);
    return `${what}: ${nodes.map(({ node }) => node).join(', ')}`;
  });
  return [taken, ...rest].join('\n  not ');
};

/** `NN.pass.txt`, numbered over the shared passes and over each format's. */
const addDump = (
  dumps: Record<string, string>,
  folder: string,
  format: string | undefined,
  pass: string,
  before: Graph,
  after: Graph,
): void => {
  const directory = format === undefined ? folder : join(folder, format);
  const number = Object.keys(dumps).filter((file) => join(file, '..') === directory).length + 1;
  dumps[join(directory, `${String(number).padStart(2, '0')}.${pass}.txt`)] = formatPassDump(pass, before, after);
};

/** `dgconv compile`: a trained network into deployable files. */
export const addCompileCommand = (program: Command): void => {
  const command = program
    .command('compile <input>')
    .description('turn a run directory, checkpoint, LayersModel, ONNX or TFLite file into deployable files')
    .addOption(
      new Option('--to <formats>', 'formats to write')
        .argParser(listOf(modelFormats))
        .default([...modelFormats], 'all'),
    )
    .option('--out <folder>', 'where to write', '.')
    .option('--name <name>', "the files' name (default: the input's)")
    .addOption(
      new Option('--target <name>', 'machine that ONNX and TFLite are for').choices(targets).default('generic'),
    )
    .option('--mask-threshold <x>', 'weights of at most this size count as zeros', numberFrom(0))
    .option('--dump-passes-to <folder>', 'the graph before and after each pass')
    .option('--force', 'overwrite');
  withSourceOptions(command);
  withCommonOptions(command).action(compileCommand);
  withExamples(command, [
    'dgconv compile runs/demo --out build/example --name demo --force',
    'dgconv compile model.onnx --to edge --out build/model',
    'dgconv compile g_resnext50.pth --arch g_resnext50 --to onnx,tflite --out build/g',
  ]);
};
