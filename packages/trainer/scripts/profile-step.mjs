// Where the time of a training step goes, kernel by kernel:
//   node packages/trainer/scripts/profile-step.mjs [--model g_resnet_mnist] [--backend dgconv] [--threads 2] [--batch 64] [--steps 10] [--frozen] [--dense]
// The model `bottlenecks` (70 million multiply-adds on 28×28 pixels) is the one that other frameworks were measured on; `--dense` opens all gates.
import { parseArgs } from 'node:util';
import { graphFromArchConfig, initialWeights, mapSource, zooGraph } from '@dgconv/core';
import { setBackendThreads, tf, TrainableNetwork, useBackend } from '../build/src/index.js';
import { isTrained } from '../build/src/evaluate/trainable-network.js';
import { momentumUpdate } from '../build/src/ops/fused-kernels.js';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'bottlenecks' },
    backend: { type: 'string', default: 'dgconv' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '10' },
    frozen: { type: 'boolean', default: false },
    dense: { type: 'boolean', default: false },
    split: { type: 'boolean', default: false },
  },
});
const batch = Number(options.batch);
await useBackend(options.backend);
if (options.backend === 'dgconv') await setBackendThreads(Number(options.threads));

/** Time spent in each kernel, measured around its function; with --split by the shape of its first input. */
const times = new Map();
for (const config of tf.getKernelsForBackend(options.backend)) {
  const { kernelName, backendName, kernelFunc } = config;
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    ...config,
    kernelFunc: (call) => {
      const start = performance.now();
      const result = kernelFunc(call);
      const shapes = options.split ? Object.values(call.inputs).map(({ shape }) => `[${shape}]`) : [];
      const key = [kernelName, ...shapes.slice(0, 2)].join(' ');
      const entry = times.get(key) ?? { ms: 0, calls: 0 };
      entry.ms += performance.now() - start;
      entry.calls += 1;
      times.set(key, entry);
      return result;
    },
  });
}

const bottlenecks = {
  family: 'g_resnet',
  block: 'Bottleneck',
  layers: [2, 2, 2],
  planes: [16, 32, 64],
  groups: 32,
  width_per_group: 4,
  stem: { channels: 32, kernel_size: 3 },
  input_size: [28, 28],
  input_channels: 1,
  num_classes: 10,
};
const graph = options.model === 'bottlenecks' ? graphFromArchConfig(bottlenecks) : zooGraph(options.model);
const weights = initialWeights(graph, 1);
if (options.dense) for (const [name, { values }] of weights) if (name.endsWith('gate')) values.fill(1);
const network = new TrainableNetwork({ graph, weights: mapSource(weights) });
const trained = network.parameters.filter(({ role }) => isTrained(role) && !(options.frozen && role === 'gates'));
const variables = trained.map(({ variable }) => variable);
const velocities = variables.map((variable) => tf.zerosLike(variable));

const { name, shape } = graph.inputs[0];
const images = tf.randomUniform([batch, ...shape.slice(1)], 0, 1, 'float32', 7);
const output = graph.outputs[0].name;
const labels = tf.tensor1d(
  Array.from({ length: batch }, (_, i) => i % 10),
  'int32',
);
const mode = {
  kind: 'training',
  gates: options.frozen ? 'frozen' : 'learn',
  onBatchStatistics() {},
  random: Math.random,
};
const optimiser = { learningRate: 0.05, momentum: 0.9, weightDecay: 1e-4, nesterov: true };

function step() {
  return tf.tidy(() => {
    const loss = () => {
      const logits = network.evaluate({ [name]: images }, mode)[output];
      return tf.losses.softmaxCrossEntropy(tf.oneHot(labels, logits.shape[1]), logits);
    };
    const { value, grads } = tf.variableGrads(loss, variables);
    variables.forEach((parameter, i) => {
      const next = momentumUpdate({ parameter, gradient: grads[parameter.name], velocity: velocities[i] }, optimiser);
      parameter.assign(next.parameter);
      velocities[i].dispose();
      velocities[i] = tf.keep(next.velocity);
    });
    return value.dataSync()[0];
  });
}

const first = step();
for (let warm = 0; warm < 3; warm++) step();
times.clear();
const durations = [];
const processor = process.cpuUsage();
let last;
for (let i = 0; i < Number(options.steps); i++) {
  const start = performance.now();
  last = step();
  durations.push(performance.now() - start);
}
const { user, system } = process.cpuUsage(processor);
durations.sort((a, b) => a - b);
const perStep = (microseconds) => (microseconds / 1000 / durations.length).toFixed(1);
console.log(`${options.model} on ${options.backend}, batch ${batch}, threads ${options.threads}`);
console.log(
  `loss ${first.toFixed(3)} → ${last.toFixed(3)}, ${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB resident`,
);
console.log(`step: median ${durations[durations.length >> 1].toFixed(1)} ms, least ${durations[0].toFixed(1)} ms`);
console.log(`processor time a step: user ${perStep(user)} ms, system ${perStep(system)} ms`);
const rows = [...times].map(([kernel, { ms, calls }]) => ({
  kernel,
  ms: ms / durations.length,
  calls: calls / durations.length,
}));
rows.sort((a, b) => b.ms - a.ms);
for (const { kernel, ms, calls } of rows.slice(0, 30)) {
  console.log(`${ms.toFixed(2).padStart(9)} ms ${calls.toFixed(0).padStart(5)} calls  ${kernel}`);
}
const inKernels = rows.reduce((sum, { ms }) => sum + ms, 0);
console.log(`${inKernels.toFixed(2).padStart(9)} ms in kernels`);
