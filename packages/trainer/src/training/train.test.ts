import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  convolutionShapes,
  GraphBuilder,
  hardGrouping,
  initialWeights,
  interpret,
  learnGroups,
  mapSource,
  readModel,
} from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import test from 'ava';
import fc from 'fast-check';
import { findBackends, useBackend } from '../backends.js';
import * as tf from '../tf.js';
import { spots, spotter } from '../testing/spots.js';
import { Learner } from './learner.js';
import { defaultRecipe } from './recipe.js';
import type { EpochMetrics, GateRecord } from './run-directory.js';
import { learningRateAt, projectionRounds } from './schedules.js';
import { train, type TrainOptions } from './train.js';

const { available } = await findBackends();

const data = `idx:${spots()}`;

const options = (out: string, changes: Partial<TrainOptions> = {}): TrainOptions => ({
  graph: spotter(),
  learn: { rule: 'dgconv' },
  data,
  budget: { kind: 'b', value: 4 },
  epochs: 4,
  batchSize: 20,
  backend: 'cpu',
  out,
  seed: 3,
  recipe: { learningRate: 0.05 },
  ...changes,
});

const folder = () => mkdtempSync(join(tmpdir(), 'dgconv-run-'));

const jsonLines = <Line>(path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

for (const backend of available) {
  test.serial(`on ${backend} training learns, moves the gates and ends within the budget`, async (t) => {
    const out = folder();
    const steps: number[] = [];
    const result = await train(options(out, { backend, onProgress: ({ step }) => steps.push(step) }));
    t.true(result.testAccuracy > 0.9, `test accuracy ${result.testAccuracy}`);
    t.is(result.budget, 48);
    t.true(result.zeta <= 48 && result.budgetMet!);
    t.deepEqual([result.out, result.backend, result.epochs], [out, backend, 4]);
    t.is(steps.length, 11 * 4 + 1);
    const metrics = jsonLines<EpochMetrics>(join(out, 'metrics.jsonl'));
    t.deepEqual(
      metrics.map(({ epoch }) => epoch),
      [1, 2, 3, 4],
    );
    t.is(metrics[3]!.testAccuracy, result.testAccuracy);
    t.true(metrics.slice(0, 3).every((line) => line.testAccuracy === undefined));
    t.true(metrics[3]!.loss < metrics[0]!.loss);
    const gates = jsonLines<GateRecord>(join(out, 'gates.jsonl'));
    t.deepEqual(Object.keys(gates[0]!.gates), ['a.conv', 'b.conv', 'c.conv']);
    t.true(
      Object.values(gates[0]!.gates)
        .flat()
        .every((gate) => Math.abs(Math.abs(gate) - 1e-8) < 1e-14),
    );
    t.true(
      Object.values(gates.at(-1)!.gates)
        .flat()
        .every((gate) => Math.abs(gate) > 1e-8),
    );
    t.true(readdirSync(out).some((name) => name.startsWith('events.out.tfevents.')));
  });
}

test.serial(
  'the saved model has the accuracy that is claimed, says how to feed it and what its classes are',
  async (t) => {
    const out = folder();
    const { testAccuracy, zeta } = await train(options(out));
    const model = readModel(openByteSource(join(out, 'model.safetensors')));
    t.deepEqual(model.graph.metadata.classNames, ['0', '1', '2']);
    t.regex(model.graph.metadata.producer!, /^dgconv \d/);
    const { mean, standardDeviation, colour } = model.graph.metadata.preprocessing!;
    t.is(colour, 'grey');
    const images = readFileSync(join(data.slice(4), 't10k-images-idx3-ubyte')).subarray(16);
    const labels = readFileSync(join(data.slice(4), 't10k-labels-idx1-ubyte')).subarray(8);
    const x = Float32Array.from(images, (value) => (value / 255 - mean[0]!) / standardDeviation[0]!);
    const { logits } = interpret(model, { x }, { batch: 60 });
    const right = labels.filter((label, n) => {
      const row = logits!.subarray(3 * n, 3 * n + 3);
      return row.indexOf(Math.max(...row)) === label;
    });
    t.is(right.length / 60, testAccuracy);
    const connections = model.graph.nodes.reduce((sum, node) => {
      if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'learned') return sum;
      return sum + 64 / hardGrouping(node, model.weights).groups;
    }, 0);
    t.is(connections, zeta);
  },
);

test.serial('auto picks an engine that is here, a fast one if there is any', async (t) => {
  const { backend } = await train(options(folder(), { backend: 'auto', epochs: 1 }));
  const fast = available.filter((name) => name === 'dgconv' || name === 'tensorflow');
  t.true((fast.length > 0 ? fast : available).includes(backend), backend);
});

test.serial('a step leaves no tensors behind', async (t) => {
  await useBackend('cpu');
  const graph = learnGroups(spotter(), { rule: 'dgconv', weights: 'new' });
  const before = tf.memory().numTensors;
  const learner = new Learner({ graph, weights: mapSource(initialWeights(graph, 1)) }, null, defaultRecipe(2), 1);
  const batch = { images: tf.zeros<tf.Rank.R4>([2, 8, 8, 1]), labels: Uint16Array.of(0, 1) };
  learner.step(batch, 0.1);
  const after = tf.memory().numTensors;
  learner.step(batch, 0.1);
  learner.score(batch, 'running');
  t.is(tf.memory().numTensors, after);
  batch.images.dispose();
  learner.dispose();
  t.is(tf.memory().numTensors, before);
});

test.serial('the same seed gives the same run, another seed another one', async (t) => {
  const runs = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const out = folder();
      await train(options(out, { seed, epochs: 1 }));
      return readFileSync(join(out, 'model.safetensors'));
    }),
  );
  t.deepEqual(runs[0], runs[1]);
  t.notDeepEqual(runs[0], runs[2]);
});

test.serial('a run that was stopped goes on to the bit', async (t) => {
  const whole = folder();
  await train(options(whole));
  for (const stopAt of [7, 20, 30]) {
    const out = folder();
    const controller = new AbortController();
    const stop = {
      signal: controller.signal,
      onProgress: ({ step }: { step: number }) => void (step === stopAt && controller.abort()),
    };
    await t.throwsAsync(() => train(options(out, stop)), {
      name: 'InvalidInputError',
      message: /stopped after step \d+ of 44; it can be resumed/,
    });
    t.false(existsSync(join(out, 'model.safetensors')));
    await train(options(out, { resume: true }));
    for (const name of ['model.safetensors', 'gates.jsonl']) {
      t.deepEqual(readFileSync(join(out, name)), readFileSync(join(whole, name)), `${name} after a stop at ${stopAt}`);
    }
    const plain = (path: string) =>
      jsonLines<EpochMetrics>(join(path, 'metrics.jsonl')).map((line) => ({ ...line, seconds: 0 }));
    t.deepEqual(plain(out), plain(whole));
  }
  await t.throwsAsync(() => train(options(whole, { resume: true, seed: 9 })), {
    message: /cannot be resumed: 'seed' was 3, and is 9 now/,
  });
  await t.throwsAsync(() => train(options(whole, { resume: true })), {
    message: /is complete, there is nothing to resume/,
  });
  await t.throwsAsync(() => train(options(folder(), { resume: true })), {
    name: 'InvalidInputError',
    message: /run\.json/,
  });
});

test.serial('a damaged checkpoint is refused in one sentence, whatever is damaged', async (t) => {
  const out = folder();
  const controller = new AbortController();
  const stopped = options(out, { signal: controller.signal, onProgress: () => controller.abort() });
  await t.throwsAsync(() => train(stopped), { message: /can be resumed/ });
  const path = join(out, 'checkpoints', 'latest.safetensors');
  const whole = readFileSync(path);
  const headerLength = Number(whole.readBigUInt64LE(0));
  const position = whole.indexOf('dgconv.training');
  await fc.assert(
    fc.asyncProperty(
      fc.nat(headerLength - position),
      fc.nat(255),
      fc.option(fc.nat(whole.length)),
      async (at, value, cut) => {
        const bytes = Buffer.from(whole.subarray(0, cut ?? whole.length));
        if (position + at < bytes.length) bytes[position + at] = value;
        writeFileSync(path, bytes);
        const again = new AbortController();
        again.abort();
        const error = await t.throwsAsync(() => train(options(out, { resume: true, signal: again.signal })));
        t.is(error.name, 'InvalidInputError', error.stack!);
      },
    ),
    { numRuns: 60, seed: 1 },
  );
});

/** A table for {@link spotter} in which more groups are faster up to 4, and 8 are slower than 2; with 1 ms for the rest. */
function latencyFile(ms: Readonly<Record<number, number>>): string {
  const entries = convolutionShapes(spotter()).flatMap(({ shape }) => {
    const groups = shape.channelsIn === 8 ? Object.entries(ms) : [[1, 0.5] as const];
    return groups.map(([count, time]) => ({ ...shape, groups: Number(count), ms: time }));
  });
  // Three projections of 1×1 and three convolutions of 3×3, of the same channels and pixels.
  const unique = new Map(entries.map((entry) => [JSON.stringify(entry), entry]));
  const file = join(folder(), 'latency.json');
  const networks = [{ name: 'spotter', ms: 30, restMs: 1 }];
  writeFileSync(file, JSON.stringify({ cpu: 'a CPU', threads: 1, networks, entries: [...unique.values()] }));
  return file;
}

test.serial('a budget of measured milliseconds is met, whatever shape the times have', async (t) => {
  // Fixed: the rest 1, the stem 0.5, three projections of 4; the three learned layers at most 4 in sum.
  const times = { 1: 4, 2: 2.5, 4: 1, 8: 3 };
  const latencyTable = latencyFile(times);
  const out = folder();
  const result = await train(options(out, { budget: { kind: 'ms', value: 17.5 }, latencyTable }));
  t.like(result, { budget: 17.5, budgetMet: true });
  const model = readModel(openByteSource(join(out, 'model.safetensors')));
  const learned = model.graph.nodes.flatMap((node) =>
    node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned' ? hardGrouping(node, model.weights).groups : [],
  );
  const cost = learned.reduce((sum, groups) => sum + times[groups as keyof typeof times], 13.5);
  t.is(result.cost, cost);
  t.true(cost <= 17.5);
  const record = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as { latencies: object };
  t.deepEqual(record.latencies, { fixed: 13.5, layers: { 'a.conv': times, 'b.conv': times, 'c.conv': times } });
  const again = { budget: { kind: 'ms' as const, value: 17.5 }, resume: true };
  await t.throwsAsync(() => train(options(out, { ...again, latencyTable: latencyFile({ ...times, 8: 2 }) })), {
    message: /cannot be resumed: 'latencies' was/,
  });
  await t.throwsAsync(() => train(options(folder(), { budget: { kind: 'ms', value: 16 }, latencyTable })), {
    name: 'InvalidInputError',
    message: /spotter takes 16\.5 at its fastest/,
  });
});

test.serial('FLGC and CondenseNet train to their own structures', async (t) => {
  const flgc = folder();
  await train(options(flgc, { learn: { rule: 'flgc', groups: 2 }, budget: null }));
  const grouped = readModel(openByteSource(join(flgc, 'model.safetensors')));
  t.true(existsSync(join(flgc, 'metrics.jsonl')));
  for (const node of grouped.graph.nodes) {
    if (node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned')
      t.true(hardGrouping(node, grouped.weights).groups <= 4);
  }
  const condensed = folder();
  const result = await train(options(condensed, { learn: { rule: 'condense', groups: 2 }, budget: null }));
  t.deepEqual([result.budget, result.budgetMet], [null, null]);
  const model = readModel(openByteSource(join(condensed, 'model.safetensors')));
  for (const node of model.graph.nodes) {
    if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'learned') continue;
    const mask = model.weights.read(`${node.id}._mask`);
    t.is(
      mask.reduce((sum, value) => sum + value, 0),
      mask.length / 2,
      node.id,
    );
  }
});

test.serial('a trained run is where another one starts', async (t) => {
  const first = folder();
  const before = await train(options(first));
  const { graph, weights } = readModel(openByteSource(join(first, 'model.safetensors')));
  const after = await train(options(folder(), { graph, weights, learn: null, epochs: 1, recipe: { learningRate: 0 } }));
  t.is(after.testAccuracy, before.testAccuracy);
  t.is(after.zeta, before.zeta);
});

test.serial('what cannot be trained is refused in one sentence', async (t) => {
  const refuse = (changes: Partial<TrainOptions>, message: RegExp, name = 'InvalidInputError') =>
    t.throwsAsync(() => train(options(folder(), changes)), { name, message });
  await refuse({ epochs: 0 }, /epochs is 0/, 'UsageError');
  await refuse({ limit: 1 }, /at least 2 images/);
  await refuse({ data: 'mnist' }, /mnist are 28 × 28 × 1, the network takes 8 × 8 × 1/);
  await refuse({ recipe: { learningRate: 1e9 } }, /training diverged/);
  const learnable = learnGroups(spotter(), { rule: 'dgconv', weights: 'new' });
  const weights = initialWeights(learnable, 1);
  weights.get('b.conv.gate')!.values[1] = NaN;
  await refuse(
    { graph: learnable, weights: mapSource(weights), learn: null },
    /node 'b\.conv' \(conv2d, dgconv\): gate 1 is NaN/,
  );
  const file = join(folder(), 'file');
  writeFileSync(file, '');
  await refuse({ out: join(file, 'run') }, /the run directory cannot be made/);
  const g = new GraphBuilder({ name: 'narrow' });
  const y = g.dense(
    'fc',
    g.globalAveragePool('gap', g.conv('conv', g.input('x', [1, 8, 8, 1]), { channelsOut: 4, kernelSize: 3 })),
    2,
  );
  await refuse(
    { graph: g.build([{ name: 'y', value: y }]), learn: null, budget: null },
    /puts out \[1, 2\], .* has 3 classes/,
  );
});

test('the learning rate rises, then falls to 0', (t) => {
  const rates = Array.from({ length: 100 }, (_, step) => learningRateAt(step, 100, 1, 10));
  t.true(Math.abs(rates[0]! - 0.1) < 1e-12);
  t.is(rates[10], 1);
  t.true(rates.slice(11).every((rate, at) => rate < rates[10 + at]!));
  t.is(learningRateAt(100, 100, 1, 10), 0);
});

test('projection rounds leave equal factors and end at the limit', (t) => {
  t.deepEqual(projectionRounds(10, 16, 4), [
    { step: 10, share: 1 / 4 },
    { step: 12, share: 1 / 3 },
    { step: 14, share: 1 / 2 },
    { step: 16, share: 1 },
  ]);
});
