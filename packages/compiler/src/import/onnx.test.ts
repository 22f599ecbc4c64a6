import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bind,
  DgconvError,
  initialWeights,
  inferShapes,
  interpret,
  InvalidInputError,
  mapSource,
  type Model,
  RandomSource,
  UnsupportedError,
  zooGraph,
} from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import onnxProto, { type onnx } from 'onnx-proto';
import { emitOnnx } from '../emit/onnx.js';
import { importModel } from './import-model.js';
import { importOnnx } from './onnx.js';
import { encode, floats, integers, ints, node, type Parts } from './testing/onnx-bytes.js';

function run(model: Model, x: readonly number[]): number[] {
  return Array.from(interpret(model, { x })['y']!);
}

const { TensorProto } = onnxProto.onnx;

test('an image goes in and comes out channels last, and no transpose stands between convolutions', (t) => {
  const one = floats('w', [2, 2, 1, 1], [0, 1, 1, 0]);
  const model = importOnnx(
    encode({
      nodes: [node('Conv', ['x', 'w'], ['h']), node('Relu', ['h'], ['r']), node('Conv', ['r', 'w'], ['y'])],
      initializers: [one],
    }),
  );
  t.deepEqual(
    model.graph.nodes.map(({ op }) => op),
    ['conv2d', 'activation', 'conv2d'],
  );
  t.deepEqual(run(model, [1, -2, 3, -4, -5, 6, 7, 8]), [1, 0, 3, 0, 0, 6, 7, 8]);
});

test('weights keep their names and are read when they are needed', (t) => {
  const model = importOnnx(
    encode({ nodes: [node('Conv', ['x', 'w'], ['y'])], initializers: [floats('w', [2, 2, 1, 1], [1, 2, 3, 4])] }),
  );
  t.deepEqual(model.graph.nodes[0]!.weights, { kernel: { kind: 'stored', name: 'w' } });
  t.deepEqual([...model.weights.read('w')], [1, 2, 3, 4]);
});

test('open dimensions are fixed by the input shape, and shape arithmetic is computed away', (t) => {
  const bytes = encode({
    input: ['N', 2, 'H', 'W'],
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'zero'], ['batch']),
      node('Concat', ['batch', 'rest'], ['target'], [{ name: 'axis', i: 0, type: 2 }]),
      node('Reshape', ['x', 'target'], ['y']),
    ],
    initializers: [integers('zero', [0]), integers('rest', [-1])],
  });
  t.throws(() => importOnnx(bytes), {
    instanceOf: InvalidInputError,
    message: /^dimension 2 of the input 'x' \[N, 2, H, W\] is open: .*--input-shape C,H,W$/,
  });
  t.throws(() => importOnnx(bytes, { inputShape: [3, 2, 2] }), {
    instanceOf: InvalidInputError,
    message: "the input 'x' has the fixed shape [N, 2, H, W], which --input-shape 3,2,2 contradicts",
  });
  const { graph, weights } = importOnnx(bytes, { inputShape: [2, 1, 2] });
  t.deepEqual(graph.inputs, [{ name: 'x', shape: [1, 1, 2, 2] }]);
  t.deepEqual(inferShapes(graph).get(graph.outputs[0]!.value), [1, 4]);
  t.deepEqual(run({ graph, weights }, [1, 2, 3, 4]), [1, 3, 2, 4]);
});

test('activations written as several operators are recognised', (t) => {
  const scalar = (name: string, number: number): onnx.ITensorProto => floats(name, [], [number]);
  const initializers = [scalar('three', 3), scalar('zero', 0), scalar('six', 6)];
  initializers.push(scalar('half', 0.5), scalar('one', 1), scalar('root', Math.SQRT2));
  const erf = [node('Div', ['x', 'root'], ['a']), node('Erf', ['a'], ['e']), node('Add', ['e', 'one'], ['p'])];
  const clip = [node('Add', ['x', 'three'], ['a']), node('Clip', ['a', 'zero', 'six'], ['c'])];
  for (const [expected, nodes] of [
    ['hard-swish', [...clip, node('Mul', ['x', 'c'], ['m']), node('Div', ['m', 'six'], ['y'])]],
    ['hard-swish', [...clip, node('Div', ['c', 'six'], ['d']), node('Mul', ['d', 'x'], ['y'])]],
    ['hard-sigmoid', [...clip, node('Div', ['c', 'six'], ['y'])]],
    ['swish', [node('Sigmoid', ['x'], ['s']), node('Mul', ['x', 's'], ['y'])]],
    ['gelu', [...erf, node('Mul', ['x', 'p'], ['m']), node('Mul', ['m', 'half'], ['y'])]],
    ['gelu', [...erf, node('Mul', ['p', 'half'], ['h']), node('Mul', ['h', 'x'], ['y'])]],
    ['gelu', [...erf, node('Mul', ['x', 'half'], ['h']), node('Mul', ['h', 'p'], ['y'])]],
    ['relu6', [node('Clip', ['x', 'zero', 'six'], ['y'])]],
  ] as const) {
    const { graph } = importOnnx(encode({ nodes: [...nodes], initializers }));
    t.deepEqual(
      graph.nodes.map((found) => found.op === 'activation' && found.attrs.activation.function),
      [expected],
    );
  }
});

test('preprocessing and class names of a file of ours come back', (t) => {
  const graph = zooGraph('resnext_mnist');
  const preprocessing = {
    resizeShorterSide: null,
    colour: 'grey',
    mean: [0.1307],
    standardDeviation: [0.3081],
  } as const;
  const metadata = { name: 'digits', preprocessing, classNames: ['zero', 'one'] };
  const weights = mapSource(initialWeights(graph, 1));
  const imported = importOnnx(emitOnnx({ graph: { ...graph, metadata }, weights }));
  t.deepEqual(imported.graph.metadata, { ...metadata, producer: 'dgconv' });
});

test('a channel shuffle written as reshape, transpose, reshape is recognised', (t) => {
  const nodes = [
    node('Reshape', ['x', 'split'], ['s']),
    node('Transpose', ['s'], ['t'], [ints('perm', [0, 2, 1, 3, 4])]),
    node('Reshape', ['t', 'merged'], ['y']),
  ];
  const initializers = [integers('split', [0, 2, 3, 1, 2]), integers('merged', [1, -1, 1, 2])];
  const model = importOnnx(encode({ input: [1, 6, 1, 2], nodes, initializers }));
  t.deepEqual(
    model.graph.nodes.map((found) => found.op === 'take' && found.attrs),
    [{ axis: 3, indices: [0, 3, 1, 4, 2, 5] }],
  );
  t.deepEqual(run(model, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]), [0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15]);
});

test('16-bit floats are widened', (t) => {
  for (const [dataType, bits] of [
    [TensorProto.DataType.FLOAT16, [0x3c00, 0xc000, 0x0001, 0x7bff]],
    [TensorProto.DataType.BFLOAT16, [0x3f80, 0xc000, 0x0000, 0x4780]],
  ] as const) {
    const expected = dataType === TensorProto.DataType.FLOAT16 ? [1, -2, 2 ** -24, 65504] : [1, -2, 0, 65536];
    const raw = { name: 'w', dims: [2, 2, 1, 1], dataType, rawData: new Uint8Array(Uint16Array.from(bits).buffer) };
    const listed = { name: 'w', dims: [2, 2, 1, 1], dataType, int32Data: [...bits] };
    for (const tensor of [raw, listed]) {
      const model = importOnnx(encode({ nodes: [node('Conv', ['x', 'w'], ['y'])], initializers: [tensor] }));
      t.deepEqual([...model.weights.read('w')], expected);
    }
  }
});

test('an image that is transposed first keeps the order that it has', (t) => {
  const model = importOnnx(
    encode({
      input: [1, 4, 4, 3],
      nodes: [
        node('Transpose', ['x'], ['t'], [ints('perm', [0, 3, 1, 2])]),
        node('Conv', ['t', 'w'], ['c']),
        node('Transpose', ['c'], ['y'], [ints('perm', [0, 2, 3, 1])]),
      ],
      initializers: [floats('w', [2, 3, 1, 1], [1, 2, 3, 4, 5, 6])],
    }),
  );
  t.deepEqual(model.graph.inputs, [{ name: 'x', shape: [1, 4, 4, 3] }]);
  t.deepEqual(
    model.graph.nodes.map(({ op }) => op),
    ['conv2d'],
  );
});

test('networks of the zoo compute the same after they are written as ONNX and read back', (t) => {
  for (const name of ['resnext_mnist', 'shufflenet_mnist', 'igcv1_mnist']) {
    const graph = zooGraph(name);
    const model = bind(graph, mapSource(initialWeights(graph, 1)));
    const imported = importOnnx(emitOnnx(model));
    const random = new RandomSource(2);
    const feeds = { input: Float64Array.from({ length: 28 * 28 }, () => random.normal()) };
    const [expected, actual] = [interpret(model, feeds)['logits']!, interpret(imported, feeds)['logits']!];
    expected.forEach((logit, index) => t.true(Math.abs(actual[index]! - logit) < 1e-5, `${name}: logit ${index}`));
    t.is(imported.graph.nodes.filter(({ op }) => op === 'transpose').length, 0, name);
  }
});

const relu = [node('Relu', ['x'], ['y'])];
for (const [title, parts, error, message] of [
  [
    'an unknown operator',
    { nodes: [node('NonMaxSuppression', ['x'], ['y'])] },
    UnsupportedError,
    "node 'the NonMaxSuppression' (NonMaxSuppression): the operator is not supported",
  ],
  [
    'an operator of another domain',
    { nodes: [{ ...relu[0], domain: 'com.microsoft' }] },
    UnsupportedError,
    "node 'the Relu' (Relu): operators of the domain 'com.microsoft' are not supported",
  ],
  [
    'an old operator set',
    { nodes: relu, opset: 3 },
    UnsupportedError,
    'the model uses operator set 3: 6 to 28 are supported',
  ],
  [
    'a missing value',
    { nodes: [node('Relu', ['h'], ['y'])] },
    InvalidInputError,
    "node 'the Relu' (Relu) reads 'h', which no earlier node computes",
  ],
  [
    'a cycle',
    { nodes: [node('Relu', ['b'], ['a']), node('Relu', ['a'], ['b'])], outputs: ['b'] },
    InvalidInputError,
    "node 'the Relu' (Relu) reads 'b', which no earlier node computes",
  ],
  [
    'a single number as its input',
    { nodes: relu, input: [] },
    UnsupportedError,
    "the input 'x' is a single number: only inputs with dimensions are supported",
  ],
  [
    'an open size of something that is no image',
    { nodes: relu, input: [1, 'samples'] },
    InvalidInputError,
    "dimension 1 of the input 'x' [1, samples] is open: only those of images, which have four dimensions, can be fixed by --input-shape C,H,W",
  ],
  [
    'no input',
    { nodes: relu, initializers: [floats('x', [1], [1])] },
    UnsupportedError,
    'the model has no inputs: there is nothing to run',
  ],
  [
    'too many nodes',
    { nodes: Array.from({ length: 20_001 }, () => node('Relu', ['x'], [''])) },
    UnsupportedError,
    'the model has 20001 nodes: at most 20000 are supported',
  ],
  ['a missing output', { nodes: relu, outputs: ['z'] }, InvalidInputError, "the output 'z' is computed by no node"],
  [
    'negative dimensions',
    { nodes: relu, initializers: [{ name: 'w', dims: [-1, 2], dataType: 1 }] },
    InvalidInputError,
    "tensor 'w' has shape [-1, 2]: sizes are 0 or more, at most 2^31 elements",
  ],
  [
    'a claim of 10 GB',
    { nodes: relu, initializers: [{ name: 'w', dims: [50000, 50000], dataType: 1, rawData: new Uint8Array(4) }] },
    InvalidInputError,
    "tensor 'w' has shape [50000, 50000]: sizes are 0 or more, at most 2^31 elements",
  ],
  [
    'too few weights',
    { nodes: relu, initializers: [{ name: 'w', dims: [2, 2], dataType: 1, rawData: new Uint8Array(4) }] },
    InvalidInputError,
    "tensor 'w' of shape [2, 2] and type float32 needs 4 values, the file has 4 bytes",
  ],
  [
    'a huge image',
    { nodes: relu, input: [1, 3, 100000, 100000] },
    InvalidInputError,
    "the input 'x' has shape [1, 3, 100000, 100000]: at most 2^28 values are supported",
  ],
  [
    'a kernel that does not fit',
    { nodes: [node('Conv', ['x', 'w'], ['y'])], initializers: [floats('w', [2, 3, 1, 1], [1, 2, 3, 4, 5, 6])] },
    UnsupportedError,
    "node 'the Conv' (Conv): 1 groups of a kernel of shape [2, 3, 1, 1] do not fit 2 channels",
  ],
  [
    'a window larger than the image',
    { nodes: [node('MaxPool', ['x'], ['y'], [ints('kernel_shape', [5, 5])])] },
    InvalidInputError,
    "node 'the MaxPool' (max-pool): a window of 5×5 pixels does not fit into 2×2 padded pixels",
  ],
] as const) {
  test(`a model with ${title} is refused in one sentence`, (t) => {
    t.throws(() => importOnnx(encode(parts as unknown as Parts)), { instanceOf: error, message });
  });
}

const external = (entries: Readonly<Record<string, string>>): Uint8Array =>
  encode({
    nodes: [node('Conv', ['x', 'w'], ['y'])],
    initializers: [
      {
        name: 'w',
        dims: [2, 2, 1, 1],
        dataType: TensorProto.DataType.FLOAT,
        dataLocation: TensorProto.DataLocation.EXTERNAL,
        externalData: Object.entries(entries).map(([key, entry]) => ({ key, value: entry })),
      },
    ],
  });

test('external data are read beside the model, and nowhere else', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-onnx-'));
  const inner = join(folder, 'inner');
  mkdirSync(inner);
  const weights = Float32Array.from([9, 1, 2, 3, 4]);
  writeFileSync(join(folder, 'outside.bin'), weights);
  writeFileSync(join(inner, 'weights.bin'), weights);
  symlinkSync(join(folder, 'outside.bin'), join(inner, 'link.bin'));
  const path = join(inner, 'model.onnx');
  const open = (entries: Readonly<Record<string, string>>): Model => {
    writeFileSync(path, external(entries));
    return importModel(path).model;
  };
  const good = { location: 'weights.bin', offset: '4', length: '16' };
  t.deepEqual([...open(good).weights.read('w')], [1, 2, 3, 4]);
  for (const [entries, message] of [
    [{ ...good, location: '../outside.bin' }, /external data '..\/outside.bin': it lies outside the model's folder$/],
    [{ ...good, location: '/etc/passwd' }, /external data '\/etc\/passwd': it lies outside the model's folder$/],
    [{ ...good, location: 'link.bin' }, /external data 'link.bin': it lies outside the model's folder$/],
    [{ ...good, location: 'absent.bin' }, /external data 'absent.bin': there is no such file beside the model$/],
    [{ ...good, offset: '8' }, /external data 'weights.bin': bytes 8 to 24 are asked for, but the file ends at 20$/],
    [{ ...good, offset: '-4' }, /tensor 'w' has external data with offset '-4': it must be a number of bytes$/],
    [{ ...good, length: '8' }, /tensor 'w' needs 16 bytes of external data, the file says 8$/],
    [{ offset: '0' }, /tensor 'w' has external data without a location$/],
  ] as const) {
    t.throws(() => open(entries), { instanceOf: InvalidInputError, message });
  }
});

test('what holds nothing is left out of a concatenation', (t) => {
  const nodes = [node('Concat', ['x', 'w'], ['y'], [{ name: 'axis', type: 2, i: 1 }])];
  const model = importOnnx(encode({ nodes, initializers: [floats('w', [1, 0, 2, 2], [])], input: [1, 1, 2, 2] }));
  t.deepEqual(run(model, [1, 2, 3, 4]), [1, 2, 3, 4]);
});

test('two inputs of one name are refused', (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'dgconv-onnx-')), 'model.onnx');
  writeFileSync(file, encode({ nodes: relu, inputs: ['x', 'x'] }));
  t.throws(() => importModel(file), { instanceOf: InvalidInputError, message: /two inputs are named 'x'$/ });
});

test('integers and constants may lie beside the model, too, and the hash of the source covers what does', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-onnx-'));
  const { INT64, FLOAT } = TensorProto.DataType;
  const beside = (name: string, dims: number[], dataType: number, offset: number): onnx.ITensorProto => ({
    name,
    dims,
    dataType,
    dataLocation: TensorProto.DataLocation.EXTERNAL,
    externalData: Object.entries({ location: 'all.bin', offset: `${offset}` }).map(([key, value]) => ({ key, value })),
  });
  const path = join(folder, 'model.onnx');
  writeFileSync(
    path,
    encode({
      nodes: [
        node('Reshape', ['x', 'shape'], ['flat']),
        node('Constant', [], ['c'], [{ name: 'value', type: 4, t: beside('', [4], FLOAT, 16) }]),
        node('Add', ['flat', 'c'], ['y']),
      ],
      initializers: [beside('shape', [2], INT64, 0)],
      input: [1, 4, 1, 1],
    }),
  );
  const open = (last: number): Model => {
    const bytes = new Uint8Array(32);
    bytes.set(new Uint8Array(BigInt64Array.of(1n, 4n).buffer));
    bytes.set(new Uint8Array(Float32Array.of(1, 2, 3, last).buffer), 16);
    writeFileSync(join(folder, 'all.bin'), bytes);
    return importModel(path).model;
  };
  const model = open(4);
  t.deepEqual([...interpret(model, { x: Float32Array.of(10, 20, 30, 40) })['y']!], [11, 22, 33, 44]);
  t.regex(model.graph.metadata.sourceHash!, /^[0-9a-f]{64}$/);
  t.is(model.graph.metadata.sourceHash, open(4).graph.metadata.sourceHash);
  t.not(model.graph.metadata.sourceHash, open(5).graph.metadata.sourceHash);
});

test('an operator on constants that lacks an operand is refused by name', (t) => {
  const operands = {
    Identity: 1,
    Transpose: 1,
    Concat: 1,
    Max: 1,
    Add: 2,
    Mod: 2,
    Gather: 2,
    Expand: 2,
    Tile: 2,
    Range: 3,
    Where: 3,
  };
  for (const [operator, count] of Object.entries(operands)) {
    const inputs = Array.from({ length: count - 1 }, () => 'c');
    const parts = { nodes: [node(operator, inputs, ['y'])], initializers: [floats('c', [1], [1])] };
    t.throws(() => importOnnx(encode(parts)), {
      instanceOf: UnsupportedError,
      message: `node 'the ${operator}' (${operator}): input ${count - 1} is missing`,
    });
  }
});

test('integers that are cut off, or longer than any, are refused before they are read', (t) => {
  const shape = integers('shape', [1, 300]);
  const bytes = encode({ nodes: [node('Reshape', ['x', 'shape'], ['y'])], initializers: [shape], input: [300] });
  const at = Buffer.from(bytes).indexOf(Buffer.of(1, 0xac, 2));
  t.notThrows(() => importOnnx(bytes));
  bytes.set([1, 2, 0xac], at);
  const refusal = { instanceOf: InvalidInputError, message: /^tensor 'shape' has an integer that does not end$/ };
  t.throws(() => importOnnx(bytes), refusal);
  // 300 takes two bytes and -1 ten: together they become one of twelve.
  const long = encode({
    nodes: [node('Reshape', ['x', 'shape'], ['y'])],
    initializers: [integers('shape', [300, -1])],
    input: [300],
  });
  long[Buffer.from(long).indexOf(Buffer.of(0xac, 2, 0xff)) + 1] = 0x82;
  t.throws(() => importOnnx(long), refusal);
});

test('whatever happens to the bytes of a model, the importer reads it or says why not', (t) => {
  const graph = zooGraph('resnext_mnist', { numClasses: 2 });
  const bytes = emitOnnx(bind(graph, mapSource(initialWeights(graph, 1))));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
      fc.nat(bytes.length),
      fc.boolean(),
      (changes, length, isCut) => {
        const mutated = Uint8Array.from(isCut ? bytes.subarray(0, length) : bytes);
        for (const [place, byte] of changes) if (place < mutated.length) mutated[place] = byte;
        try {
          importOnnx(mutated);
        } catch (error) {
          if (!(error instanceof DgconvError)) throw error;
        }
      },
    ),
    { numRuns: 300, seed: 1 },
  );
  t.pass();
});

test('what is computed from weights alone is a weight, so that standardised kernels are kernels', (t) => {
  const weight = floats('w', [1, 2, 1, 1], [1, 3]);
  const nodes = [
    node('ReduceMean', ['w'], ['mean'], [ints('axes', [1])]),
    node('Sub', ['w', 'mean'], ['centred']),
    node('Softplus', ['centred'], ['k']),
    node('Conv', ['x', 'k'], ['y']),
  ];
  const model = importOnnx(encode({ nodes, initializers: [weight], input: [1, 2, 1, 1] }));
  t.deepEqual(
    model.graph.nodes.map(({ op }) => op),
    ['conv2d'],
  );
  const expected = Math.log1p(Math.exp(-1)) + 10 * Math.log1p(Math.exp(1));
  t.true(Math.abs(run(model, [1, 10])[0]! - expected) < 1e-5);
});
