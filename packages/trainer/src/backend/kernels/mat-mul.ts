import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../../tf.js';
import type { DgconvBackend } from '../backend.js';
import { areFloats, kernel, sizeOf, type Named } from '../kernel.js';
import type { ConvParams, Operations } from '../operations.js';
import { finish, isFinishable } from './finish.js';

interface Attrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

interface Product {
  readonly operation: keyof Pick<Operations, 'conv' | 'convInputGradient' | 'convFilterGradients'>;
  readonly params: ConvParams;
  readonly shape: readonly number[];
}

const none = new Int32Array(0);
const onlyGroup = new Int32Array(1);

/** A 1×1 convolution over `pixels` pixels. */
const pointwise = (pixels: number, inputChannels: number, outputChannels: number): ConvParams => ({
  batch: 1,
  inputHeight: pixels,
  inputWidth: 1,
  inputChannels,
  outputHeight: pixels,
  outputWidth: 1,
  outputChannels,
  filterHeight: 1,
  filterWidth: 1,
  strideHeight: 1,
  strideWidth: 1,
  padTop: 0,
  padLeft: 0,
  dilationHeight: 1,
  dilationWidth: 1,
  groups: 1,
});

/** A product of two matrices as one of the three products of a 1×1 convolution; undefined if it is none. */
function productOf(a: tfc.TensorInfo, b: tfc.TensorInfo, { transposeA, transposeB }: Attrs): Product | undefined {
  const batch = a.shape.slice(0, -2);
  if (!areFloats(a, b) || sizeOf(batch) !== 1 || batch.length !== b.shape.length - 2 || (transposeA && transposeB)) {
    return undefined;
  }
  if (sizeOf(b.shape.slice(0, -2)) !== 1) return undefined;
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [inner, n] = transposeB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  if (k !== inner) return undefined; // the plain kernel has the message
  const shape = [...batch, m, n];
  if (transposeA) return { operation: 'convFilterGradients', params: pointwise(k, m, n), shape };
  if (transposeB) return { operation: 'convInputGradient', params: pointwise(m, n, k), shape };
  return { operation: 'conv', params: pointwise(m, k, n), shape };
}

function multiply(
  backend: DgconvBackend,
  { operation, params, shape }: Product,
  a: tfc.TensorInfo,
  b: tfc.TensorInfo,
): { info: tfc.TensorInfo; values: Float32Array } {
  const output = backend.output(shape);
  const factors = [backend.floats(a), backend.floats(b)];
  const buffers =
    operation === 'convFilterGradients'
      ? [...factors, none, none, onlyGroup, output.values]
      : [...factors, output.values, none, none];
  backend.module.run(operation, params, buffers);
  return output;
}

/** Products of single matrices. */
export const matMulKernels = [
  kernel<Named<'a' | 'b'>, Attrs>(tf.BatchMatMul, ({ inputs: { a, b }, attrs, backend, plain }) => {
    const product = productOf(a, b, attrs);
    return product ? multiply(backend, product, a, b).info : plain();
  }),
  kernel<
    Named<'a' | 'b'> & Partial<Named<'bias' | 'preluActivationWeights'>>,
    Attrs & { readonly activation: string | null }
  >(tf._FusedMatMul, ({ inputs: { a, b, bias, preluActivationWeights }, attrs, backend, plain }) => {
    const product = productOf(a, b, attrs);
    const channels = product?.shape.at(-1) ?? 0;
    if (!product || preluActivationWeights || !isFinishable(bias, channels, attrs.activation)) return plain();
    const { info, values } = multiply(backend, product, a, b);
    finish(backend, values, channels, bias, attrs.activation);
    return info;
  }),
];
