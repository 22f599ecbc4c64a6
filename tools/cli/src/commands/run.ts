import { InvalidInputError, type Layout } from '@dgconv/core';
import { convertLayout, isNpy, readNpy, runtimeNames, writeNpy, type RuntimeName } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { formatOf, readArtifactMetadata } from '../artifacts.js';
import { runBatch, shapeInOrder, toBatch } from '../batch.js';
import { readImage } from '../files/image.js';
import { failNaming, readBytes } from '../files/read.js';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { integer, withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { loadRuntime } from '../runtimes.js';
import { createConsole } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';
import { topClasses } from '../top-classes.js';

interface RunOptions extends CommonOptions {
  readonly input: string;
  readonly layout?: 'nchw' | 'nhwc';
  readonly top?: number;
  readonly output?: string;
  readonly runtime?: RuntimeName;
  readonly threads: number;
  readonly force?: boolean;
}

/** `y.npy` for the first output, `y.NAME.npy` for further ones. */
const outputFile = (file: string, name: string, at: number): string =>
  at === 0 ? file : `${file.replace(/\.npy$/, '')}.${name.replaceAll('/', '_')}.npy`;

/** What belongs to the first of `count` images. */
const firstImage = (data: Float32Array, count: number): Float32Array => data.subarray(0, data.length / count);

const run = async (file: string, options: RunOptions): Promise<void> => {
  const console = createConsole(options);
  const format = formatOf(file);
  if (options.output !== undefined) refuseOverwrite([options.output], options.force ?? false);
  const runtime = await loadRuntime(options.runtime, format);
  const bytes = readBytes(file);
  const inputBytes = readBytes(options.input);
  const session = await runtime.load(bytes, { threads: options.threads }).catch(failNaming(file));
  try {
    const [spec] = session.inputs;
    if (spec === undefined || session.inputs.length > 1)
      throw new InvalidInputError(`${file} has ${session.inputs.length} inputs; run takes models with one`);
    const metadata = readArtifactMetadata(format, bytes);
    const isImage = !isNpy(inputBytes);
    const layout = (options.layout?.toUpperCase() ?? spec.layout) as Layout;
    if (isImage && metadata.preprocessing === undefined)
      throw new InvalidInputError(
        `${options.input} is no .npy array, and ${file} does not say how an image is prepared for it`,
      );
    const input = { name: spec.name, shape: shapeInOrder(spec.shape, spec.layout, 'NHWC') };
    const array = isImage
      ? await readImage(inputBytes, options.input, input.shape, metadata.preprocessing!)
      : readNpy(inputBytes, options.input);
    const batch = toBatch(array, input, isImage ? 'NHWC' : layout, options.input);

    const progress = console.progress('run', batch.count);
    const startedAt = performance.now();
    const results = await runBatch(session, spec.name, batch, (done) => progress.update(done));
    const ms = performance.now() - startedAt;
    progress.stop();
    const outputs = results.map((result) => ({
      name: result.name,
      ...convertLayout(result, 'NHWC', options.layout === undefined ? result.layout : layout),
    }));

    const { output } = options;
    if (output !== undefined)
      writeFiles(Object.fromEntries(outputs.map((each, at) => [outputFile(output, each.name, at), writeNpy(each)])));
    const top =
      isImage || options.top !== undefined
        ? topClasses(firstImage(outputs[0]!.data, batch.count), options.top ?? 5, metadata.classNames)
        : undefined;
    console.say(`${runtime.name}, ${ms.toFixed(2)} ms`);
    for (const { name, shape } of outputs) console.say(`${name} [${shape.join(', ')}]`);
    if (top !== undefined) {
      const rows = top.map((entry) => [entry.class, entry.index, entry.score.toFixed(4)]);
      console.say(formatTable(['class', 'index', 'score'], rows));
    }
    console.result({
      runtime: runtime.name,
      outputs: outputs.map(({ name, shape }) => ({ name, shape })),
      ms,
      ...(top === undefined ? {} : { top }),
    });
  } finally {
    await session.dispose();
  }
};

/** `dgconv run`: inference of one file on an array or an image. */
export const addRunCommand = (program: Command): void => {
  const command = program
    .command('run <file>')
    .description('run a model on an array or an image')
    .requiredOption('--input <file>', 'array (.npy, any batch) or image (PNG, JPEG)')
    .addOption(
      new Option('--layout <layout>', 'dimension order of the arrays (default: as the model declares)').choices([
        'nchw',
        'nhwc',
      ]),
    )
    .option('--top <k>', 'the K best classes of the first image', integer(1))
    .option('--output <file>', 'where to write the result (.npy)')
    .addOption(
      new Option('--runtime <name>', 'default: edge for .edge, ort for .onnx, litert for .tflite').choices(
        runtimeNames,
      ),
    )
    .option('--threads <n>', 'threads of the runtime', integer(1, 256), 1)
    .option('--force', 'overwrite the output');
  withCommonOptions(command).action(run);
  withExamples(command, [
    'dgconv run build/demo/demo.edge --input "$(ls runs/demo/samples/*.png | head -n 1)" --top 3',
    'dgconv run build/demo/demo.onnx --input x.npy --output y.npy --layout nchw',
  ]);
};
