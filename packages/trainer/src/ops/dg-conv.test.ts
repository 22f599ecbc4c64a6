import { existsSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { gateFactors } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { findBackends, useBackend } from '../backends.js';
import * as tf from '../tf.js';
import { dgConv2d } from './dg-conv.js';

const { available } = await findBackends();
const goldenFile = new URL('../../../../../../shared/reference/dgconv_pytorch.json', import.meta.url);

interface Tensor {
  readonly shape: [number, number, number, number];
  readonly data: number[];
}

interface GoldenCase {
  readonly seed: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly sort: boolean;
  readonly gates: number[];
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: number[] | null;
  readonly y: Tensor;
  readonly dy: number[];
  readonly regularizer: number;
  readonly lambda_: number;
  readonly grad: { x: number[]; weight: number[]; bias: number[] | null; gate: number[] };
}

const nhwc = ({ shape, data }: Tensor) => tf.transpose(tf.tensor(data, shape), [0, 2, 3, 1]) as tfc.Tensor4D;
const hwio = ({ shape, data }: Tensor) => tf.transpose(tf.tensor(data, shape), [2, 3, 1, 0]) as tfc.Tensor4D;

const largestDifference = (actual: tfc.Tensor, expected: tfc.Tensor) =>
  actual.size === 0 ? 0 : tf.tidy(() => tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]!);

for (const backend of available) {
  if (!existsSync(goldenFile)) {
    test.skip(`skipped: golden DGConv cases on ${backend}: ../shared is absent`, (t) => t.pass());
  } else {
    test.serial(`on ${backend} all golden DGConv cases of the public PyTorch code are met`, async (t) => {
      await useBackend(backend);
      const { cases } = JSON.parse(readFileSync(goldenFile, 'utf8')) as { cases: GoldenCase[] };
      t.is(cases.length, 6);
      for (const golden of cases) tf.tidy(() => checkGolden(t, golden));
    });
  }

  test.serial(
    `on ${backend} DGConv and its gradients equal the masked dense formula, for any channel counts`,
    async (t) => {
      await useBackend(backend);
      fc.assert(
        fc.property(layers, (layer) => tf.tidy(() => checkAgainstMask(t, layer))),
        { numRuns: backend === 'wasm' ? 30 : 60, seed: 1 },
      );
    },
  );

  test.serial(`on ${backend} gates that are NaN or do not fit are refused`, async (t) => {
    await useBackend(backend);
    tf.tidy(() => {
      const x = tf.zeros<tfc.Rank.R4>([1, 3, 3, 4]);
      const kernel = tf.zeros<tfc.Rank.R4>([1, 1, 4, 6]);
      t.throws(() => dgConv2d(x, kernel, tf.tensor1d([NaN])), { name: 'InvalidInputError', message: /gate 0 is NaN/ });
      t.throws(() => dgConv2d(x, kernel, tf.tensor1d([1, 1])), { message: /2 gates do not fit 4 → 6 channels/ });
    });
  });
}

function checkGolden(t: ExecutionContext, golden: GoldenCase): void {
  const { stride, padding, dilation, sort } = golden;
  const options = {
    strides: stride,
    padding: [
      [0, 0],
      [padding, padding],
      [padding, padding],
      [0, 0],
    ],
    dilations: dilation,
  } as const;
  // Their `sort` puts the gates that are off first; in hard gates ties keep their order.
  const order = golden.gates.map((_, index) => index);
  if (sort) order.sort((a, b) => Number(golden.gates[a]! > 0) - Number(golden.gates[b]! > 0) || a - b);
  const forward = (x: tfc.Tensor, kernel: tfc.Tensor, gates: tfc.Tensor, bias: tfc.Tensor) =>
    tf.add(dgConv2d(x as tfc.Tensor4D, kernel as tfc.Tensor4D, gates as tfc.Tensor1D, options), bias);
  const channels = golden.weight.shape[0]!;
  const inputs = [
    nhwc(golden.x),
    hwio(golden.weight),
    tf.tensor1d(order.map((gate) => golden.gates[gate]!)),
    tf.tensor1d(golden.bias ?? new Array<number>(channels).fill(0)),
  ];
  const dy = nhwc({ shape: golden.y.shape, data: golden.dy });
  const { value, grads } = tf.valueAndGrads(forward)(inputs, dy);
  const near = (name: string, actual: tfc.Tensor, expected: tfc.Tensor, tolerance: number) => {
    const difference = largestDifference(actual, expected);
    t.true(difference <= tolerance, `case ${golden.seed}: ${name} differs by ${difference}`);
  };
  near('y', value, nhwc(golden.y), 1e-5);
  near('dx', grads[0]!, nhwc({ shape: golden.x.shape, data: golden.grad.x }), 2e-5);
  near('dkernel', grads[1]!, hwio({ shape: golden.weight.shape, data: golden.grad.weight }), 5e-5);
  if (golden.grad.bias) near('dbias', grads[3]!, tf.tensor1d(golden.grad.bias), 5e-5);
  // Theirs is the gradient of loss + λ·2^(K + Σg): take the regulariser's part off.
  const regulariser = golden.lambda_ * golden.regularizer * Math.LN2;
  const expectedGates = tf.tensor1d(order.map((gate) => golden.grad.gate[gate]!));
  near('dgates', tf.add(grads[2]!, regulariser), expectedGates, 1e-4);
}

const factor = fc.constantFrom(1, 2, 3, 4, 5, 6, 8, 9);

const layers = fc.record({
  common: factor,
  extraIn: fc.integer({ min: 1, max: 3 }),
  extraOut: fc.integer({ min: 1, max: 3 }),
  kernel: fc.constantFrom(1, 2, 3),
  stride: fc.constantFrom(1, 2),
  dilation: fc.constantFrom(1, 2),
  padding: fc.constantFrom('same', 'valid' as const),
  onBits: fc.nat(255),
  seed: fc.nat(1e6),
});

/** `U_0 ⊗ … ⊗ U_{K-1} ⊗ 1` as explicit products; `special` replaces one factor by J - I. */
function explicitMask(factors: number[], on: boolean[], outer: [number, number], special = -1): number[][] {
  let mask = [[1]];
  const kron = (a: number[][], b: number[][]) =>
    a.flatMap((rowA) => b.map((rowB) => rowA.flatMap((valueA) => rowB.map((valueB) => valueA * valueB))));
  factors.forEach((p, k) => {
    const u = Array.from({ length: p }, (_, row) =>
      Array.from({ length: p }, (_unused, col) => {
        if (k === special) return row === col ? 0 : 1;
        return on[k] || row === col ? 1 : 0;
      }),
    );
    mask = kron(mask, u);
  });
  return kron(
    mask,
    Array.from({ length: outer[0] }, () => new Array<number>(outer[1]).fill(1)),
  );
}

function checkAgainstMask(t: ExecutionContext, layer: typeof layers extends fc.Arbitrary<infer T> ? T : never): void {
  const channelsIn = layer.common * layer.extraIn;
  const channelsOut = layer.common * layer.extraOut;
  const factors = gateFactors(channelsOut, channelsIn);
  const common = factors.reduce((product, p) => product * p, 1);
  const on = factors.map((_, k) => ((layer.onBits >> k) & 1) === 1);
  const gates = tf.tensor1d(on.map((value) => (value ? 0.5 : -0.5)));
  const outer: [number, number] = [channelsOut / common, channelsIn / common];
  /** `[1, 1, C_in, C_out]` */
  const maskTensor = (special?: number) =>
    tf.reshape(tf.transpose(tf.tensor2d(explicitMask(factors, on, outer, special))), [1, 1, channelsIn, channelsOut]);
  const x = tf.randomNormal<tfc.Rank.R4>([2, 6, 5, channelsIn], 0, 1, 'float32', layer.seed + 1);
  const shape: [number, number, number, number] = [layer.kernel, layer.kernel, channelsIn, channelsOut];
  const kernel = tf.randomNormal<tfc.Rank.R4>(shape, 0, 1, 'float32', layer.seed + 2);
  const dilation = layer.stride === 1 ? layer.dilation : 1;
  const options = { strides: layer.stride, padding: layer.padding, dilations: dilation };
  const masked = tf.mul(kernel, maskTensor()) as tfc.Tensor4D;
  const tfPadding = layer.padding as 'same' | 'valid';
  const reference = (a: tfc.Tensor, b: tfc.Tensor) =>
    tf.conv2d(a as tfc.Tensor4D, b as tfc.Tensor4D, layer.stride, tfPadding, 'NHWC', dilation);
  const y = reference(x, masked);
  const dy = tf.randomNormal(y.shape, 0, 1, 'float32', layer.seed + 3);
  const actual = tf.valueAndGrads((a: tfc.Tensor, b: tfc.Tensor, c: tfc.Tensor): tfc.Tensor =>
    dgConv2d(a as tfc.Tensor4D, b as tfc.Tensor4D, c as tfc.Tensor1D, options),
  )([x, kernel, gates], dy);
  const largest = (tensor: tfc.Tensor) => (tensor.size === 0 ? 0 : tf.max(tf.abs(tensor)).dataSync()[0]!);
  const near = (name: string, value: tfc.Tensor, expected: tfc.Tensor, scale = Math.max(1, largest(expected))) => {
    const difference = largestDifference(value, expected) / scale;
    t.true(difference <= 1e-5, `${name} of ${JSON.stringify(layer)} differs by ${difference}`);
  };
  near('y', actual.value, y);
  if (dilation > 1) return; // tfjs has no gradients of dilated convolutions; the golden cases have one.
  const [dx, dmasked] = referenceGradients(reference, x, masked, dy);
  near('dx', actual.grads[0]!, dx);
  near('dkernel', actual.grads[1]!, tf.mul(dmasked, maskTensor()));
  const product = tf.mul(dmasked, kernel);
  const expectedGates = factors.map((_, k) => tf.sum(tf.mul(product, maskTensor(k))));
  // Terms of both signs cancel: the rounding error is of the size of their magnitudes' sum.
  const magnitudes = factors.map((_, k) => tf.sum(tf.abs(tf.mul(product, maskTensor(k)))));
  const stacked = (sums: tfc.Tensor[]) => (sums.length > 0 ? tf.stack(sums) : tf.zeros([0]));
  near('dgates', actual.grads[2]!, stacked(expectedGates), Math.max(1, largest(stacked(magnitudes))));
}

/** tfjs's wasm engine has no gradient kernel of a convolution's filter: these come from the plain engine. */
function referenceGradients(
  reference: (a: tfc.Tensor, b: tfc.Tensor) => tfc.Tensor,
  x: tfc.Tensor,
  kernel: tfc.Tensor,
  dy: tfc.Tensor,
): [tfc.Tensor, tfc.Tensor] {
  const backend = tf.getBackend();
  const [xValues, kernelValues, dyValues] = [x.dataSync(), kernel.dataSync(), dy.dataSync()];
  void tf.setBackend('cpu');
  const [dx, dkernel] = tf.grads(reference)(
    [tf.tensor(xValues, x.shape), tf.tensor(kernelValues, kernel.shape)],
    tf.tensor(dyValues, dy.shape),
  ) as [tfc.Tensor, tfc.Tensor];
  const [dxValues, dkernelValues] = [dx.dataSync(), dkernel.dataSync()];
  void tf.setBackend(backend);
  return [tf.tensor(dxValues, dx.shape), tf.tensor(dkernelValues, dkernel.shape)];
}
