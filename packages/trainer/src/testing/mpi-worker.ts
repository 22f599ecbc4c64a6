// One of the processes that mpi.test.ts starts: `mpi-worker.js MODE [FOLDER DATA]`. Process 0 prints results as JSON.
import { createHash } from 'node:crypto';
import { type Graph, GraphBuilder, initialWeights, learnGroups, mapSource, RandomSource } from '@dgconv/core';
import { useBackend } from '../backends.js';
import { alone } from '../distributed/communicator.js';
import { openMpi } from '../distributed/mpi.js';
import * as tf from '../tf.js';
import { budgetOf } from '../training/budget.js';
import { Learner } from '../training/learner.js';
import { defaultRecipe } from '../training/recipe.js';
import { train } from '../training/train.js';
import { spotter } from './spots.js';

const [mode, folder = '', data = ''] = process.argv.slice(2);
const communicator = openMpi();
const { rank, size } = communicator;

/** The same for equal bits. */
const digest = (values: Iterable<Float32Array>): number => {
  const hash = createHash('sha256');
  for (const array of values) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return hash.digest().readUInt32LE(0);
};

/** A number of each process, in their order. */
const gather = (value: number): number[] => {
  const all = new Float64Array(size);
  all[rank] = value;
  communicator.sum(all);
  return [...all];
};

const show = (result: object): void => {
  if (rank === 0) process.stdout.write(`${JSON.stringify(result)}\n`);
};

/** Two learned convolutions; nothing in it looks at a whole batch or is random. */
function plainNetwork(): Graph {
  const g = new GraphBuilder({ name: 'plain' });
  let x = g.conv('stem', g.input('x', [1, 8, 8, 1]), { channelsOut: 8, kernelSize: 3, stride: 2, bias: true });
  for (const id of ['a', 'b']) x = g.relu(`${id}.relu`, g.conv(id, x, { channelsOut: 8, kernelSize: 3, bias: true }));
  const y = g.dense('fc', g.globalAveragePool('gap', x), 3);
  return learnGroups(g.build([{ name: 'y', value: y }]), { rule: 'dgconv', select: 'a,b', weights: 'new' });
}

/** Steps on halves of batches over MPI, and on whole ones alone: what comes out, and how far it is apart. */
function compareSteps(): object {
  const graph = plainNetwork();
  const model = { graph, weights: mapSource(initialWeights(graph, 5)) };
  const budget = budgetOf(graph, { kind: 'b', value: 4 });
  const batchSize = 4 * size;
  const random = new RandomSource(9);
  const learners = [new Learner(model, budget, defaultRecipe(batchSize), 1, communicator), new Learner(model, budget, defaultRecipe(batchSize), 1, alone)] as const; // prettier-ignore
  const losses: number[][] = [];
  for (let step = 0; step < 5; step++) {
    const pixels = Float32Array.from({ length: batchSize * 64 }, () => random.normal());
    const labels = Uint16Array.from({ length: batchSize }, () => random.below(3));
    const cut = (from: number, to: number) => ({
      images: tf.tensor4d(pixels.slice(64 * from, 64 * to), [to - from, 8, 8, 1]),
      labels: labels.slice(from, to),
    });
    const own = learners[0].step(cut(4 * rank, 4 * rank + 4), 0.05);
    const whole = learners[1].step(cut(0, batchSize), 0.05);
    losses.push([own.loss, whole.loss, own.correct - whole.correct]);
  }
  const values = learners.map((learner) => learner.network.parameters.map(({ variable }) => Float32Array.from(variable.dataSync()))); // prettier-ignore
  const distances = values[0]!.map((array, at) => Math.max(...array.map((value, index) => Math.abs(value - values[1]![at]![index]!)))); // prettier-ignore
  return {
    weights: gather(digest(values[0]!)),
    gates: gather(digest(learners[0].gates.values.values())),
    moved: learners[0].gates.snapshot(),
    apart: Math.max(...distances),
    losses,
  };
}

const options = {
  graph: spotter(),
  learn: { rule: 'dgconv' },
  data,
  budget: { kind: 'b', value: 4 },
  epochs: 4,
  batchSize: 20,
  backend: 'cpu',
  out: folder,
  seed: 3,
  recipe: { learningRate: 0.05 },
  communicator,
} as const;

await useBackend('cpu');
switch (mode) {
  case 'collectives': {
    const mean = Float32Array.from({ length: 7 }, (_, at) => at + rank);
    communicator.average(mean);
    const sum = Float64Array.of(rank + 1, 10);
    communicator.sum(sum);
    const bytes = new Uint8Array(3).fill(rank === 0 ? 7 : 1);
    communicator.broadcast(bytes);
    show({ size, mean: [...mean], sum: [...sum], bytes: gather(bytes[2]!) });
    break;
  }
  case 'steps': {
    const result = compareSteps();
    show(result);
    break;
  }
  case 'train':
    show(await train({ ...options, resume: process.argv[5] === 'resume' }));
    break;
  case 'stop': {
    const controller = new AbortController();
    // Another process than the first is told to stop.
    const onProgress = ({ step }: { step: number }) => void (rank === size - 1 && step === 20 && controller.abort());
    await train({ ...options, signal: controller.signal, onProgress });
    break;
  }
  case 'die':
    // The last process goes away without a word.
    await train({ ...options, onProgress: ({ step }) => void (rank === size - 1 && step === 20 && process.kill(process.pid, 'SIGKILL')) }); // prettier-ignore
    break;
  case 'fail':
    await train({ ...options, ...(rank === size - 1 && { data: 'idx:absent' }) });
    break;
}
