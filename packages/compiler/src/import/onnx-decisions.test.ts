import { interpret, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import type { onnx } from 'onnx-proto';
import { importOnnx } from './onnx.js';
import { encode, floats, integers, ints, node } from './testing/onnx-bytes.js';

/** y of a model of these nodes, x `[1, 4]` or of another shape. */
function computed(
  nodes: onnx.INodeProto[],
  x: readonly number[],
  initializers: onnx.ITensorProto[] = [],
  input: readonly number[] = [1, x.length],
  opset = 18,
): number[] {
  return Array.from(interpret(importOnnx(encode({ nodes, initializers, input, opset })), { x })['y']!);
}

const x = [-2, 0, 1e-30, 3];

test('comparisons answer 1 and 0, also for the smallest differences', (t) => {
  const zero = [floats('zero', [], [0])];
  const answers = {
    Greater: [0, 0, 1, 1],
    Less: [1, 0, 0, 0],
    GreaterOrEqual: [0, 1, 1, 1],
    LessOrEqual: [1, 1, 0, 0],
    Equal: [0, 1, 0, 0],
  };
  for (const [operator, expected] of Object.entries(answers)) {
    t.deepEqual(computed([node(operator, ['x', 'zero'], ['y'])], x, zero), expected, operator);
  }
});

test('a choice takes one value where a condition holds, and the other elsewhere', (t) => {
  const nodes = [
    node('Greater', ['x', 'zero'], ['positive']),
    node('Less', ['x', 'two'], ['small']),
    node('And', ['positive', 'small'], ['both']),
    node('Where', ['both', 'ten', 'x'], ['y']),
  ];
  const numbers = [floats('zero', [], [0]), floats('two', [], [2]), floats('ten', [], [10])];
  t.deepEqual(computed(nodes, x, numbers), [-2, 0, 10, 3]);
  const known = { name: 'known', dims: [4], dataType: 9, int32Data: [1, 0, 0, 1] };
  t.deepEqual(computed([node('Where', ['known', 'x', 'ten'], ['y'])], x, [...numbers, known]), [-2, 10, 10, 3]);
  t.throws(() => computed([node('Where', ['known', 'x', 'low'], ['y'])], x, [known, floats('low', [], [-Infinity])]), {
    instanceOf: UnsupportedError,
    message: /node 'the Where' \(Where\): a choice between values of which one is infinite is not supported/,
  });
});

test('the sign and a threshold are exact', (t) => {
  t.deepEqual(computed([node('Sign', ['x'], ['y'])], x), [-1, 0, 1, 1]);
  const alpha = { name: 'alpha', f: 1, type: 1 };
  t.deepEqual(computed([node('ThresholdedRelu', ['x'], ['y'], [alpha])], [0.5, 1, 1.5, 3]), [0, 0, 1.5, 3]);
});

test('the place of the largest and of the smallest value is the first or the last one, as asked', (t) => {
  // Two channels of 1×3 pixels, channels last: on pixel 1 they tie.
  const place = (operator: string, axis: number, isLast: number, keepDims: number): number[] =>
    computed(
      [
        node(
          operator,
          ['x'],
          ['place'],
          [
            { name: 'axis', i: axis, type: 2 },
            { name: 'keepdims', i: keepDims, type: 2 },
            { name: 'select_last_index', i: isLast, type: 2 },
          ],
        ),
        // As exporters write it: the answer is made int32 and used as a number.
        node('Cast', ['place'], ['whole'], [{ name: 'to', i: 6, type: 2 }]),
        node('Cast', ['whole'], ['y'], [{ name: 'to', i: 1, type: 2 }]),
      ],
      [1, 4, 5, 5, 7, 6],
      [],
      [1, 2, 1, 3],
    );
  for (const keepDims of [0, 1]) {
    t.deepEqual(place('ArgMax', 1, 0, keepDims), [1, 0, 0]);
    t.deepEqual(place('ArgMax', 1, 1, keepDims), [1, 1, 0]);
    t.deepEqual(place('ArgMin', 1, 0, keepDims), [0, 0, 1]);
    t.deepEqual(place('ArgMax', -1, 0, keepDims), [2, 2]);
  }
});

test('a cast of computed numbers to integers is refused by name', (t) => {
  t.throws(() => computed([node('Cast', ['x'], ['y'], [{ name: 'to', i: 7, type: 2 }])], x), {
    instanceOf: UnsupportedError,
    message: /a cast to int64 is not supported/,
  });
});

test('functions of newer sets are what their definitions say', (t) => {
  const close = (operator: string, of: (v: number) => number, attributes: onnx.IAttributeProto[] = []): void => {
    const found = computed([node(operator, ['x'], ['y'], attributes)], [-2, -0.5, 0, 3], [], [1, 4], 24);
    [-2, -0.5, 0, 3].forEach((v, index) => t.true(Math.abs(found[index]! - of(v)) < 1e-6, `${operator}(${v})`));
  };
  close('Mish', (v) => v * Math.tanh(Math.log1p(Math.exp(v))));
  close('Swish', (v) => v / (1 + Math.exp(-v)));
  close('Swish', (v) => v / (1 + Math.exp(-2 * v)), [{ name: 'alpha', f: 2, type: 1 }]);
  const inner = (v: number): number => Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3);
  const bytes = new TextEncoder().encode('tanh');
  close('Gelu', (v) => 0.5 * v * (1 + Math.tanh(inner(v))), [{ name: 'approximate', s: bytes, type: 3 }]);
});

test('normalisation over groups, over everything and by length', (t) => {
  // Two pixels of four channels: the first two have mean 0 and variance 1, the last two mean 5 and variance 4.
  const groups = [
    { name: 'num_groups', i: 2, type: 2 },
    { name: 'epsilon', f: 0, type: 1 },
  ];
  const nodes = [node('GroupNormalization', ['x', 'scale', 'shift'], ['y'], groups)];
  const normal = (opset: number, size: number): number[] =>
    computed(
      nodes,
      [1, 1, 7, 3, -1, -1, 3, 7],
      [
        floats('scale', [size], size === 2 ? [1, 2] : [1, 1, 2, 2]),
        floats('shift', [size], new Array<number>(size).fill(3)),
      ],
      [1, 4, 1, 2],
      opset,
    ).map((value) => Math.round(value * 1e6) / 1e6);
  const expected = [4, 4, 5, 1, 2, 2, 1, 5];
  t.deepEqual(normal(18, 2), expected, 'scales by group');
  t.deepEqual(normal(21, 4), expected, 'scales by channel');
  t.deepEqual(computed([node('LpNormalization', ['x'], ['y'])], [3, 4]), [0.6, 0.8]);
  t.deepEqual(
    computed([node('LpNormalization', ['x'], ['y'], [{ name: 'p', i: 1, type: 2 }])], [3, -1]),
    [0.75, -0.25],
  );
  const all = computed([node('MeanVarianceNormalization', ['x'], ['y'], [ints('axes', [1])])], [1, 3]);
  t.true(all.every((value, index) => Math.abs(value - [-1, 1][index]!) < 1e-6));
});

test('places along several axes are gathered', (t) => {
  const at = { ...integers('at', [0, 1, 0, 0]), dims: [2, 2] };
  // x [1, 2, 2]: the rows (0, 1) and (0, 0).
  t.deepEqual(computed([node('GatherND', ['x', 'at'], ['y'])], [1, 2, 3, 4], [at], [1, 2, 2]), [3, 4, 1, 2]);
  t.throws(() => computed([node('GatherND', ['x', 'at'], ['y'])], [1, 2], [at], [1, 1, 2]), {
    message: /the index \[0, 1\] is outside \[1, 1, 2\]/,
  });
});

test('the size that scales lead to is a product of float32, as in ONNX Runtime', (t) => {
  // 1.3 is a little less in float32, 10 times it lies halfway between 13 and the float below, and is rounded to 13.
  const scales = [floats('scales', [4], [1, 1, 1, Math.fround(1.3)])];
  const row = Array.from({ length: 10 }, (_, index) => index);
  t.is(computed([node('Resize', ['x', '', 'scales'], ['y'])], row, scales, [1, 1, 1, 10]).length, 13);
  t.is(computed([node('Upsample', ['x', 'scales'], ['y'])], row, scales, [1, 1, 1, 10], 9).length, 13);
});
