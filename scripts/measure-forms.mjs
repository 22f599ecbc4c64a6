// Measures what the cost tables of the compiler hold (packages/compiler/src/passes/form-costs.ts): how long a multiply-add takes in
// groups of so many channels, against a dense convolution of the same runtime, and what moving a value and starting an operation cost.
// Usage: node scripts/measure-forms.mjs RUNTIME [--rounds N]   (edge, edge-wasm, ort, litert; litert-native: PyPI's
// ai-edge-litert; ort-web: after npm install --no-save onnxruntime-web; `nice -n -15` on a busy machine)
// Every form is timed in turn, round by round, in processor time of the process (one thread works), and the best of the rounds counts.
// It prints a table and the lines to paste.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emitters } from '../packages/compiler/build/src/index.js';
import {
  costOf,
  elementCount,
  GraphBuilder,
  initialWeights,
  mapSource,
} from '../packages/dgconv-core/build/src/index.js';
import { runtimeOf } from '../tools/runtimes/build/src/index.js';

const [name = 'ort'] = process.argv.slice(2);
const at = process.argv.indexOf('--rounds');
const rounds = at < 0 ? 9 : Number(process.argv[at + 1]);
/** PyPI's LiteRT, timed by the same rules in a process of Python. */
const nativeLiteRt = `
import json, os, sys, time
from ai_edge_litert.interpreter import Interpreter
folder, rounds = sys.argv[1], int(sys.argv[2])
runs = {}
for file in sorted(os.listdir(folder)):
    interpreter = Interpreter(os.path.join(folder, file), num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.tensor(detail["index"])().fill(0.5)
    runs[file] = interpreter.invoke
best = {file: 1e9 for file in runs}
for _ in range(rounds):
    for file, run in runs.items():
        run()
        start, count = time.process_time(), 0
        while time.process_time() - start < 0.003:
            run()
            count += 1
        best[file] = min(best[file], (time.process_time() - start) * 1000 / count)
print(json.dumps(best))
`;
const isNative = name === 'litert-native';

/** ONNX Runtime as WebAssembly, which nothing else here needs. */
const ortWeb = {
  formats: ['onnx'],
  describe: async () => 'ONNX Runtime Web',
  whyUnavailable: async () => null,
  async load(bytes) {
    const ort = await import('onnxruntime-web');
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] });
    const [{ name: input, shape }] = session.inputMetadata;
    const feeds = { [input]: new ort.Tensor('float32', new Float32Array(elementCount(shape)).fill(0.5), shape) };
    return { inputs: [], bind: () => () => session.run(feeds) };
  },
};
const runtime = name === 'ort-web' ? ortWeb : runtimeOf(isNative ? 'litert' : name);
const missing = await runtime.whyUnavailable();
if (missing !== null) {
  console.error(`measure-forms: ${name} is not here: ${missing}`);
  process.exit(1);
}

/** Three layers in a row, as a network would have them. */
function chain(id, { channels, pixels }, layer) {
  const builder = new GraphBuilder({ name: id });
  let value = builder.input('input', [1, pixels, pixels, channels]);
  for (let index = 0; index < 3; index++) value = layer(builder, `layer${index}`, value);
  return builder.build([{ name: 'output', value: builder.relu('last', value) }]);
}
const convolution = (channels, kernelSize, groups) => (builder, id, value) =>
  builder.relu(`${id}.relu`, builder.conv(id, value, { channelsOut: channels, kernelSize, groups, bias: true }));

const shapes = [
  { channels: 128, pixels: 56 },
  { channels: 256, pixels: 28 },
];
const sizes = [1, 2, 4, 8, 16, 32, 64];
const forms = shapes.flatMap((shape) =>
  [3, 1].flatMap((kernelSize) =>
    [...sizes, shape.channels].map((size) => ({
      key: `${shape.channels} ${kernelSize} ${size}`,
      graph: chain('form', shape, convolution(shape.channels, kernelSize, shape.channels / size)),
    })),
  ),
);
// A permutation that is no regular shuffle, between layers that are there anyway.
const scattered = (channels) => Array.from({ length: channels }, (_, channel) => (channel * 37 + 11) % channels);
const moves = shapes.map((shape) => ({
  key: `${shape.channels} move`,
  graph: chain('move', shape, (builder, id, value) =>
    builder.relu(`${id}.relu`, builder.takeChannels(id, value, scattered(shape.channels))),
  ),
}));
/** The halves of a value cut out and joined again: every value is copied twice. */
const halves = (channels) =>
  [0, channels / 2].map((start) => Array.from({ length: channels / 2 }, (_, channel) => start + channel));
const asSlice = (node) => {
  const starts = [0, 0, 0, node.attrs.indices[0]];
  const [pixels, channels] = node.origin[0].split(' ').map(Number);
  const sizes = [1, pixels, pixels, channels / 2];
  return { ...node, op: 'slice', attrs: { starts, sizes, steps: [1, 1, 1, 1] }, origin: [] };
};
const copies = shapes.map((shape) => {
  const graph = chain('copy', shape, (builder, id, value) => {
    const parts = halves(shape.channels).map((half, index) => builder.takeChannels(`${id}.${index}`, value, half));
    return builder.relu(`${id}.relu`, builder.concatChannels(`${id}.concat`, parts));
  });
  const nodes = graph.nodes.map((node) =>
    node.op === 'take' ? asSlice({ ...node, origin: [`${shape.pixels} ${shape.channels}`] }) : node,
  );
  return { key: `${shape.channels} copy`, graph: { ...graph, nodes } };
});
const stays = shapes.map((shape) => ({
  key: `${shape.channels} stay`,
  graph: chain('stay', shape, (builder, id, value) => builder.relu(`${id}.relu`, value)),
}));
const many = (count) => {
  const builder = new GraphBuilder({ name: 'many' });
  let value = builder.input('input', [1, 1, 1, 4]);
  for (let index = 0; index < count; index++)
    value = builder.conv(`layer${index}`, value, { channelsOut: 4, kernelSize: 1, bias: true });
  return builder.build([{ name: 'output', value }]);
};
const starts = [20, 320].map((count) => ({ key: `${count} operations`, graph: many(count) }));

const models = [...forms, ...moves, ...copies, ...stays, ...starts].map(({ key, graph }) => ({
  key,
  macs: costOf(graph).macs,
  bytes: emitters[runtime.formats[0]]({ graph, weights: mapSource(initialWeights(graph, 1)) }),
}));
const macsOf = new Map(models.map(({ key, macs }) => [key, macs]));

/** Milliseconds of processor time a run, over at least 3 of them; the first run fetches back what the neighbours pushed out. */
async function turn({ run }) {
  await run();
  const before = process.cpuUsage();
  let [runs, elapsed] = [0, 0];
  while (elapsed < 3) {
    await run();
    runs++;
    const { user, system } = process.cpuUsage(before);
    elapsed = (user + system) / 1000;
  }
  return elapsed / runs;
}
async function bestHere() {
  const subjects = [];
  for (const { key, bytes } of models) {
    const session = await runtime.load(bytes, { threads: 1 });
    const feeds = Object.fromEntries(
      session.inputs.map(({ name: input, shape }) => [input, new Float32Array(elementCount(shape)).fill(0.5)]),
    );
    subjects.push({ key, run: session.bind(feeds) });
  }
  const times = new Map(subjects.map(({ key }) => [key, Infinity]));
  for (let round = 0; round < rounds; round++)
    for (const subject of subjects) times.set(subject.key, Math.min(times.get(subject.key), await turn(subject)));
  return times;
}

function bestInPython() {
  const folder = mkdtempSync(join(tmpdir(), 'measure-forms-'));
  for (const { key, bytes } of models) writeFileSync(join(folder, key), bytes);
  const { status, stdout } = spawnSync('python3', ['-c', nativeLiteRt, folder, String(rounds)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  rmSync(folder, { recursive: true });
  if (status !== 0) process.exit(1);
  return new Map(Object.entries(JSON.parse(stdout.split('\n').find((line) => line.startsWith('{')))));
}

const best = isNative ? bestInPython() : await bestHere();
const rate = (key) => macsOf.get(key) / best.get(key) / 1e6;

console.log(`${isNative ? 'LiteRT (ai-edge-litert)' : await runtime.describe()}: multiply-adds a nanosecond`);
const ratios = [3, 1].map((kernelSize) =>
  sizes.map((size) => {
    const both = shapes.map(({ channels }) => {
      const dense = rate(`${channels} ${kernelSize} ${channels}`);
      return { dense, own: rate(`${channels} ${kernelSize} ${size}`) };
    });
    const text = both.map(({ own, dense }) => `${own.toFixed(1)} of ${dense.toFixed(1)}`).join(', ');
    console.log(`${kernelSize}×${kernelSize}, ${size} a group: ${text}`);
    return Math.exp(both.reduce((sum, { own, dense }) => sum + Math.log(dense / own), 0) / both.length);
  }),
);
const dense = Math.exp(
  shapes.reduce((sum, { channels }) => sum + Math.log(rate(`${channels} 3 ${channels}`)), 0) / shapes.length,
);
const priceOf = (what, times) =>
  shapes.map(({ channels, pixels }) => {
    const values = 3 * times * channels * pixels * pixels;
    return ((best.get(`${channels} ${what}`) - best.get(`${channels} stay`)) * 1e6) / values;
  });
const startNs = ((best.get('320 operations') - best.get('20 operations')) * 1e6) / 300;
const list = (numbers) => sizes.map((size, index) => `[${size}, ${numbers[index].toFixed(2)}]`).join(', ');
console.log(`rate: ${dense.toFixed(1)},`);
console.log(`window: [${list(ratios[0])}],`);
console.log(`pointwise: [${list(ratios[1])}],`);
for (const [what, times] of [
  ['move', 1],
  ['copy', 2],
]) {
  const ns = priceOf(what, times);
  const price = Math.max(0, ...ns) * dense;
  console.log(`${what}: ${price.toFixed(0)}, // ${ns.map((value) => value.toFixed(2)).join(' and ')} ns a value`);
}
console.log(`start: ${(startNs * dense).toFixed(0)}, // ${startNs.toFixed(0)} ns`);
process.exit(0);
