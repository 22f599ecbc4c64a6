import { interpret, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import type { onnx } from 'onnx-proto';
import { importOnnx } from './onnx.js';
import { encode, floats, integers, node, value } from './testing/onnx-bytes.js';

const y = (bytes: Uint8Array, x: readonly number[]): number[] => Array.from(interpret(importOnnx(bytes), { x })['y']!);

/** A branch that computes `result` from x of the graph around it. */
const branch = (name: string, factor: number): onnx.IAttributeProto => ({
  name,
  type: 5,
  g: {
    name,
    node: [node('Mul', ['x', 'factor'], ['result'])],
    initializer: [floats('factor', [], [factor])],
    output: [value('result', [])],
  },
});

test('an If on a shape becomes the branch that is taken', (t) => {
  const nodes = [
    node('Shape', ['x'], ['shape']),
    node('Gather', ['shape', 'one'], ['channels']),
    node('Equal', ['channels', 'two'], ['has_two']),
    node('If', ['has_two'], ['y'], [branch('then_branch', 10), branch('else_branch', 100)]),
  ];
  const initializers = [integers('one', [1]), integers('two', [2])];
  t.deepEqual(y(encode({ nodes, initializers, input: [1, 2] }), [1, 2]), [10, 20]);
  t.deepEqual(y(encode({ nodes, initializers, input: [1, 3] }), [1, 2, 3]), [100, 200, 300]);
});

test('an If on the image is refused', (t) => {
  const nodes = [node('If', ['x'], ['y'], [branch('then_branch', 1), branch('else_branch', 2)])];
  t.throws(() => importOnnx(encode({ nodes, input: [1, 1] })), {
    instanceOf: UnsupportedError,
    message: "node 'the If' (If): its condition depends on the image; only conditions on shapes can be decided",
  });
});

const call = (operator: string, inputs: readonly string[], output: string, slope?: number): onnx.INodeProto => ({
  ...node(operator, inputs, [output], slope === undefined ? [] : [{ name: 'slope', f: slope, type: 1 }]),
  name: output,
  domain: 'ours',
});

test("a model's own functions stand for their nodes, with the attributes of each call", (t) => {
  const leaky: onnx.IFunctionProto = {
    name: 'leaky',
    domain: 'ours',
    input: ['v', 'offset'],
    output: ['w'],
    node: [
      { ...node('LeakyRelu', ['v'], ['bent']), attribute: [{ name: 'alpha', refAttrName: 'slope', type: 1 }] },
      node('Clip', ['bent', 'offset'], ['w']),
    ],
    attribute: ['slope'],
    opsetImport: [{ domain: '', version: 13 }],
  };
  const nodes = [call('leaky', ['x'], 'once', 0.5), call('leaky', ['once', 'least'], 'y', 0.25)];
  const initializers = [floats('least', [], [-1])];
  t.deepEqual(y(encode({ nodes, initializers, functions: [leaky], input: [1, 4] }), [-16, -4, 0, 2]), [-1, -0.5, 0, 2]);
});

test('a function that calls itself ends in one sentence', (t) => {
  const self = { name: 'self', domain: 'ours', input: ['v'], output: ['w'], node: [call('self', ['v'], 'w')] };
  t.throws(() => importOnnx(encode({ nodes: [call('self', ['x'], 'y')], functions: [self] })), {
    instanceOf: UnsupportedError,
    message: /\(self\): functions and branches make more than 20000 nodes, or nest too deep$/,
  });
});

test('an output that a branch does not compute is named', (t) => {
  const empty = { name: 'then_branch', type: 5, g: { name: 'b', node: [], output: [value('nothing', [])] } };
  const nodes = [node('If', ['yes'], ['y'], [empty])];
  const initializers = [{ name: 'yes', dims: [], dataType: 9, int32Data: [1] }];
  t.throws(() => importOnnx(encode({ nodes, initializers })), {
    message: /its output 'nothing' is computed by no node/,
  });
});

test('an input of bytes is an image if it is only moved and cast', (t) => {
  const cast = [{ name: 'to', i: 1, type: 2 }];
  const moved = [node('Transpose', ['x'], ['moved']), node('Cast', ['moved'], ['y'], cast)];
  t.deepEqual(y(encode({ nodes: moved, input: [1, 3], inputType: 2 }), [1, 2, 255]), [1, 2, 255]);
  const divided = [node('Div', ['x', 'x'], ['d']), node('Cast', ['d'], ['y'], cast)];
  t.throws(() => importOnnx(encode({ nodes: divided, input: [1, 3], inputType: 2 })), {
    instanceOf: UnsupportedError,
    message:
      "the input 'x' is uint8: only floating-point inputs are supported, and integers that are cast to it at once",
  });
});
