// Where the time of a training step goes: node packages/trainer/scripts/profile-step.mjs [--backend dgconv] [--threads 2] [--batch 64] [--steps 10]
// The net has 70 million multiply-adds: ten bottleneck blocks' worth of 1×1 convolutions and learned 3×3 ones on 28×28 pixels.
import { parseArgs } from 'node:util';
import { dgConv2d, setBackendThreads, tf, useBackend } from '../build/src/index.js';
import { batchNormTraining, momentumUpdate } from '../build/src/ops/fused-kernels.js';

const { values: options } = parseArgs({
  options: {
    backend: { type: 'string', default: 'dgconv' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '10' },
    gates: { type: 'string', default: 'random' },
  },
});
const batch = Number(options.batch);
await useBackend(options.backend);
if (options.backend === 'dgconv') await setBackendThreads(Number(options.threads));

/** Time spent in each kernel, measured around its function. */
const times = new Map();
for (const config of tf.getKernelsForBackend(options.backend)) {
  const { kernelName, backendName, kernelFunc } = config;
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    ...config,
    kernelFunc: (call) => {
      const start = performance.now();
      const result = kernelFunc(call);
      const entry = times.get(kernelName) ?? { ms: 0, calls: 0 };
      entry.ms += performance.now() - start;
      entry.calls += 1;
      times.set(kernelName, entry);
      return result;
    },
  });
}

let seed = 1;
const variables = [];
const variable = (values) => (variables.push(tf.variable(values)), variables.at(-1));
const norm = (channels) => {
  const gamma = variable(tf.ones([channels]));
  const beta = variable(tf.zeros([channels]));
  return (x, relu) => batchNormTraining(x, gamma, beta, { epsilon: 1e-5, relu }).y;
};
const conv = (size, from, to, stride = 1) => {
  const kernel = variable(
    tf.randomNormal([size, size, from, to], 0, Math.sqrt(2 / (size * size * to)), 'float32', seed++),
  );
  return (x) => tf.conv2d(x, kernel, stride, size === 1 ? 'valid' : 'same');
};
const learnedConv = (channels, stride) => {
  const kernel = variable(
    tf.randomNormal([3, 3, channels, channels], 0, Math.sqrt(2 / (9 * channels)), 'float32', seed++),
  );
  const sign = () => (options.gates === 'on' ? 1 : options.gates === 'off' ? -1 : seed++ % 2 ? 1 : -1);
  const gates = variable(tf.tensor1d(Array.from({ length: Math.log2(channels) }, () => 1e-8 * sign())));
  return (x) =>
    dgConv2d(x, kernel, gates, {
      strides: stride,
      padding: [
        [0, 0],
        [1, 1],
        [1, 1],
        [0, 0],
      ],
    });
};
const bottleneck = (from, width, to, stride) => {
  const parts = [
    conv(1, from, width),
    norm(width),
    learnedConv(width, stride),
    norm(width),
    conv(1, width, to),
    norm(to),
  ];
  const shortcut = from === to && stride === 1 ? undefined : [conv(1, from, to, stride), norm(to)];
  return (x) => {
    const [reduce, norm1, learned, norm2, expand, norm3] = parts;
    const y = norm3(expand(norm2(learned(norm1(reduce(x), true)), true)), false);
    return tf.relu(tf.add(y, shortcut ? shortcut[1](shortcut[0](x), false) : x));
  };
};
const stem = [conv(3, 1, 32), norm(32)];
const widths = [
  [32, 32, 64, 1],
  [64, 32, 64, 1],
  [64, 64, 128, 2],
  [128, 64, 128, 1],
  [128, 128, 256, 2],
  [256, 128, 256, 1],
];
const blocks = widths.map((shape) => bottleneck(...shape));
const weights = variable(tf.randomNormal([256, 10], 0, 0.05, 'float32', seed++));
const images = tf.randomUniform([batch, 28, 28, 1], 0, 1, 'float32', 7);
const labels = tf.oneHot(
  tf.tensor1d(
    Array.from({ length: batch }, (_, i) => i % 10),
    'int32',
  ),
  10,
);
const loss = () => {
  let x = stem[1](stem[0](images), true);
  for (const block of blocks) x = block(x);
  return tf.losses.softmaxCrossEntropy(labels, tf.matMul(tf.mean(x, [1, 2]), weights));
};
const velocities = variables.map((v) => tf.zerosLike(v));

function step() {
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(loss, variables);
    const optimiser = { learningRate: 0.05, momentum: 0.9, weightDecay: 1e-4, nesterov: true };
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
step();
times.clear();
const durations = [];
let last;
for (let i = 0; i < Number(options.steps); i++) {
  const start = performance.now();
  last = step();
  durations.push(performance.now() - start);
}
durations.sort((a, b) => a - b);
console.log(
  `backend ${options.backend}, batch ${batch}, threads ${options.threads}, loss ${first.toFixed(3)} → ${last.toFixed(3)}`,
);
console.log(`step: median ${durations[durations.length >> 1].toFixed(1)} ms, least ${durations[0].toFixed(1)} ms`);
const rows = [...times].map(([name, { ms, calls }]) => ({
  name,
  ms: ms / durations.length,
  calls: calls / durations.length,
}));
rows.sort((a, b) => b.ms - a.ms);
for (const { name, ms, calls } of rows.slice(0, 25)) {
  console.log(`${ms.toFixed(2).padStart(9)} ms ${calls.toFixed(0).padStart(5)} calls  ${name}`);
}
const inKernels = rows.reduce((sum, { ms }) => sum + ms, 0);
console.log(`${inKernels.toFixed(2).padStart(9)} ms in kernels`);
