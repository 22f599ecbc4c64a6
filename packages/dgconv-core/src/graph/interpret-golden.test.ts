import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import { type NodeFields, singleNodeModel } from '../testing/single-node.js';
import type { Connectivity } from './connectivity.js';
import { interpret } from './interpret.js';
import type { Shape } from './shape.js';
import { mapSource } from './sources.js';
import { storedWeight } from './weight-constructors.js';

interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
const reference = new URL('../../../../../../shared/reference/', import.meta.url);
const golden = existsSync(reference) ? test : test.skip;
const readCases = <Case>(file: string): readonly Case[] =>
  (JSON.parse(readFileSync(new URL(file, reference), 'utf8')) as { cases: Case[] }).cases;

/** NCHW → NHWC or back, by the order of the dimensions. */
const permute = (values: ArrayLike<number>, shape: Shape, permutation: readonly number[]): number[] => [
  ...interpret(singleNodeModel([shape], { op: 'transpose', attrs: { permutation } }), { a: values }).y!,
];

function checkGolden(
  connectivity: Connectivity,
  geometry: { kernel: number; stride: number; padding: number; dilation?: number },
  tensors: { x: GoldenTensor; y: GoldenTensor; bias: number[] | null; slots: Record<string, GoldenTensor> },
): number {
  const { kernel, stride, padding, dilation = 1 } = geometry;
  const { x, y, bias, slots } = tensors;
  const biasTensor = bias === null ? {} : { bias: { shape: [bias.length], data: bias } };
  const stored = Object.entries<GoldenTensor>({ ...slots, ...biasTensor });
  const model = singleNodeModel([[1, x.shape[2]!, x.shape[3]!, x.shape[1]!]], {
    op: 'conv2d',
    attrs: {
      kernelSize: [kernel, kernel],
      strides: [stride, stride],
      dilations: [dilation, dilation],
      padding: { top: padding, bottom: padding, left: padding, right: padding },
      connectivity,
      pre: 'none',
      activation: { function: 'identity' },
    },
    weights: Object.fromEntries(stored.map(([name]) => [name, storedWeight(name)])),
  } as unknown as NodeFields);
  const weights = mapSource(
    new Map(stored.map(([name, { shape, data }]) => [name, { shape, values: Float32Array.from(data) }])),
  );
  const feed = permute(x.data, x.shape, [0, 2, 3, 1]);
  const actual = interpret({ ...model, weights }, { a: feed }, { batch: x.shape[0]! }).y!;
  const expected = permute(y.data, y.shape, [0, 2, 3, 1]);
  return Math.max(...expected.map((value, k) => Math.abs(value - actual[k]!))) / Math.max(...expected.map(Math.abs));
}

golden('a dgconv convolution computes what the public PyTorch code computed (needs ../shared/reference)', (t) => {
  const cases = readCases<{
    channels: number;
    kernel: number;
    stride: number;
    padding: number;
    dilation: number;
    sort: boolean;
    gates: number[];
    x: GoldenTensor;
    y: GoldenTensor;
    weight: GoldenTensor;
    bias: number[] | null;
  }>('dgconv_pytorch.json');
  t.true(cases.length > 0);
  for (const { channels, sort, gates, x, y, weight, bias, ...geometry } of cases) {
    // Their `sort` puts the factors that are off outermost.
    const ordered = sort ? gates.toSorted((left, right) => Math.sign(left) - Math.sign(right)) : gates;
    const slots = { kernel: weight, gates: { shape: [gates.length], data: ordered } };
    const connectivity = { kind: 'learned', rule: 'dgconv', channelsOut: channels, channelsIn: channels } as const;
    t.true(checkGolden(connectivity, geometry, { x, y, bias, slots }) < 1e-5);
  }
});

golden('an FLGC convolution computes what the public PyTorch code computed (needs ../shared/reference)', (t) => {
  const cases = readCases<{
    in_channels: number;
    out_channels: number;
    kernel: number;
    stride: number;
    padding: number;
    groups: number;
    S: GoldenTensor;
    T: GoldenTensor;
    x: GoldenTensor;
    y: GoldenTensor;
    weight: GoldenTensor;
    bias: number[] | null;
  }>('flgc_pytorch.json');
  t.true(cases.length > 0);
  for (const { in_channels, out_channels, groups, S, T, x, y, weight, bias, ...geometry } of cases) {
    const slots = { kernel: weight, inputAssignment: S, outputAssignment: T };
    const connectivity = {
      kind: 'learned',
      rule: 'flgc',
      channelsOut: out_channels,
      channelsIn: in_channels,
      groups,
    } as const;
    t.true(checkGolden(connectivity, geometry, { x, y, bias, slots }) < 1e-5);
  }
});
