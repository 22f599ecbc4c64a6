import {
  DgconvError,
  inferShapes,
  initialWeights,
  interpret,
  InvalidInputError,
  mapSource,
  type Model,
  UnsupportedError,
  verifyGraph,
  zooGraph,
} from '@dgconv/core';
import { randomFeeds, randomModel } from '@dgconv/core/testing';
import test from 'ava';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { compile } from '../compile.js';
import { TfliteBuilder } from '../emit/tflite-builder.js';
import { operators, type OptionField, type TfliteOperator } from '../emit/tflite-schema.js';
import { emitTflite } from '../emit/tflite.js';
import { importTflite, tfliteOps } from './tflite.js';

/** Random networks; a nightly run asks for more. */
const networks = Number(process.env['DGCONV_RANDOM_NETWORKS'] ?? 200);

const compiled = (model: Model): Model => compile(model, { formats: ['tflite'] }).targets.tflite!;

test('a network that is written as TFLite is read back as what it was', (t) => {
  let compared = 0;
  for (let seed = 0; seed < networks; seed += 1) {
    const model = compiled(randomModel(seed, { size: 6 + (seed % 20) }));
    const imported = importTflite(emitTflite(model));
    verifyGraph(imported.graph);
    t.deepEqual(imported.graph.inputs, model.graph.inputs);
    const feeds = randomFeeds(model.graph, seed);
    const expected = interpret(model, feeds);
    const actual = interpret(imported, feeds);
    for (const [name, values] of Object.entries(expected)) {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
      const error = values.reduce((most, value, at) => Math.max(most, Math.abs(value - actual[name]![at]!)), 0);
      t.true(error <= 1e-5 * largest, `network ${seed}, output ${name}: ${error} of ${largest}`);
      compared += 1;
    }
  }
  t.true(compared >= networks);
});

test('a single number that is known is written as TFLite and read back', (t) => {
  const node = { inputs: [], origin: [] };
  const value = { kind: 'literal', shape: [], values: [4] } as const;
  const graph: Model['graph'] = {
    formatVersion: '1.0',
    inputs: [{ name: 'x', shape: [1, 2] }],
    nodes: [{ ...node, id: 'y', op: 'constant', attrs: { shape: [] }, weights: { value } }],
    outputs: [{ name: 'y', value: 'y' }],
    metadata: { name: 'number' },
  };
  const imported = importTflite(emitTflite(compiled({ graph, weights: mapSource(new Map()) })));
  t.deepEqual([...inferShapes(imported.graph).get('y')!], []);
  t.deepEqual([...interpret(imported, { x: [1, 2] })['y']!], [4]);
});

test('layers keep their names, groups, preprocessing and classes', (t) => {
  const graph = zooGraph('resnext_mnist');
  const preprocessing = { resizeShorterSide: null, colour: 'grey', mean: [0.5], standardDeviation: [0.25] } as const;
  const classNames = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
  const metadata = { ...graph.metadata, preprocessing, classNames };
  const model = compiled({ graph: { ...graph, metadata }, weights: mapSource(initialWeights(graph, 1)) });
  const imported = importTflite(emitTflite(model)).graph;
  t.deepEqual(imported.metadata.preprocessing, preprocessing);
  t.deepEqual(imported.metadata.classNames, classNames);
  const convolutions = ({ nodes }: Model['graph']) =>
    nodes.flatMap((node) => (node.op === 'conv2d' ? [[node.id, node.attrs.connectivity]] : []));
  t.true(convolutions(imported).length > 5);
  t.deepEqual(convolutions(imported), convolutions(model.graph));
});

interface Step {
  readonly operator: TfliteOperator;
  readonly shape: readonly number[];
  readonly options?: readonly OptionField[];
  /** Inputs behind x: integers, or floats with a shape. */
  readonly constants?: readonly (
    readonly number[] | { readonly shape: readonly number[]; readonly floats: number[] }
  )[];
}

/** A file of one operation on `x`. */
const oneOperation = (shape: readonly number[], { operator, shape: result, options, constants }: Step) => {
  const builder = new TfliteBuilder(() => []);
  const x = builder.input('x', shape);
  const others = (constants ?? []).map((values) =>
    'floats' in values
      ? builder.floats('floats', values.shape, Float32Array.from(values.floats))
      : builder.integers('integers', values),
  );
  builder.define('y', 'y', () => builder.op(operator, [x, ...others], result, options));
  return builder.finish('one', [{ name: 'x', tensor: x }], [{ name: 'y', tensor: builder.tensor('y') }], {});
};

const op = (code: number, optionsType = 0): TfliteOperator => ({ code, optionsType, version: 1 });
const int = (value: number): OptionField => ['int32', value];

/** Operators that we read and never write; values as TensorFlow's documentation defines them. */
const cases: Readonly<Record<string, Step & { readonly of: readonly number[]; readonly gives: readonly number[] }>> = {
  'DEPTH_TO_SPACE moves channels into blocks': {
    operator: op(5, 94),
    options: [int(2)],
    of: [1, 1, 2, 4],
    shape: [1, 2, 4, 1],
    gives: [1, 2, 5, 6, 3, 4, 7, 8],
  },
  'SPACE_TO_DEPTH is its inverse': {
    operator: op(26, 19),
    options: [int(2)],
    of: [1, 2, 4, 1],
    shape: [1, 1, 2, 4],
    gives: [1, 2, 5, 6, 3, 4, 7, 8],
  },
  'STRIDED_SLICE reads begin, end and masks': {
    operator: op(45, 32),
    options: [int(1), int(1), int(0), int(0), int(2)],
    constants: [[0, -1, 1], [0, 0, 4], [1, 1, 2]], // prettier-ignore
    of: [1, 2, 4],
    shape: [1, 2],
    gives: [6, 8],
  },
  'EXPAND_DIMS counts the axis from the end': {
    operator: op(70, 52),
    constants: [[-1]],
    of: [1, 3],
    shape: [1, 3, 1],
    gives: [1, 2, 3],
  },
  'TILE repeats': { operator: op(69), constants: [[1, 2, 1]], of: [1, 1, 2], shape: [1, 2, 2], gives: [1, 2, 1, 2] },
  'REVERSE_V2 turns round': { operator: op(105), constants: [[1]], of: [1, 3], shape: [1, 3], gives: [3, 2, 1] },
  'MIRROR_PAD repeats the border where it is symmetric': {
    operator: op(100, 77),
    options: [['int8', 1]],
    constants: [[0, 0, 2, 1]],
    of: [1, 3],
    shape: [1, 6],
    gives: [2, 1, 1, 2, 3, 3],
  },
  'SQUARE multiplies with itself': { operator: op(92), of: [1, 3], shape: [1, 3], gives: [1, 4, 9] },
  SQUARED_DIFFERENCE: {
    operator: op(99),
    constants: [{ shape: [1], floats: [3] }],
    of: [1, 3],
    shape: [1, 3],
    gives: [4, 1, 0],
  },
  RSQRT: { operator: op(76), of: [1, 1], shape: [1, 1], gives: [1] },
  'L2_NORMALIZATION divides by the length': {
    operator: op(11, 18),
    of: [1, 2],
    shape: [1, 2],
    gives: [1 / Math.sqrt(5), 2 / Math.sqrt(5)],
  },
  LOG_SOFTMAX: {
    operator: op(50),
    of: [1, 2],
    shape: [1, 2],
    gives: [-Math.log(1 + Math.E), 1 - Math.log(1 + Math.E)],
  },
  'SOFTMAX with a beta': {
    operator: op(25, 9),
    options: [['float', 2]],
    of: [1, 2],
    shape: [1, 2],
    gives: [1 / (1 + Math.exp(2)), 1 / (1 + Math.exp(-2))],
  },
  'PRELU with a slope for each pixel': {
    operator: op(54),
    constants: [{ shape: [2, 1], floats: [-1, 5] }],
    of: [1, 2, 1],
    shape: [1, 2, 1],
    gives: [1, 2],
  },
  'ADD with a fused ReLU6': {
    operator: op(0, 11),
    options: [['int8', 3]],
    constants: [{ shape: [1], floats: [4.5] }],
    of: [1, 3],
    shape: [1, 3],
    gives: [5.5, 6, 6],
  },
};
for (const [title, step] of Object.entries(cases)) {
  test(title, (t) => {
    const model = importTflite(oneOperation(step.of, step));
    const x = Float32Array.from({ length: step.of.reduce((a, b) => a * b, 1) }, (_, index) => index + 1);
    t.deepEqual(inferShapes(model.graph).get(model.graph.outputs[0]!.value), step.shape);
    const { y } = interpret(model, { x });
    y!.forEach((value, index) => t.true(Math.abs(value - step.gives[index]!) < 1e-6, `${[...y!].join()}`));
  });
}

test('shape arithmetic on constants is computed at import', (t) => {
  const builder = new TfliteBuilder(() => []);
  const x = builder.input('x', [1, 2, 3]);
  const shape = builder.op(op(77, 55), [x], [3]);
  const bounds = [[1], [2], [1]].map((values) => builder.integers('bounds', values));
  const rows = builder.op(op(45, 32), [shape, ...bounds], [], [int(0), int(0), int(0), int(0), int(1)]);
  const packed = builder.op(op(83, 59), [rows, builder.integers('three', [3], [])], [2], [int(2), int(0)]);
  builder.define('y', 'y', () => builder.op(operators.reshape, [x, packed], [2, 3]));
  const bytes = builder.finish('one', [{ name: 'x', tensor: x }], [{ name: 'y', tensor: builder.tensor('y') }], {});
  const { graph } = importTflite(bytes);
  t.deepEqual(graph.nodes.map((node) => [node.op, node.attrs]), [['reshape', { shape: [2, 3] }]]); // prettier-ignore
});

test('what cannot be read is named', (t) => {
  const refused = (step: Step, of: readonly number[], message: RegExp) =>
    t.throws(() => importTflite(oneOperation(of, step)), { instanceOf: UnsupportedError, message });
  refused({ operator: op(16), shape: [1, 3] }, [1, 3], /^node 'y' \(LSTM\): the operator is not supported$/);
  refused({ operator: op(250), shape: [1, 3] }, [1, 3], /^node 'y' \(builtin operator 250\)/);
  refused({ operator: op(38), shape: [1, 3] }, [1, 3], /^node 'y' \(SPACE_TO_BATCH_ND\)/);
  const gelu = { operator: op(150, 116), options: [['bool', 1] as const], shape: [1, 3] };
  refused(gelu, [1, 3], /^node 'y' \(GELU\): its approximation by tanh is not supported$/);
  t.throws(() => importTflite(new Uint8Array(3)), { instanceOf: InvalidInputError, message: /no TFL3 flatbuffer/ });
});

const graph = zooGraph('resnext_mnist');
const small = emitTflite(compiled(randomModel(11, { size: 12 })));
const network = emitTflite(compiled({ graph, weights: mapSource(initialWeights(graph, 1)) }));

/** Either a well-formed model or one of our errors. */
const survives = (bytes: Uint8Array): boolean => {
  try {
    verifyGraph(importTflite(bytes).graph);
    return true;
  } catch (error) {
    if (error instanceof DgconvError) return true;
    throw error;
  }
};

test('a file that is cut off anywhere is refused or read, never a crash', (t) => {
  fc.assert(
    fc.property(fc.nat(small.length - 1), (length) => survives(small.subarray(0, length))),
    { numRuns: 500, seed: 1 },
  );
  for (let length = 0; length < 200; length += 1) t.throws(() => importTflite(network.subarray(0, length)));
  t.throws(() => importTflite(network.subarray(0, network.length >> 1)), { instanceOf: InvalidInputError });
});

test('a file with any bytes changed is refused or read, never a crash', (t) => {
  const change = fc.record({ at: fc.nat(small.length - 1), value: fc.nat(255) });
  // Offsets, sizes and enums are words at even places: half of the changes hit those with interesting values.
  const word = fc.record({
    at: fc.nat((small.length >> 2) - 1),
    value: fc.constantFrom(0, 1, -1, 4, 0x7fffffff, -(2 ** 31)),
  });
  const outcome = fc.assert(
    fc.property(fc.array(change, { maxLength: 6 }), fc.array(word, { maxLength: 3 }), (bytes, words) => {
      const changed = small.slice();
      const view = new DataView(changed.buffer);
      for (const { at, value } of bytes) changed[at] = value;
      for (const { at, value } of words) view.setInt32(4 * at, value, true);
      return survives(changed);
    }),
    { numRuns: 3000, seed: 1 },
  );
  t.is(outcome, undefined);
});

test('docs/tflite-import.md lists exactly the operators that the importer has', (t) => {
  const text = readFileSync(new URL('../../../../../docs/tflite-import.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Family '));
  const listed = rows.flatMap((row) =>
    row
      .split('|')[2]!
      .split(',')
      .map((name) => name.trim()),
  );
  t.deepEqual(listed.toSorted(), [...tfliteOps.keys()].sort());
});
