import type { Activation, BinaryFunction, Padding, Shape } from '@dgconv/core';
import { type GoldenCase, identity, literal, singleOpCase } from './golden-case.js';

const none: Padding = { top: 0, bottom: 0, left: 0, right: 0 };
const around = (size: number): Padding => ({ top: size, bottom: size, left: size, right: size });
const image = (height: number, width: number, channels: number): Shape => [1, height, width, channels];

const pools = (): GoldenCase[] =>
  (['max-pool', 'average-pool'] as const).flatMap((op) =>
    [
      { label: '2×2 stride 2', size: [8, 10, 6], kernelSize: [2, 2], strides: [2, 2], padding: none },
      { label: '3×3 stride 2 padding 1', size: [9, 9, 5], kernelSize: [3, 3], strides: [2, 2], padding: around(1) },
      { label: '3×3 stride 1', size: [5, 5, 17], kernelSize: [3, 3], strides: [1, 1], padding: none },
      { label: '1×4 on a row', size: [1, 9, 3], kernelSize: [1, 4], strides: [1, 2], padding: none },
      {
        label: 'padding on two sides',
        size: [6, 7, 4],
        kernelSize: [3, 2],
        strides: [2, 2],
        padding: { ...none, bottom: 1, right: 1 },
      },
    ].flatMap(({ label, size, kernelSize, strides, padding }) => {
      const window = {
        kernelSize: kernelSize as [number, number],
        strides: strides as [number, number],
        dilations: [1, 1] as const,
        padding,
      };
      const shape = image(size[0]!, size[1]!, size[2]!);
      if (op === 'max-pool') {
        return [singleOpCase(`max-pool, ${label}`, 'max-pool', [shape], true, () => ({ attrs: window, weights: {} }))];
      }
      return [true, false].map((countPadding) =>
        singleOpCase(
          `average-pool, ${label}, padding ${countPadding ? 'counts' : 'does not count'}`,
          'average-pool',
          [shape],
          false,
          () => ({
            attrs: { ...window, countPadding },
            weights: {},
          }),
        ),
      );
    }),
  );

const exactActivations: readonly Activation[] = [
  { function: 'identity' },
  { function: 'relu' },
  { function: 'relu6' },
  { function: 'abs' },
  { function: 'negate' },
  { function: 'floor' },
  { function: 'ceil' },
  { function: 'leaky-relu', alpha: 0.25 },
  { function: 'clip', alpha: -2, beta: 3 },
];
const roundedActivations: readonly Activation[] = [
  { function: 'sigmoid' },
  { function: 'hard-swish' },
  { function: 'swish' },
  { function: 'tanh' },
  { function: 'exp' },
  { function: 'gelu' },
  { function: 'softplus' },
  { function: 'erf' },
  { function: 'elu', alpha: 0.7 },
  { function: 'hard-sigmoid', alpha: 0.2, beta: 0.5 },
];
const positiveActivations: readonly Activation[] = [
  { function: 'sqrt' },
  { function: 'log' },
  { function: 'reciprocal' },
];

const activationCase = (activation: Activation, exact: boolean, positive = false): GoldenCase =>
  singleOpCase(
    `activation, ${activation.function}`,
    'activation',
    [image(3, 5, 7)],
    exact,
    () => ({ attrs: { activation }, weights: {} }),
    positive ? (values, length) => values.positive(length) : undefined,
  );

const binaries = (): GoldenCase[] => {
  const exact: readonly BinaryFunction[] = ['add', 'subtract', 'multiply', 'maximum', 'minimum'];
  const shapes: readonly (readonly [string, Shape, Shape])[] = [
    ['equal shapes', image(3, 4, 5), image(3, 4, 5)],
    ['one value a channel', image(3, 4, 5), [5]],
    ['one value a pixel', image(3, 4, 5), image(3, 4, 1)],
    ['both broadcast', image(3, 1, 5), image(1, 4, 1)],
    ['a scalar on the left', [1], image(2, 3, 4)],
  ];
  return [
    ...exact.flatMap((name) =>
      shapes.map(([label, left, right]) =>
        singleOpCase(`binary, ${name}, ${label}`, 'binary', [left, right], true, () => ({
          attrs: { function: name, activation: identity },
          weights: {},
        })),
      ),
    ),
    ...(['divide', 'power'] as const).map((name) =>
      singleOpCase(
        `binary, ${name}`,
        'binary',
        [image(3, 4, 5), image(3, 4, 5)],
        false,
        () => ({ attrs: { function: name, activation: identity }, weights: {} }),
        (values, length) => values.positive(length),
      ),
    ),
    singleOpCase('binary, add with ReLU', 'binary', [image(3, 4, 5), image(3, 4, 5)], true, () => ({
      attrs: { function: 'add', activation: { function: 'relu' } },
      weights: {},
    })),
  ];
};

const denseLayers = (): GoldenCase[] =>
  [
    [1, 1],
    [7, 5],
    [64, 10],
    [33, 130],
  ].flatMap(([channelsIn, channelsOut]) =>
    [true, false].map((exact) =>
      singleOpCase(
        `dense, ${channelsIn}→${channelsOut}${exact ? ', integers' : ''}`,
        'dense',
        [[1, channelsIn!]],
        exact,
        (values) => ({
          attrs: { channelsIn: channelsIn!, channelsOut: channelsOut!, activation: identity },
          weights: {
            kernel: literal([channelsOut!, channelsIn!], values.array(channelsIn! * channelsOut!)),
            bias: literal([channelsOut!], values.array(channelsOut!)),
          },
        }),
      ),
    ),
  );

const transposedConvs = (): GoldenCase[] =>
  [
    { label: 'stride 2', channelsIn: 6, channelsOut: 4, groups: 1, kernel: 3, stride: 2, padding: 1, extra: 1 },
    {
      label: '2×2 stride 2, 2 groups',
      channelsIn: 8,
      channelsOut: 6,
      groups: 2,
      kernel: 2,
      stride: 2,
      padding: 0,
      extra: 0,
    },
    { label: '4×4 stride 1', channelsIn: 3, channelsOut: 5, groups: 1, kernel: 4, stride: 1, padding: 2, extra: 0 },
  ].map(({ label, channelsIn, channelsOut, groups, kernel, stride, padding, extra }) =>
    singleOpCase(`conv2d-transpose, ${label}`, 'conv2d-transpose', [image(4, 5, channelsIn)], true, (values) => ({
      attrs: {
        channelsIn,
        channelsOut,
        groups,
        kernelSize: [kernel, kernel],
        strides: [stride, stride],
        dilations: [1, 1],
        padding: around(padding),
        outputPadding: [extra, extra],
        activation: identity,
      },
      weights: {
        kernel: literal(
          [channelsIn, channelsOut / groups, kernel, kernel],
          values.array((channelsIn * channelsOut * kernel * kernel) / groups),
        ),
        bias: literal([channelsOut], values.array(channelsOut)),
      },
    })),
  );

const resizes = (): GoldenCase[] =>
  (['half-pixel', 'pytorch-half-pixel', 'align-corners', 'asymmetric'] as const).flatMap((coordinates) =>
    (['nearest', 'linear'] as const).flatMap((mode) =>
      [
        [8, 6],
        [2, 9],
        [1, 1],
      ].map(([height, width]) =>
        singleOpCase(
          `resize, ${mode}, ${coordinates}, 4×3 to ${height}×${width}`,
          'resize',
          [image(4, 3, 5)],
          false,
          () => ({
            attrs: { size: [height!, width!], mode, coordinates, rounding: 'floor', scales: null },
            weights: {},
          }),
        ),
      ),
    ),
  );

const roundings = (): GoldenCase[] =>
  (['round-prefer-floor', 'round-prefer-ceil', 'ceil'] as const).map((rounding) =>
    singleOpCase(`resize, nearest, ${rounding}, 4×3 to 6×2`, 'resize', [image(4, 3, 5)], true, () => ({
      attrs: { size: [6, 2], mode: 'nearest', coordinates: 'half-pixel', rounding, scales: null },
      weights: {},
    })),
  );

const shapeOps = (): GoldenCase[] => [
  singleOpCase('softmax over channels', 'softmax', [[1, 10]], false, () => ({ attrs: { axis: 1 }, weights: {} })),
  singleOpCase('softmax over rows', 'softmax', [image(5, 3, 4)], false, () => ({ attrs: { axis: 1 }, weights: {} })),
  ...(['mean', 'sum', 'max', 'min'] as const).flatMap((name) =>
    [
      { axes: [1, 2], keepDims: false },
      { axes: [1, 2], keepDims: true },
      { axes: [3], keepDims: true },
    ].map((attrs) =>
      singleOpCase(
        `reduce, ${name} over ${attrs.axes.join(' and ')}${attrs.keepDims ? ', kept' : ''}`,
        'reduce',
        [image(4, 4, 6)],
        name !== 'mean',
        () => ({
          attrs: { function: name, ...attrs },
          weights: {},
        }),
      ),
    ),
  ),
  ...[1, 2, 3].map((axis) => {
    const other = [1, 3, 4, 5].map((size, index) => (index === axis ? 2 : size));
    return singleOpCase(`concat along ${axis}`, 'concat', [image(3, 4, 5), other, image(3, 4, 5)], true, () => ({
      attrs: { axis },
      weights: {},
    }));
  }),
  singleOpCase('slice of channels', 'slice', [image(3, 4, 9)], true, () => ({
    attrs: { starts: [0, 0, 0, 2], sizes: [1, 3, 4, 5], steps: [1, 1, 1, 1] },
    weights: {},
  })),
  singleOpCase('slice with steps', 'slice', [image(7, 8, 3)], true, () => ({
    attrs: { starts: [0, 1, 0, 0], sizes: [1, 3, 4, 3], steps: [1, 2, 2, 1] },
    weights: {},
  })),
  ...(['constant', 'reflect', 'edge'] as const).map((mode) =>
    singleOpCase(`pad, ${mode}`, 'pad', [image(4, 5, 3)], true, () => ({
      attrs: { before: [0, 1, 2, 0], after: [0, 2, 1, 0], mode, value: mode === 'constant' ? 3 : 0 },
      weights: {},
    })),
  ),
  singleOpCase('transpose, rows and channels', 'transpose', [image(3, 4, 5)], true, () => ({
    attrs: { permutation: [0, 3, 2, 1] },
    weights: {},
  })),
  singleOpCase('reshape to a vector', 'reshape', [image(3, 4, 5)], true, () => ({
    attrs: { shape: [1, 60] },
    weights: {},
  })),
  singleOpCase('take, a channel shuffle', 'take', [image(3, 3, 8)], true, () => ({
    attrs: { axis: 3, indices: [0, 4, 1, 5, 2, 6, 3, 7] },
    weights: {},
  })),
  singleOpCase('take with repetitions', 'take', [image(3, 3, 4)], true, () => ({
    attrs: { axis: 3, indices: [3, 3, 0, 1, 0] },
    weights: {},
  })),
  singleOpCase('prelu', 'prelu', [image(4, 4, 9)], true, (values) => ({
    attrs: { channels: 9 },
    weights: { slope: literal([9], values.array(9)) },
  })),
  singleOpCase('affine', 'affine', [image(4, 4, 9)], true, (values) => ({
    attrs: { channels: 9 },
    weights: { scale: literal([9], values.array(9)), shift: literal([9], values.array(9)) },
  })),
  singleOpCase(
    'matmul of two values',
    'matmul',
    [
      [1, 5, 7],
      [1, 7, 6],
    ],
    true,
    () => ({ attrs: {}, weights: {} }),
  ),
];

/** Everything but convolutions. */
export const otherCases = (): GoldenCase[] => [
  ...pools(),
  ...exactActivations.map((activation) => activationCase(activation, true)),
  ...roundedActivations.map((activation) => activationCase(activation, false)),
  ...positiveActivations.map((activation) => activationCase(activation, false, true)),
  ...binaries(),
  ...denseLayers(),
  ...transposedConvs(),
  ...resizes(),
  ...roundings(),
  ...shapeOps(),
];
