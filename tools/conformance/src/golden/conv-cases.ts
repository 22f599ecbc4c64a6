import {
  type Activation,
  type Connectivity,
  type Grouping,
  Mask,
  maskOf,
  type Padding,
  recogniseGrouping,
  type Shape,
} from '@dgconv/core';
import { type CaseValues, type GoldenCase, identity, literal, singleOpCase } from './golden-case.js';

interface ConvCase {
  readonly label: string;
  readonly height: number;
  readonly width: number;
  readonly grouping: Grouping;
  readonly kernelSize?: readonly [number, number];
  readonly strides?: readonly [number, number];
  readonly dilations?: readonly [number, number];
  readonly padding?: Padding;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly pre?: boolean;
  readonly activation?: Activation;
}

const range = (length: number): number[] => Array.from({ length }, (_, index) => index);
const same = (kernel: readonly [number, number]): Padding => ({
  top: (kernel[0] - 1) >> 1,
  bottom: kernel[0] >> 1,
  left: (kernel[1] - 1) >> 1,
  right: kernel[1] >> 1,
});

/** `groups` contiguous groups. */
function contiguous(channelsIn: number, channelsOut: number, groups: number): Grouping {
  if (groups === 1) return { kind: 'dense', groups: 1, channelsIn, channelsOut };
  return {
    kind: 'equal',
    groups,
    channelsIn,
    channelsOut,
    inputOrder: range(channelsIn),
    outputOrder: range(channelsOut),
  };
}

const fromSupports = (channelsIn: number, supports: readonly (readonly number[])[]): Grouping =>
  recogniseGrouping(Mask.fromSupports(channelsIn, supports));

function convCase({ label, exact, ...options }: ConvCase & { exact: boolean }): GoldenCase {
  const { grouping, kernelSize = [3, 3], strides = [1, 1], dilations = [1, 1] } = options;
  const padding = options.padding ?? same(kernelSize);
  const output = (input: number, axis: 0 | 1, before: number, after: number): number =>
    Math.floor((input + before + after - dilations[axis] * (kernelSize[axis] - 1) - 1) / strides[axis]) + 1;
  const input: Shape = [1, options.height, options.width, grouping.channelsIn];
  const residual: Shape = [
    1,
    output(options.height, 0, padding.top, padding.bottom),
    output(options.width, 1, padding.left, padding.right),
    grouping.channelsOut,
  ];
  const describe = (values: CaseValues) => {
    const pairs = maskOf(grouping).nonZeros;
    const rectangular = grouping.kind === 'dense' || grouping.kind === 'equal' || grouping.kind === 'shared-inputs';
    const shape: Shape = rectangular
      ? [grouping.channelsOut, pairs / grouping.channelsOut, ...kernelSize]
      : [pairs, ...kernelSize];
    const count = pairs * kernelSize[0] * kernelSize[1];
    return {
      attrs: {
        kernelSize,
        strides,
        dilations,
        padding,
        connectivity: grouping as Connectivity,
        pre: options.pre === true ? ('affine-relu' as const) : ('none' as const),
        activation: options.activation ?? identity,
      },
      weights: {
        kernel: literal(shape, values.array(count)),
        ...(options.bias === false
          ? {}
          : { bias: literal([grouping.channelsOut], values.array(grouping.channelsOut)) }),
        ...(options.pre === true
          ? {
              preScale: literal([grouping.channelsIn], values.positive(grouping.channelsIn)),
              preShift: literal([grouping.channelsIn], values.array(grouping.channelsIn)),
            }
          : {}),
      },
    };
  };
  return singleOpCase(
    `conv2d, ${label}${exact ? ', integers' : ''}`,
    'conv2d',
    options.residual === true ? [input, residual] : [input],
    exact,
    describe,
  );
}

const relu: Activation = { function: 'relu' };

/** Channels a group that a vector divides, does not divide, and is divided by; at sizes that no tile divides. */
const groupSizes: readonly ConvCase[] = [1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 40].flatMap((perGroup) =>
  [3, 8].map((groups) => ({
    label: `${groups} groups of ${perGroup}, 5×9`,
    height: 5,
    width: 9,
    grouping: contiguous(perGroup * groups, perGroup * groups, groups),
    activation: relu,
  })),
);

const unequalSides: readonly ConvCase[] = [
  [4, 8],
  [8, 4],
  [1, 3],
  [3, 1],
  [16, 2],
  [2, 16],
].map(([inputs, outputs]) => ({
  label: `4 groups of ${inputs}→${outputs}, 6×7`,
  height: 6,
  width: 7,
  grouping: contiguous(4 * inputs!, 4 * outputs!, 4),
}));

const denseSizes: readonly ConvCase[] = [1, 2, 3, 13, 16, 33, 64].flatMap((channelsIn) =>
  [1, 10, 32].map((channelsOut) => ({
    label: `1×1 dense ${channelsIn}→${channelsOut}, 4×5`,
    height: 4,
    width: 5,
    kernelSize: [1, 1] as const,
    grouping: contiguous(channelsIn, channelsOut, 1),
  })),
);

const images: readonly ConvCase[] = [
  [1, 1],
  [1, 17],
  [17, 1],
  [2, 2],
  [7, 7],
  [8, 15],
  [13, 14],
].flatMap(([height, width]) =>
  [1, 4].map((perGroup) => ({
    label: `4 groups of ${perGroup}, ${height}×${width}`,
    height: height!,
    width: width!,
    grouping: contiguous(4 * perGroup, 4 * perGroup, 4),
  })),
);

const kernel = (label: string, options: Partial<ConvCase>): ConvCase => ({
  label,
  height: 11,
  width: 10,
  grouping: contiguous(16, 16, 4),
  ...options,
});

const windows: readonly ConvCase[] = [
  ...[1, 4].flatMap((groups) => {
    const grouping = contiguous(12, 12, groups);
    return [
      kernel(`${groups} groups, 1×1`, { grouping, kernelSize: [1, 1] }),
      kernel(`${groups} groups, 5×5`, { grouping, kernelSize: [5, 5] }),
      kernel(`${groups} groups, 7×7 stride 2`, { grouping, kernelSize: [7, 7], strides: [2, 2] }),
      kernel(`${groups} groups, 1×3`, { grouping, kernelSize: [1, 3] }),
      kernel(`${groups} groups, 2×2 stride 2`, { grouping, kernelSize: [2, 2], strides: [2, 2] }),
      kernel(`${groups} groups, stride 2`, { grouping, strides: [2, 2] }),
      kernel(`${groups} groups, stride 3×2`, { grouping, strides: [3, 2] }),
      kernel(`${groups} groups, dilation 2`, {
        grouping,
        dilations: [2, 2],
        padding: { top: 2, bottom: 2, left: 2, right: 2 },
      }),
      kernel(`${groups} groups, no padding`, { grouping, padding: { top: 0, bottom: 0, left: 0, right: 0 } }),
      kernel(`${groups} groups, padding on two sides`, { grouping, padding: { top: 0, bottom: 1, left: 2, right: 0 } }),
      kernel(`${groups} groups, padding wider than the kernel`, {
        grouping,
        padding: { top: 4, bottom: 3, left: 3, right: 4 },
      }),
    ];
  }),
  kernel('stem, 3 channels 7×7 stride 2', { grouping: contiguous(3, 24, 1), kernelSize: [7, 7], strides: [2, 2] }),
  kernel('stem, 1 channel', { grouping: contiguous(1, 16, 1) }),
  kernel('depthwise with multiplier 3', { grouping: contiguous(6, 18, 6) }),
];

const extras: readonly ConvCase[] = [
  kernel('without bias', { bias: false }),
  kernel('residual and ReLU', { residual: true, activation: relu }),
  kernel('residual, 8 a group', { grouping: contiguous(32, 32, 4), residual: true }),
  kernel('residual, 1×1 dense', {
    grouping: contiguous(16, 24, 1),
    kernelSize: [1, 1],
    residual: true,
    activation: relu,
  }),
  kernel('affine and ReLU before it', { pre: true }),
  kernel('affine and ReLU before it, 1×1', { pre: true, kernelSize: [1, 1], grouping: contiguous(20, 16, 1) }),
  ...(
    [{ function: 'relu6' }, { function: 'clip', alpha: -3, beta: 5 }, { function: 'leaky-relu', alpha: 0.5 }] as const
  ).map((activation) => kernel(activation.function, { activation })),
];

const learned: readonly ConvCase[] = [
  kernel('groups at permuted channels', {
    grouping: fromSupports(
      16,
      range(16).map((o) => range(16).filter((i) => ((o ^ i) & 0b0101) === 0)),
    ),
  }),
  kernel('groups that outputs take in another order than inputs', {
    grouping: fromSupports(
      12,
      range(12).map((o) => range(12).filter((i) => i % 4 === Math.floor(o / 3))),
    ),
  }),
  kernel('unequal groups', {
    grouping: fromSupports(10, [[0, 3], [1, 2, 4, 9], [0, 3], [5], [1, 2, 4, 9], [0, 3], [6, 7, 8], [6, 7, 8]]),
  }),
  kernel('an output without inputs and an input without outputs', {
    grouping: fromSupports(6, [[0, 1], [], [2, 3], [0, 1], [2, 3]]),
  }),
  kernel('shared inputs, 1×1', {
    kernelSize: [1, 1],
    grouping: fromSupports(
      12,
      range(8).map((o) => (o % 2 === 0 ? [0, 2, 5, 7] : [1, 2, 5, 11])),
    ),
  }),
  kernel('shared inputs with affine and ReLU before it', {
    kernelSize: [1, 1],
    pre: true,
    grouping: fromSupports(
      12,
      range(8).map((o) => (o % 2 === 0 ? [0, 2, 5, 7] : [1, 2, 5, 11])),
    ),
  }),
  kernel('shared outputs, 1×1', {
    kernelSize: [1, 1],
    grouping: fromSupports(
      8,
      range(12).map((o) => range(8).filter((i) => (i % 2 === 0 ? [0, 2, 5, 7] : [1, 2, 5, 11]).includes(o))),
    ),
  }),
  kernel('unstructured', {
    grouping: fromSupports(
      7,
      range(9).map((o) => range(7).filter((i) => (o * 5 + i * 3 + ((o * i) % 4)) % 3 !== 0)),
    ),
  }),
];

const floatActivations: readonly ConvCase[] = (
  [
    { function: 'sigmoid' },
    { function: 'hard-swish' },
    { function: 'swish' },
    { function: 'tanh' },
    { function: 'hard-sigmoid', alpha: 1 / 6, beta: 0.5 },
  ] as const
).map((activation) => kernel(activation.function, { activation }));

/** Convolutions: group sizes, window shapes, borders, fused operations, every kind of grouping. */
export const convCases = (): GoldenCase[] => [
  ...[groupSizes, unequalSides, denseSizes, images, windows, extras, learned]
    .flat()
    .map((options) => convCase({ ...options, exact: true })),
  ...[groupSizes, windows, learned, floatActivations].flat().map((options) => convCase({ ...options, exact: false })),
];
