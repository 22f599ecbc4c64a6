import test from 'ava';
import fc from 'fast-check';
import { InvalidInputError } from '../errors.js';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import type { Connectivity } from './connectivity.js';
import { interpret, interpretAll } from './interpret.js';
import type { Activation } from './ops.js';
import { elementCount, type Shape } from './shape.js';
import { compactWeight, literalWeight } from './weight-constructors.js';
import { type NodeFields, singleNodeModel } from '../testing/single-node.js';

const run = (shapes: readonly Shape[], values: readonly (readonly number[])[], fields: NodeFields): number[] => [
  ...interpret(singleNodeModel(shapes, fields), Object.fromEntries(values.map((data, index) => ['abcd'[index]!, data])))
    .y!,
];
const round = (values: readonly number[]): number[] => values.map((value) => Math.round(value * 1e9) / 1e9);
const counting = (shape: Shape): number[] => Array.from({ length: elementCount(shape) }, (_, index) => index + 1);
const identity: Activation = { function: 'identity' };
const window = (
  kernelSize: [number, number],
  padding = [0, 0, 0, 0],
  strides: [number, number] = [1, 1],
  dilations: [number, number] = [1, 1],
) => ({
  kernelSize,
  strides,
  dilations,
  padding: { top: padding[0]!, bottom: padding[1]!, left: padding[2]!, right: padding[3]! },
});

const smallIntegers = (length: number) =>
  fc.array(fc.integer({ min: -3, max: 3 }), { minLength: length, maxLength: length });

test('a convolution of any mask, window and padding equals the textbook sum, bit for bit on integers', (t) => {
  const cases = fc
    .record({
      size: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 2, max: 5 }), fc.integer({ min: 2, max: 5 })),
      channels: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
      kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 })),
      strides: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
      dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
      padding: fc.array(fc.integer({ min: 2, max: 3 }), { minLength: 4, maxLength: 4 }),
      kind: fc.constantFrom('masked', 'grouping', 'condense' as const),
    })
    .chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        x: smallIntegers(elementCount(shape.size) * shape.channels[0]),
        weights: smallIntegers(elementCount(shape.channels) * elementCount(shape.kernel)),
        bias: smallIntegers(shape.channels[1]),
        bits: fc.array(fc.boolean(), {
          minLength: elementCount(shape.channels),
          maxLength: elementCount(shape.channels),
        }),
      }),
    );
  fc.assert(
    fc.property(
      cases,
      ({ shape: { size, channels, kernel, strides, dilations, padding, kind }, x, weights, bias, bits }) => {
        const [channelsIn, channelsOut] = channels;
        const mask = Mask.fromFunction(channelsOut, channelsIn, (o, i) => bits[o * channelsIn + i]!);
        const grouping = recogniseGrouping(mask);
        const dense = literalWeight([channelsOut, channelsIn, ...kernel], weights);
        const counts = { channelsOut, channelsIn };
        const connectivity: Connectivity =
          kind === 'masked'
            ? { kind: 'masked', ...counts, mask }
            : kind === 'grouping'
              ? grouping
              : { kind: 'learned', rule: 'condense', ...counts, groups: 1, condenseFactor: 1 };
        const shape = [...size, channelsIn];
        const actual = interpret(
          singleNodeModel([shape.with(0, 1)], {
            op: 'conv2d',
            attrs: { ...window(kernel, padding, strides, dilations), connectivity, pre: 'none', activation: identity },
            weights: {
              kernel: kind === 'grouping' ? compactWeight(dense, grouping) : dense,
              bias: literalWeight([channelsOut], bias),
              ...(kind === 'condense'
                ? { mask: literalWeight([channelsOut, channelsIn, 1, 1], bits.map(Number)) }
                : {}),
            },
          }),
          { a: x },
          { batch: size[0] },
        ).y!;
        const [batch, height, width] = size;
        const out = [0, 1].map(
          (axis) =>
            Math.floor(
              (size[axis + 1]! +
                padding[2 * axis]! +
                padding[2 * axis + 1]! -
                (kernel[axis]! - 1) * dilations[axis]! -
                1) /
                strides[axis]!,
            ) + 1,
        ) as [number, number];
        const expected: number[] = [];
        for (let n = 0; n < batch; n++)
          for (let row = 0; row < out[0]; row++)
            for (let column = 0; column < out[1]; column++)
              for (let o = 0; o < channelsOut; o++) {
                let sum = bias[o]!;
                for (let i = 0; i < channelsIn; i++)
                  for (let ky = 0; ky < kernel[0]; ky++)
                    for (let kx = 0; kx < kernel[1]; kx++) {
                      const y = row * strides[0] + ky * dilations[0] - padding[0]!;
                      const z = column * strides[1] + kx * dilations[1] - padding[2]!;
                      if (y < 0 || y >= height || z < 0 || z >= width || !mask.get(o, i)) continue;
                      sum +=
                        x[((n * height + y) * width + z) * channelsIn + i]! *
                        weights[((o * channelsIn + i) * kernel[0] + ky) * kernel[1] + kx]!;
                    }
                expected.push(sum);
              }
        t.deepEqual(
          [...actual].map((value) => value + 0),
          expected.map((value) => value + 0),
        );
      },
    ),
    { numRuns: 300, seed: 1 },
  );
});

test('a convolution applies its affine and ReLU before padding, then adds bias and residual, then activates', (t) => {
  const fields: NodeFields = {
    op: 'conv2d',
    attrs: {
      ...window([1, 2], [0, 0, 1, 0]),
      connectivity: { kind: 'dense', channelsOut: 1, channelsIn: 1, groups: 1 },
      pre: 'affine-relu',
      activation: { function: 'relu' },
    },
    weights: {
      kernel: literalWeight([1, 1, 1, 2], [1, 10]),
      bias: literalWeight([1], [5]),
      preScale: literalWeight([1], [2]),
      preShift: literalWeight([1], [3]),
    },
  };
  // pre: 2x+3 of [1, -4, 0] is [5, 0, 3] after ReLU; pairs with zero padding on the left: 50, 5, 30
  t.deepEqual(
    run(
      [
        [1, 1, 3, 1],
        [1, 1, 3, 1],
      ],
      [
        [1, -4, 0],
        [0, -20, 0.5],
      ],
      fields,
    ),
    [55, 0, 35.5],
  );
});

test('a transposed convolution is the adjoint of the convolution', (t) => {
  const attrs = { ...window([3, 2], [1, 0, 0, 1], [2, 1]), activation: identity };
  const adjoint = fc.record({
    x: smallIntegers(5 * 4 * 2),
    y: smallIntegers(2 * 4 * 4),
    kernel: smallIntegers(4 * 1 * 6),
  });
  fc.assert(
    fc.property(adjoint, ({ x, y, kernel }) => {
      // conv: 2 channels → 4 in 2 groups, kernel [4, 1, 3, 2]; its adjoint maps 4 channels → 2 with the same kernel.
      const forward = run([[1, 5, 4, 2]], [x], {
        op: 'conv2d',
        attrs: {
          ...attrs,
          connectivity: {
            kind: 'equal',
            channelsOut: 4,
            channelsIn: 2,
            groups: 2,
            outputOrder: [0, 1, 2, 3],
            inputOrder: [0, 1],
          },
          pre: 'none',
        },
        weights: { kernel: literalWeight([4, 1, 3, 2], kernel) },
      });
      const shape = [1, 2, 4, 4];
      t.is(forward.length, elementCount(shape));
      const backward = run([shape], [y], {
        op: 'conv2d-transpose',
        attrs: { ...attrs, channelsIn: 4, channelsOut: 2, groups: 2, outputPadding: [1, 0] },
        weights: { kernel: literalWeight([4, 1, 3, 2], kernel) },
      });
      const dot = (a: readonly number[], b: readonly number[]): number =>
        a.reduce((sum, value, k) => sum + value * b[k]!, 0);
      t.is(backward.length, x.length);
      t.is(dot(forward, y), dot(x, backward));
    }),
    { seed: 1 },
  );
});

test('pooling: padding never wins a maximum and counts in a mean only where asked', (t) => {
  const x = [-1, -2, -3, -4];
  const pool = window([2, 2], [1, 0, 1, 0]);
  t.deepEqual(run([[1, 2, 2, 1]], [x], { op: 'max-pool', attrs: pool }), [-1, -1, -1, -1]);
  const mean = (countPadding: boolean) =>
    run([[1, 2, 2, 1]], [x], { op: 'average-pool', attrs: { ...pool, countPadding } });
  t.deepEqual(mean(false), [-1, -1.5, -2, -2.5]);
  t.deepEqual(mean(true), [-0.25, -0.75, -1, -2.5]);
});

test('normalisation, affine and PReLU work per channel', (t) => {
  const x = [1, 2, 3, 4];
  t.deepEqual(
    run([[2, 2]], [x], {
      op: 'batch-norm',
      attrs: { channels: 2, epsilon: 0.25 },
      weights: {
        gamma: literalWeight([2], [2, 1]),
        mean: literalWeight([2], [1, 2]),
        variance: literalWeight([2], [3.75, 0.75]),
      },
    }),
    [0, 0, 2, 2],
  );
  t.deepEqual(
    run([[2, 2]], [x], {
      op: 'affine',
      attrs: { channels: 2 },
      weights: { scale: literalWeight([2], [1, -1]), shift: literalWeight([2], [0, 1]) },
    }),
    [1, -1, 3, -3],
  );
  t.deepEqual(
    run([[2, 2]], [[-1, -2, 3, 4]], {
      op: 'prelu',
      attrs: { channels: 2 },
      weights: { slope: literalWeight([2], [0.5, 2]) },
    }),
    [-0.5, -4, 3, 4],
  );
});

test('dense layers, matrix products and broadcasting', (t) => {
  t.deepEqual(
    run([[1, 2]], [[1, 2]], {
      op: 'dense',
      attrs: { channelsIn: 2, channelsOut: 3, activation: identity },
      weights: { kernel: literalWeight([3, 2], [1, 0, 0, 1, 1, 1]), bias: literalWeight([3], [10, 20, 30]) },
    }),
    [11, 22, 33],
  );
  t.deepEqual(
    run(
      [
        [2, 1, 2],
        [2, 2],
      ],
      [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
      { op: 'matmul', attrs: {} },
    ),
    [7, 10, 15, 22],
  );
  t.deepEqual(
    run(
      [[2, 1], [3]],
      [
        [10, 20],
        [1, 2, 3],
      ],
      { op: 'binary', attrs: { function: 'subtract', activation: { function: 'abs' } } },
    ),
    [9, 8, 7, 19, 18, 17],
  );
});

test('views move what they should', (t) => {
  const x = counting([2, 3]);
  const view = (fields: NodeFields): number[] => run([[2, 3]], [x], fields);
  t.deepEqual(view({ op: 'transpose', attrs: { permutation: [1, 0] } }), [1, 4, 2, 5, 3, 6]);
  t.deepEqual(view({ op: 'slice', attrs: { starts: [0, 2], sizes: [2, 2], steps: [1, -2] } }), [3, 1, 6, 4]);
  t.deepEqual(view({ op: 'take', attrs: { axis: 1, indices: [2, 2, 0] } }), [3, 3, 1, 6, 6, 4]);
  t.deepEqual(view({ op: 'reshape', attrs: { shape: [3, 2] } }), x);
  const pad = (mode: 'constant' | 'reflect' | 'edge') =>
    view({ op: 'pad', attrs: { before: [0, 2], after: [0, 1], mode, value: 9 } });
  t.deepEqual(pad('constant'), [9, 9, 1, 2, 3, 9, 9, 9, 4, 5, 6, 9]);
  t.deepEqual(pad('edge'), [1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6]);
  t.deepEqual(pad('reflect'), [3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5]);
  t.deepEqual(
    run(
      [
        [2, 1],
        [2, 2],
      ],
      [
        [1, 2],
        [3, 4, 5, 6],
      ],
      { op: 'concat', attrs: { axis: 1 } },
    ),
    [1, 3, 4, 2, 5, 6],
  );
});

test('reductions and softmax work along their axes', (t) => {
  const x = counting([2, 3]);
  const reduce = (name: 'mean' | 'sum' | 'max' | 'min', axes: number[]) =>
    run([[2, 3]], [x], { op: 'reduce', attrs: { function: name, axes, keepDims: false } });
  t.deepEqual(reduce('mean', [1]), [2, 5]);
  t.deepEqual(reduce('sum', [0]), [5, 7, 9]);
  t.deepEqual(reduce('max', [0, 1]), [6]);
  t.deepEqual(reduce('min', [1]), [1, 4]);
  const softmax = (axis: number) => round(run([[2, 2]], [[0, Math.log(3), 0, 0]], { op: 'softmax', attrs: { axis } }));
  t.deepEqual(softmax(1), [0.25, 0.75, 0.5, 0.5]);
  t.deepEqual(softmax(0), [0.5, 0.75, 0.5, 0.25]);
});

test('resizing follows the coordinate rules of ONNX', (t) => {
  const resize = (
    mode: 'nearest' | 'linear',
    coordinates: 'half-pixel' | 'pytorch-half-pixel' | 'align-corners' | 'asymmetric',
    width: number,
    rounding: 'round-prefer-floor' | 'round-prefer-ceil' | 'floor' | 'ceil' = 'round-prefer-floor',
  ) =>
    round(
      run([[1, 1, 3, 1]], [[0, 6, 12]], {
        op: 'resize',
        attrs: { size: [1, width], mode, coordinates, rounding, scales: null },
      }),
    );
  t.deepEqual(resize('linear', 'half-pixel', 6), [0, 1.5, 4.5, 7.5, 10.5, 12]);
  t.deepEqual(resize('linear', 'align-corners', 5), [0, 3, 6, 9, 12]);
  t.deepEqual(resize('linear', 'asymmetric', 6), [0, 3, 6, 9, 12, 12]);
  t.deepEqual(resize('linear', 'pytorch-half-pixel', 1), [0]);
  t.deepEqual(resize('nearest', 'asymmetric', 6, 'floor'), [0, 0, 6, 6, 12, 12]);
  t.deepEqual(resize('nearest', 'asymmetric', 6, 'round-prefer-floor'), [0, 0, 6, 6, 12, 12]);
  t.deepEqual(resize('nearest', 'asymmetric', 6, 'round-prefer-ceil'), [0, 6, 6, 12, 12, 12]);
  t.deepEqual(resize('nearest', 'half-pixel', 2), [0, 12]);
  const nearest = {
    size: [1, 6],
    mode: 'nearest',
    coordinates: 'asymmetric',
    rounding: 'floor',
    scales: null,
  } as const;
  t.deepEqual(run([[1, 1, 3, 1]], [[1, Infinity, NaN]], { op: 'resize', attrs: nearest }), [
    1,
    1,
    Infinity,
    Infinity,
    NaN,
    NaN,
  ]);
});

test('pointwise functions have the textbook values', (t) => {
  const at = (activation: Activation, x: number): number =>
    round(run([[1, 1]], [[x]], { op: 'activation', attrs: { activation } }))[0]!;
  const values: [Activation, number, number][] = [
    [{ function: 'relu' }, -1, 0],
    [{ function: 'relu6' }, 7, 6],
    [{ function: 'sigmoid' }, Math.log(3), 0.75],
    [{ function: 'sigmoid' }, -800, 0],
    [{ function: 'hard-swish' }, 1, 0.666666667],
    [{ function: 'swish' }, Math.log(3), 0.823959217],
    [{ function: 'tanh' }, 0.5, 0.462117157],
    [{ function: 'gelu' }, 1, 0.841344746],
    [{ function: 'softplus' }, 0, 0.693147181],
    [{ function: 'erf' }, 0.5, 0.520499878],
    [{ function: 'erf' }, -3, -0.99997791],
    [{ function: 'erf' }, 9, 1],
    [{ function: 'leaky-relu', alpha: 0.1 }, -2, -0.2],
    [{ function: 'elu', alpha: 2 }, -1, -1.264241118],
    [{ function: 'clip', alpha: -1, beta: 1 }, 3, 1],
    [{ function: 'hard-sigmoid', alpha: 0.2, beta: 0.5 }, 1, 0.7],
    [{ function: 'reciprocal' }, 4, 0.25],
    [{ function: 'negate' }, 4, -4],
  ];
  for (const [activation, x, y] of values) t.is(at(activation, x), y, JSON.stringify(activation));
});

test('feeds that are missing or do not fit are refused by name', (t) => {
  const model = singleNodeModel([[1, 2]], { op: 'identity', attrs: {} });
  t.throws(() => interpret(model, {}), {
    instanceOf: InvalidInputError,
    message: "no values are given for the input 'a'",
  });
  t.throws(() => interpret(model, { a: [1, 2] }, { batch: 2 }), {
    message: "input 'a' has 2 values, its shape [2, 2] needs 4",
  });
  t.deepEqual(Object.keys(interpretAll(model, { a: [1, 2] })), ['a', 'node']);
});
