import { interpret } from '@dgconv/core';
import test from 'ava';
import { compile } from '../compile.js';
import { importOnnx } from '../import/onnx.js';
import { decodeOnnx } from '../import/onnx-file.js';
import { encode, floats, integers, ints, node, type Parts } from '../import/testing/onnx-bytes.js';
import { emitOnnx } from './onnx.js';

const transposes = (bytes: Uint8Array): number =>
  decodeOnnx(bytes).graph.nodes.filter(({ operator }) => operator === 'Transpose').length;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => ((index * 7) % 11) - 5);

/** Self-attention with two heads of three features on four tokens. */
const attention: Parts = {
  input: [1, 4, 6],
  nodes: [
    node('Reshape', ['x', 'heads'], ['split']),
    node('Transpose', ['split'], ['q'], [ints('perm', [0, 2, 1, 3])]),
    node('Transpose', ['split'], ['k'], [ints('perm', [0, 2, 3, 1])]),
    node('MatMul', ['q', 'k'], ['scores']),
    node('Mul', ['scores', 'scale'], ['scaled']),
    node('Softmax', ['scaled'], ['weights'], [{ name: 'axis', type: 2, i: -1 }]),
    node('MatMul', ['weights', 'q'], ['mixed']),
    node('Transpose', ['mixed'], ['joined'], [ints('perm', [0, 2, 1, 3])]),
    node('Reshape', ['joined', 'tokens'], ['y']),
  ],
  initializers: [integers('heads', [1, 4, 2, 3]), integers('tokens', [1, 4, 6]), floats('scale', [1], [0.125])],
};

/** A convolution, a layer normalisation and a dense layer over its channels, as in ConvNeXt. */
const channelsLastBlock: Parts = {
  input: [1, 3, 2, 2],
  nodes: [
    node('Conv', ['x', 'w'], ['conv']),
    node('Transpose', ['conv'], ['last'], [ints('perm', [0, 2, 3, 1])]),
    node('ReduceMean', ['last'], ['mean'], [ints('axes', [-1]), { name: 'keepdims', type: 2, i: 1 }]),
    node('Sub', ['last', 'mean'], ['centred']),
    node('MatMul', ['centred', 'dense'], ['mixed']),
    node('Add', ['mixed', 'bias'], ['shifted']),
    node('Transpose', ['shifted'], ['first'], [ints('perm', [0, 3, 1, 2])]),
    node('Add', ['first', 'x'], ['y']),
  ],
  initializers: [
    floats('w', [3, 3, 1, 1], numbers(9)),
    floats('dense', [3, 3], numbers(9)),
    floats('bias', [3], [1, 2, 3]),
  ],
};

for (const [title, parts, length] of [
  ['attention', attention, 24],
  ['a block that works channels last', channelsLastBlock, 12],
] as const) {
  test(`${title} is written with no more transposes than it was read with, and computes the same`, (t) => {
    const source = encode(parts);
    const model = importOnnx(source);
    const written = emitOnnx(compile(model, { formats: ['onnx'] }).targets.onnx!);
    t.true(transposes(written) <= transposes(source), `${transposes(source)} became ${transposes(written)}`);
    const feeds = { x: Float32Array.from(numbers(length)) };
    const [actual, expected] = [interpret(importOnnx(written), feeds)['y']!, interpret(model, feeds)['y']!];
    t.is(actual.length, length);
    expected.forEach((value, index) => t.true(Math.abs(value - actual[index]!) < 1e-5));
  });
}
