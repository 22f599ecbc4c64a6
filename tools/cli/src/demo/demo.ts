import { bench, type BenchModel } from '@dgconv/bench';
import { compile, emitOnnx, emitters, testInputs } from '@dgconv/compiler';
import { type Model, type Preprocessing, zooGraph } from '@dgconv/core';
import { renderRunReport } from '@dgconv/report';
import { modelFormats, ortRuntime, runtimes, type ModelFormat, type Runtime } from '@dgconv/runtimes';
import { openDataSet, train } from '@dgconv/trainer';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { denseForm } from '../dense-form.js';
import { readRunReport, type Measurements } from '../run-report-data.js';
import { writeFiles } from '../files/write.js';
import { loadRuntime } from '../runtimes.js';
import { openSource } from '../sources.js';
import { paint } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';
import { trainingNote } from '../terminal/training-note.js';
import { interpretedOnce, verifyArtifacts } from '../verify-artifacts.js';
import { checkPromises, type Promised } from './promises.js';
import { pickSamples } from './samples.js';
import { StageProgress } from './stage-progress.js';

const model = 'g_resnet_mnist';
const recipe = { data: 'mnist', budget: { kind: 'b', value: 8 }, epochs: 4, batchSize: 64, seed: 2 } as const;
const command = `dgconv train --model ${model} --data ${recipe.data} --budget b=${recipe.budget.value} --epochs ${recipe.epochs} --batch-size ${recipe.batchSize} --seed ${recipe.seed}`;

const stages = [
  { name: 'train', seconds: 90 },
  { name: 'compile', seconds: 1 },
  { name: 'verify', seconds: 3 },
  { name: 'measure', seconds: 8 },
  { name: 'report', seconds: 3 },
];

/** Where the demo leaves its files. */
export interface DemoPlaces {
  /** The run directory. */
  readonly run: string;
  /** `demo.onnx`, `demo.tflite`, `demo.edge`, `demo.compile.json`. */
  readonly build: string;
  /** Only the first so many images, for tests: the accuracy that the demo promises needs all. */
  readonly limit?: number;
}

/** What a network sees of one image. */
const normalise = (image: Uint8Array, { mean, standardDeviation }: Preprocessing): Float32Array =>
  Float32Array.from(image, (value) => (value / 255 - mean[0]!) / standardDeviation[0]!);

/** Our files beside the masked-dense network, which ONNX Runtime would run without a compiler, in one interleaved measurement. */
const measure = async (
  bytes: Readonly<Record<ModelFormat, Uint8Array>>,
  dense: Uint8Array,
  onProgress: (share: number) => void,
): Promise<Measurements['latency']> => {
  const present: { runtime: Runtime; name: string; bytes: Uint8Array }[] = [];
  for (const runtime of runtimes)
    if (runtime.name !== 'edge-arm64' && (await runtime.whyUnavailable()) === null)
      present.push({ runtime: { ...runtime }, name: 'after', bytes: bytes[runtime.formats[0]!] });
  if ((await ortRuntime.whyUnavailable()) === null)
    present.push({ runtime: { ...ortRuntime }, name: 'before (masked dense)', bytes: dense });
  const subject: BenchModel = {
    name: 'demo',
    macs: null,
    executedMacs: null,
    bytesFor: (runtime) => present.find((entry) => entry.runtime === runtime)!.bytes,
  };
  const { rows } = await bench([subject], {
    runtimes: present.map(({ runtime }) => runtime),
    threads: 1,
    warmup: 20,
    rounds: 300,
    onProgress: (done, total) => onProgress(done / total),
  });
  return rows.map(({ runtime, medianMs, minMs, maxMs }, at) => ({
    name: present[at]!.name,
    runtime,
    medianMs,
    minMs,
    maxMs,
  }));
};

/**
 * The whole path on real MNIST: learn the groups, compile, verify in every engine, measure, report.
 * @returns what was promised and what was found.
 */
export const runDemo = async ({
  run,
  build,
  limit,
}: DemoPlaces): Promise<{ promises: Promised[]; seconds: number }> => {
  const progress = new StageProgress(stages);
  // Everything below is made anew; whatever else lies in these folders stays.
  for (const stale of ['report.html', 'measurements.json', 'samples'])
    rmSync(join(run, stale), { recursive: true, force: true });

  progress.update('train', 0);
  const training = await train({
    ...recipe,
    graph: zooGraph(model),
    backend: 'auto',
    out: run,
    limit: limit ?? null,
    command,
    onProgress: (state) => progress.update('train', state.step / state.steps, trainingNote(state)),
  });

  progress.update('compile', 0);
  const trained = openSource(run, {});
  const compiled = compile(trained, { formats: modelFormats });
  const bytes = Object.fromEntries(
    modelFormats.map((format) => [format, emitters[format](compiled.targets[format]!)]),
  ) as Record<ModelFormat, Uint8Array>;
  const files = Object.fromEntries(modelFormats.map((format) => [format, join(build, `demo.${format}`)])) as Record<
    ModelFormat,
    string
  >;
  const { layers, shufflesLeft, macsBefore, macsAfter, paramsBefore, paramsAfter, zeta } = compiled;
  const document = {
    artifacts: modelFormats.map((format) => ({ format, path: files[format], bytes: bytes[format].length })),
    ...{ layers, shufflesLeft, macsBefore, macsAfter, paramsBefore, paramsAfter, zeta },
  };
  writeFiles({
    ...Object.fromEntries(modelFormats.map((format) => [files[format], bytes[format]])),
    [join(build, 'demo.compile.json')]: `${JSON.stringify(document, null, 2)}\n`,
  });

  progress.update('verify', 0);
  const artifacts = modelFormats.map((format) => ({ file: files[format], format, bytes: bytes[format] }));
  const verifications = await verifyArtifacts(artifacts, interpretedOnce(trained), testInputs(trained.graph), 1);

  progress.update('measure', 0);
  const dense = emitOnnx(denseForm(compiled.targets.onnx!));
  const latency = await measure(bytes, dense, (share) => progress.update('measure', share));

  progress.update('report', 0);
  await writeSamples(run, trained, bytes.edge);
  const measurements: Measurements = {
    files: modelFormats.map((format) => ({ format, bytes: bytes[format].length })),
    latency,
    equivalence: verifications.map(({ maxAbsError, maxRelError, ...rest }) => ({
      ...rest,
      ...(maxAbsError === null || maxRelError === null ? {} : { maxAbsError, maxRelError }),
    })),
  };
  writeFiles({ [join(run, 'measurements.json')]: `${JSON.stringify(measurements, null, 2)}\n` });
  const data = readRunReport(run);
  writeFiles({ [join(run, 'report.html')]: renderRunReport({ ...data, command: 'npm run demo' }) });
  const seconds = progress.elapsed;
  progress.stop();
  const promises = checkPromises({
    training,
    gates: data.gateHistory,
    layers: data.layers,
    compiled,
    files,
    verifications,
  });
  return { promises, seconds };
};

/** A picture of each digit that the compiled network recognises, to try it on. */
const writeSamples = async (run: string, { graph }: Model, edge: Uint8Array): Promise<void> => {
  const { height, width, classNames, test } = await openDataSet(recipe.data, [28, 28, 1]);
  const session = await (await loadRuntime(undefined, 'edge')).load(edge);
  const [input, output] = [graph.inputs[0]!.name, graph.outputs[0]!.name];
  const samples = await pickSamples(test, [height, width], classNames.length, async (image, label) => {
    const { data } = (await session.run({ [input]: normalise(image, graph.metadata.preprocessing!) }))[output]!;
    return data.indexOf(Math.max(...data)) === label;
  });
  await session.dispose();
  writeFiles(Object.fromEntries(samples.map(({ file, png }) => [join(run, 'samples', file), png])));
};

/** `npm run demo`: runs the demo and shows what was promised. @returns the exit code. */
export const demoMain = async (places: DemoPlaces): Promise<number> => {
  const { promises, seconds } = await runDemo(places);
  const rows = promises.map(({ what, found, holds }) => [holds ? '✓' : '✗', what, found]);
  process.stderr.write(`${formatTable(['', 'promised', 'found'], rows)}\n`);
  process.stderr.write(`\n${seconds.toFixed(0)} s in all. The report: ${join(places.run, 'report.html')}\n`);
  process.stderr.write(
    `Try it: npx dgconv run ${join(places.build, 'demo.edge')} --input ${join(places.run, 'samples')}/….png --top 3\n`,
  );
  const broken = promises.filter(({ holds }) => !holds);
  if (broken.length > 0) process.stderr.write(paint('red', `${broken.length} promises do not hold\n`));
  return broken.length === 0 ? 0 : 1;
};
