import { compile, emitters } from '@dgconv/compiler';
import { initialWeights, mapSource, zooGraph } from '@dgconv/core';
import test from 'ava';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { field, onnxModel, onnxNode, onnxTensor } from './testing/hostile-bytes.js';
import { assertRefused } from './testing/limits.js';

const graph = zooGraph('resnext_mnist');
const model = { graph, weights: mapSource(initialWeights(graph, 1)) };
const { targets } = compile(model, { formats: ['edge', 'tflite'] });
const edge = emitters.edge(targets.edge!);
const tflite = emitters.tflite(targets.tflite!);

/** The bytes with a 32-bit word replaced. */
const withWord = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
  const changed = bytes.slice();
  new DataView(changed.buffer).setInt32(at, value, true);
  return changed;
};

const ints = (name: string, values: readonly number[]): Buffer =>
  Buffer.concat([field(1, name), ...values.map((value) => field(8, value)), field(20, 7)]);
const weights = new Uint8Array(4 * 3 * 3 * 3 * 3);
const conv = onnxNode('Conv', ['x', 'w'], 'y', ints('pads', [1, 1, 1, 1]));
const external = (content: Readonly<Record<string, string>>): Buffer =>
  onnxModel([conv], [onnxTensor('w', [3, 3, 3, 3], content)]);

/** A network nested in an If's branch, in an If's branch, … */
const nestedIf = (depth: number): Buffer => {
  let body: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1)
    body = field(
      1,
      Buffer.concat([field(4, 'If'), field(5, Buffer.concat([field(1, 'then_branch'), field(6, body)]))]),
    );
  return body;
};

type Make = (folder: string) => Uint8Array | void;

/** Broken or hostile networks: what their file is called and holds (or how it is made), and what is said of it. */
const networks: Readonly<Record<string, readonly [name: string, make: Make, message: RegExp]>> = {
  'an ONNX file that is empty': ['x.onnx', () => Buffer.alloc(0), /x\.onnx/],
  'an ONNX file of 10 GB of zeros': [
    'x.onnx',
    (folder) => {
      writeFileSync(join(folder, 'x.onnx'), '');
      truncateSync(join(folder, 'x.onnx'), 1e10);
    },
    /10000000000 bytes/,
  ],
  'an .edge file of 1 GB of zeros': [
    'x.edge',
    (folder) => {
      writeFileSync(join(folder, 'x.edge'), '');
      truncateSync(join(folder, 'x.edge'), 1e9);
    },
    /x\.edge/,
  ],
  'a TFLite file of 1 GB of zeros': [
    'x.tflite',
    (folder) => {
      writeFileSync(join(folder, 'x.tflite'), '');
      truncateSync(join(folder, 'x.tflite'), 1e9);
    },
    /begins with zeros/,
  ],
  'an ONNX file that is cut off': [
    'x.onnx',
    () => onnxModel([conv], [onnxTensor('w', [3, 3, 3, 3], weights)]).subarray(0, 200),
    /x\.onnx/,
  ],
  'an ONNX graph with a cycle': [
    'x.onnx',
    () => onnxModel([onnxNode('Add', ['x', 'b'], 'a'), onnxNode('Add', ['a', 'x'], 'b'), onnxNode('Relu', ['b'], 'y')]),
    /'the Add' \(Add\) reads 'b', which no earlier node computes/,
  ],
  'an ONNX weight with negative sizes': [
    'x.onnx',
    () => onnxModel([conv], [onnxTensor('w', [-3n, -3n, 3, 3], weights)]),
    /'w'/,
  ],
  'an ONNX weight that is missing': ['x.onnx', () => onnxModel([conv]), /reads 'w'/],
  'an ONNX weight that claims 10 GB': [
    'x.onnx',
    () => onnxModel([conv], [onnxTensor('w', [50_000, 50_000], weights)]),
    /'w'/,
  ],
  'an ONNX weight whose sizes overflow': [
    'x.onnx',
    () => onnxModel([conv], [onnxTensor('w', [2n ** 40n, 2n ** 40n], weights)]),
    /'w'/,
  ],
  'an ONNX weight outside of the folder': [
    'x.onnx',
    () => external({ location: '../../../../../../etc/passwd' }),
    /outside the model's folder|no such file/,
  ],
  'an ONNX weight by an absolute path': [
    'x.onnx',
    () => external({ location: '/etc/passwd' }),
    /outside the model's folder/,
  ],
  'an ONNX weight behind a symbolic link': [
    'x.onnx',
    (folder) => {
      symlinkSync('/etc/passwd', join(folder, 'w.bin'));
      return external({ location: 'w.bin' });
    },
    /outside the model's folder/,
  ],
  'an ONNX weight in a pipe': [
    'x.onnx',
    (folder) => {
      execFileSync('mkfifo', [join(folder, 'w.bin')]);
      return external({ location: 'w.bin' });
    },
    /w\.bin/,
  ],
  'an ONNX weight far behind its file': [
    'x.onnx',
    (folder) => {
      writeFileSync(join(folder, 'w.bin'), weights);
      return external({ location: 'w.bin', offset: '9000000000000000000', length: '324' });
    },
    /'w\.bin'|'w'/,
  ],
  'an ONNX weight that takes 10 GB of a sparse file': [
    'x.onnx',
    (folder) => {
      writeFileSync(join(folder, 'w.bin'), '');
      truncateSync(join(folder, 'w.bin'), 1e10);
      return external({ location: 'w.bin', offset: '0', length: '10000000000' });
    },
    /'w'|w\.bin/,
  ],
  'an ONNX value of 40 GB': [
    'x.onnx',
    () =>
      onnxModel(
        [onnxNode('Expand', ['x', 's'], 'y')],
        [
          Buffer.concat([
            field(1, 4),
            field(2, 7),
            field(8, 's'),
            ...[10_000, 3, 10_000, 100].map((size) => field(7, size)),
          ]),
        ],
      ),
    /the Expand/,
  ],
  'ONNX branches nested ten thousand deep': ['x.onnx', () => field(7, nestedIf(10_000)), /x\.onnx/],
  'an ONNX loop': ['x.onnx', () => onnxModel([onnxNode('Loop', ['x', 'x'], 'y')]), /'the Loop' \(Loop\)/],
  'a TFLite file that is empty': ['x.tflite', () => Buffer.alloc(0), /x\.tflite/],
  'a TFLite file that is cut off': ['x.tflite', () => tflite.subarray(0, tflite.length >> 1), /x\.tflite/],
  'a TFLite file whose root leads outside': ['x.tflite', () => withWord(tflite, 0, 0x7fffffff), /x\.tflite/],
  'a TFLite file whose root leads back': ['x.tflite', () => withWord(tflite, 0, -8), /x\.tflite/],
  'an .edge file that is empty': ['x.edge', () => Buffer.alloc(0), /x\.edge/],
  'an .edge file that is cut off': ['x.edge', () => edge.subarray(0, edge.length - 100), /x\.edge/],
  'an .edge file with a changed byte': ['x.edge', () => withWord(edge, edge.length - 64, 77), /x\.edge/],
  'an .edge file of another version': ['x.edge', () => withWord(edge, 4, 99 << 16), /x\.edge/],
  'a pipe': ['x.onnx', (folder) => void execFileSync('mkfifo', [join(folder, 'x.onnx')]), /x\.onnx/],
  'a device without an end': ['x.edge', (folder) => symlinkSync('/dev/zero', join(folder, 'x.edge')), /x\.edge/],
  'a folder': ['x.tflite', (folder) => void mkdirSync(join(folder, 'x.tflite')), /x\.tflite/],
  'a link to itself': ['x.onnx', (folder) => symlinkSync('x.onnx', join(folder, 'x.onnx')), /x\.onnx/],
};

/** A LayersModel with one convolution whose kernel has this shape. */
const layersModel = (paths: readonly string[], shape: readonly number[], more: object = {}): Buffer => {
  const layer = (className: string, name: string, config: object, from: string | null) => ({
    class_name: className,
    name,
    config: { name, ...config },
    inbound_nodes: from === null ? [] : [[[from, 0, 0, {}]]],
  });
  const layers = [
    layer('InputLayer', 'x', { batch_input_shape: [null, 8, 8, 3], dtype: 'float32' }, null),
    layer('Conv2D', 'c', { filters: 4, kernel_size: [3, 3], use_bias: false, ...more }, 'x'),
  ];
  return Buffer.from(
    JSON.stringify({
      format: 'layers-model',
      modelTopology: {
        model_config: {
          class_name: 'Functional',
          config: { name: 'm', layers, input_layers: [['x', 0, 0]], output_layers: [['c', 0, 0]] },
        },
      },
      weightsManifest: [{ paths, weights: [{ name: 'c/kernel', shape, dtype: 'float32' }] }],
    }),
  );
};
const layersModels: typeof networks = {
  'a LayersModel that is no JSON': ['model.json', () => Buffer.from('{"modelTopology":'), /model\.json/],
  'a LayersModel nested a million deep': ['model.json', () => Buffer.from('['.repeat(1e6)), /model\.json/],
  'a LayersModel whose weights lie outside': [
    'model.json',
    () => layersModel(['../../../../../../etc/passwd'], [3, 3, 3, 4]),
    /passwd/,
  ],
  'a LayersModel whose weights lie at an absolute path': [
    'model.json',
    () => layersModel(['/etc/passwd'], [3, 3, 3, 4]),
    /passwd/,
  ],
  'a LayersModel whose weights are behind a symbolic link': [
    'model.json',
    (folder) => {
      symlinkSync('/etc/passwd', join(folder, 'w.bin'));
      return layersModel(['w.bin'], [3, 3, 3, 4]);
    },
    /w\.bin|kernel/,
  ],
  'a LayersModel whose shard is missing': ['model.json', () => layersModel(['w.bin'], [3, 3, 3, 4]), /w\.bin/],
  'a LayersModel whose shard is too short': [
    'model.json',
    (folder) => {
      writeFileSync(join(folder, 'w.bin'), Buffer.alloc(7));
      return layersModel(['w.bin'], [3, 3, 3, 4]);
    },
    /model\.json|w\.bin/,
  ],
  'a LayersModel whose weight claims 10 GB': [
    'model.json',
    (folder) => {
      writeFileSync(join(folder, 'w.bin'), Buffer.alloc(432));
      return layersModel(['w.bin'], [3, 3, 3, 90_000_000]);
    },
    /model\.json|w\.bin/,
  ],
  'a LayersModel with a huge number of filters': [
    'model.json',
    (folder) => {
      writeFileSync(join(folder, 'w.bin'), Buffer.alloc(432));
      return layersModel(['w.bin'], [3, 3, 3, 4], { filters: 1e15 });
    },
    /model\.json/,
  ],
};

for (const [title, [name, make, message]] of Object.entries({ ...networks, ...layersModels })) {
  test(`refused in one sentence, quickly and in little memory: ${title}`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const bytes = make(folder);
    if (bytes) writeFileSync(join(folder, name), bytes);
    await assertRefused(t, folder, ['compile', join(folder, name), '--out', join(folder, 'out')], message);
  });
}
