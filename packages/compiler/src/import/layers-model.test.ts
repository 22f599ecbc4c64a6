import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesInMemory, DgconvError, interpret, InvalidInputError, UnsupportedError } from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import test from 'ava';
import fc from 'fast-check';
import { compile } from '../compile.js';
import { importModel } from './import-model.js';
import { importLayersModel } from './layers-model.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-layers-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

interface LayerSpec {
  readonly class_name: string;
  readonly config: Record<string, unknown>;
  readonly name?: string;
  readonly inbound_nodes?: unknown;
}

let models = 0;

/** Writes a LayersModel with float32 weights in two shards that cut a value in half, and gives its path. */
function write(topology: unknown, weights: readonly WeightSpec[] = []): string {
  models += 1;
  const bytes = new Uint8Array(Float32Array.from(weights.flatMap(({ values }) => values)).buffer);
  const cut = Math.min(bytes.length, 6);
  const paths = [`shard1of2.${models}.bin`, `shard2of2.${models}.bin`];
  writeFileSync(join(folder, paths[0]!), bytes.subarray(0, cut));
  writeFileSync(join(folder, paths[1]!), bytes.subarray(cut));
  const manifest = [{ paths, weights: weights.map(({ name, shape }) => ({ name, shape, dtype: 'float32' })) }];
  const file = join(folder, `model${models}.json`);
  writeFileSync(file, JSON.stringify({ modelTopology: topology, weightsManifest: manifest }));
  return file;
}

function sequential(layers: readonly LayerSpec[]): unknown {
  return { class_name: 'Sequential', config: { name: 'net', layers } };
}

function load(file: string, inputShape?: readonly [number, number, number]) {
  return importLayersModel(openByteSource(file), inputShape === undefined ? {} : { inputShape });
}

function run(file: string, x: readonly number[]): number[] {
  const model = load(file);
  const [output] = Object.values(interpret(model, { [model.graph.inputs[0]!.name]: x }));
  return [...output!];
}

const onFirst = (shape: readonly (number | null)[]) => ({ batch_input_shape: [null, ...shape] });

test('a strided convolution with padding "same" pads as TensorFlow does, the smaller half before', (t) => {
  const layer = {
    class_name: 'Conv2D',
    config: {
      name: 'c',
      filters: 1,
      kernel_size: [3, 3],
      strides: [2, 2],
      padding: 'same',
      use_bias: true,
      ...onFirst([4, 4, 1]),
    },
  };
  const weights = [
    { name: 'c/kernel', shape: [3, 3, 1, 1], values: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
    { name: 'c/bias', shape: [1], values: [0.5] },
  ];
  // 4 pixels, extent 3, stride 2: one pixel of padding in all, behind.
  const x = Array.from({ length: 16 }, (_, index) => index);
  const expected = [0, 2].flatMap((row) =>
    [0, 2].map((column) => {
      let sum = 0.5;
      for (let dy = 0; dy < 3; dy += 1) {
        for (let dx = 0; dx < 3; dx += 1) {
          if (row + dy < 4 && column + dx < 4) sum += (3 * dy + dx + 1) * x[4 * (row + dy) + column + dx]!;
        }
      }
      return sum;
    }),
  );
  t.deepEqual(run(write(sequential([layer]), weights), x), expected);
});

test('depthwise, separable and transposed kernels are read in their own layouts', (t) => {
  const depthwise = {
    class_name: 'DepthwiseConv2D',
    config: { name: 'd', kernel_size: [1, 1], depth_multiplier: 2, use_bias: false, ...onFirst([1, 1, 2]) },
  };
  const depthwiseKernel = [{ name: 'd/depthwise_kernel', shape: [1, 1, 2, 2], values: [1, 10, 100, 1000] }];
  t.deepEqual(run(write(sequential([depthwise]), depthwiseKernel), [1, 2]), [1, 10, 200, 2000]);

  const separable = {
    class_name: 'SeparableConv2D',
    config: { name: 's', filters: 1, kernel_size: [1, 1], depth_multiplier: 1, use_bias: false, ...onFirst([1, 1, 2]) },
  };
  const separableKernels = [
    { name: 's/depthwise_kernel', shape: [1, 1, 2, 1], values: [3, 5] },
    { name: 's/pointwise_kernel', shape: [1, 1, 2, 1], values: [1, 100] },
  ];
  t.deepEqual(run(write(sequential([separable]), separableKernels), [1, 2]), [1003]);

  const transposed = {
    class_name: 'Conv2DTranspose',
    config: {
      name: 't',
      filters: 2,
      kernel_size: [2, 2],
      strides: [2, 2],
      padding: 'same',
      use_bias: false,
      ...onFirst([1, 1, 1]),
    },
  };
  const transposedKernel = [{ name: 't/kernel', shape: [2, 2, 2, 1], values: [1, 2, 3, 4, 5, 6, 7, 8] }];
  t.deepEqual(run(write(sequential([transposed]), transposedKernel), [10]), [10, 20, 30, 40, 50, 60, 70, 80]);
});

test('a functional model with a shared layer and a nested model is wired by its calls', (t) => {
  const inner = {
    name: 'inner',
    layers: [{ class_name: 'Dense', config: { name: 'dense', units: 1, use_bias: false, ...onFirst([2]) } }],
  };
  const topology = {
    model_config: {
      class_name: 'Functional',
      config: {
        name: 'net',
        layers: [
          { class_name: 'InputLayer', name: 'a', config: { ...onFirst([2]), name: 'a' }, inbound_nodes: [] },
          { class_name: 'InputLayer', name: 'b', config: { ...onFirst([2]), name: 'b' }, inbound_nodes: [] },
          // Listed before what it reads.
          {
            class_name: 'Subtract',
            name: 'difference',
            config: {},
            inbound_nodes: [
              [
                ['inner', 0, 0, {}],
                ['inner', 1, 0, {}],
              ],
            ],
          },
          {
            class_name: 'Sequential',
            name: 'inner',
            config: inner,
            inbound_nodes: [[['a', 0, 0, {}]], [['b', 0, 0, {}]]],
          },
        ],
        input_layers: [
          ['a', 0, 0],
          ['b', 0, 0],
        ],
        output_layers: [['difference', 0, 0]],
      },
    },
  };
  const model = load(write(topology, [{ name: 'net/inner/dense/kernel', shape: [2, 1], values: [1, 10] }]));
  t.deepEqual([...interpret(model, { a: [1, 2], b: [3, 4] })['difference']!], [21 - 43]);
});

test('quantised weights are levels times scale plus minimum, halves are halves', (t) => {
  const file = join(folder, 'quantised.json');
  writeFileSync(join(folder, 'q.bin'), Uint8Array.of(0, 255, 1, 0, 0x00, 0x3e, 0x00, 0xc0));
  const quantization = (dtype: string) => ({ dtype, scale: 0.5, min: -1 });
  const weights = [
    { name: 'd/kernel', shape: [2, 1], dtype: 'float32', quantization: quantization('uint8') },
    { name: 'd/bias', shape: [1], dtype: 'float32', quantization: quantization('uint16') },
    { name: 'half', shape: [2], dtype: 'float32', quantization: { dtype: 'float16' } },
  ];
  const topology = sequential([{ class_name: 'Dense', config: { name: 'd', units: 1, ...onFirst([2]) } }]);
  writeFileSync(file, JSON.stringify({ modelTopology: topology, weightsManifest: [{ paths: ['q.bin'], weights }] }));
  const { weights: source } = load(file);
  t.deepEqual([...source.read('d/kernel')], [-1, 126.5]);
  t.deepEqual([...source.read('d/bias')], [-0.5]);
  t.deepEqual([...source.read('half')], [1.5, -2]);
  t.deepEqual(run(file, [1, 1]), [125]);
});

test('learned layers keep their gates, and compile to groups that compute the same', (t) => {
  const layers = [
    {
      class_name: 'DGConv2D',
      config: { name: 'dg', filters: 4, kernel_size: [1, 1], padding: 'same', use_bias: false, ...onFirst([2, 2, 4]) },
    },
    { class_name: 'ReLU', config: { name: 'r', max_value: 6 } },
    { class_name: 'GlobalAveragePooling2D', config: { name: 'g' } },
  ];
  const weights = [
    { name: 'dg/kernel', shape: [1, 1, 4, 4], values: Array.from({ length: 16 }, (_, index) => index + 1) },
    { name: 'dg/gates', shape: [2], values: [1, -1] },
  ];
  const model = load(write(sequential(layers), weights));
  const x = Float32Array.from({ length: 16 }, (_, index) => (index % 3) / 8);
  const { targets, zeta, layers: reports } = compile(model, { formats: ['edge'] });
  t.is(zeta, 8);
  t.like(reports[0], {
    name: 'dg',
    grouping: 'equal',
    groups: 2,
    channelsIn: 4,
    channelsOut: 4,
    macsBefore: 64,
    macsAfter: 32,
  });
  const name = model.graph.inputs[0]!.name;
  t.deepEqual(interpret(targets.edge!, { [name]: x }), interpret(model, { [name]: x }));
});

test('an open size is fixed by the caller, and asked for otherwise', (t) => {
  const file = write(sequential([{ class_name: 'ReLU', config: { name: 'r', ...onFirst([null, null, 3]) } }]));
  t.deepEqual(load(file, [3, 5, 6]).graph.inputs[0]!.shape, [1, 5, 6, 3]);
  t.throws(() => load(file), {
    instanceOf: InvalidInputError,
    message: /layer 'r' \(ReLU\): its input shape \[null, null, 3\] is open: --input-shape C,H,W fixes it$/,
  });
});

for (const [title, layer, message] of [
  [
    'an unknown class',
    { class_name: 'LSTM', config: { name: 'l', ...onFirst([2, 2, 1]) } },
    /the layer 'l' is of class LSTM, which is not supported$/,
  ],
  [
    'channels first',
    { class_name: 'MaxPooling2D', config: { name: 'p', data_format: 'channels_first', ...onFirst([2, 2, 1]) } },
    /layer 'p' \(MaxPooling2D\): "data_format" is 'channels_first': channels_last are supported$/,
  ],
  [
    'a missing weight',
    { class_name: 'Dense', config: { name: 'd', units: 1, ...onFirst([2]) } },
    /the layer 'd' has no weight 'kernel' in the manifest$/,
  ],
  [
    'a size that is none',
    { class_name: 'Dense', config: { name: 'd', units: -1, ...onFirst([2]) } },
    /layer 'd' \(Dense\): "units" must be a positive integer$/,
  ],
] as const) {
  test(`${title} is refused with the layer's name`, (t) => {
    const file = write(sequential([layer]));
    const error = t.throws(() => load(file));
    t.true(error instanceof InvalidInputError || error instanceof UnsupportedError);
    t.regex(error!.message, message);
    t.true(error!.message.startsWith(file));
  });
}

test('shards outside the folder, missing ones and layers that wait for each other are refused', (t) => {
  const file = join(folder, 'outside.json');
  writeFileSync(
    file,
    JSON.stringify({ modelTopology: sequential([]), weightsManifest: [{ paths: ['../x'], weights: [] }] }),
  );
  t.throws(() => load(file), {
    instanceOf: InvalidInputError,
    message: /names the shard "\.\.\/x"; shards are files in the same folder$/,
  });
  const waiting = {
    class_name: 'Model',
    config: {
      layers: [
        { class_name: 'InputLayer', name: 'x', config: onFirst([2]), inbound_nodes: [] },
        {
          class_name: 'Add',
          name: 'p',
          config: {},
          inbound_nodes: [
            [
              ['x', 0, 0],
              ['q', 0, 0],
            ],
          ],
        },
        { class_name: 'ReLU', name: 'q', config: {}, inbound_nodes: [[['p', 0, 0]]] },
      ],
      input_layers: [['x', 0, 0]],
      output_layers: [['p', 0, 0]],
    },
  };
  t.throws(() => load(write(waiting)), {
    instanceOf: InvalidInputError,
    message: /the layers around 'p' wait for each other$/,
  });
});

test('no mutation of a model.json does anything but import or be refused', (t) => {
  const layers = [
    { class_name: 'Conv2D', config: { name: 'c', filters: 2, kernel_size: [1, 1], ...onFirst([2, 2, 1]) } },
    { class_name: 'Flatten', config: { name: 'f' } },
    { class_name: 'Dense', config: { name: 'd', units: 2, activation: 'softmax' } },
  ];
  const file = write(sequential(layers), [
    { name: 'c/kernel', shape: [1, 1, 1, 2], values: [1, 2] },
    { name: 'c/bias', shape: [2], values: [1, 2] },
    { name: 'd/kernel', shape: [8, 2], values: Array.from({ length: 16 }, () => 1) },
    { name: 'd/bias', shape: [2], values: [1, 2] },
  ]);
  const source = openByteSource(file);
  const original = source.read(0, source.size);
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.nat(1 << 16),
          fc.oneof(
            fc.constantFrom(...'0123456789-"[]{},'.split('')).map((text) => text.charCodeAt(0)),
            fc.nat(127),
          ),
        ),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
      (changes) => {
        const bytes = original.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          importLayersModel(bytesInMemory(bytes, file));
        } catch (error) {
          if (!(error instanceof DgconvError)) throw error;
        }
      },
    ),
    { numRuns: 1500, seed: 1 },
  );
  t.pass();
});

test('the hash of the source covers the weights', (t) => {
  const file = join(folder, 'hashed.json');
  const weights = [{ name: 'd/kernel', shape: [2, 1], dtype: 'float32' }];
  const layers = [
    { class_name: 'Dense', config: { name: 'd', units: 1, use_bias: false, batch_input_shape: [null, 2] } },
  ];
  const topology = { class_name: 'Sequential', config: { name: 's', layers } };
  writeFileSync(file, JSON.stringify({ modelTopology: topology, weightsManifest: [{ paths: ['h.bin'], weights }] }));
  const hashWith = (value: number): string | undefined => {
    writeFileSync(join(folder, 'h.bin'), new Uint8Array(Float32Array.of(value, 1).buffer));
    return importModel(file).model.graph.metadata.sourceHash;
  };
  t.is(hashWith(1), hashWith(1));
  t.not(hashWith(1), hashWith(2));
});
