import type * as tfc from '@tensorflow/tfjs-core';
import type { DgconvBackend } from './backend.js';

type Result = tfc.TensorInfo | tfc.TensorInfo[];

/** What a kernel of the `dgconv` backend is called with. */
export interface KernelCall<Inputs, Attrs> {
  readonly inputs: Inputs;
  readonly attrs: Attrs;
  readonly backend: DgconvBackend;
  /** The kernel of the same name that tfjs's plain backend has, for what the native code does not do. */
  readonly plain: () => Result;
}

/** A kernel by the name that tfjs knows it by. */
export interface NamedKernel {
  readonly name: string;
  readonly run: (call: KernelCall<never, never>) => Result;
}

/** Ties a kernel to its name; its inputs and attributes are what tfjs documents for that name. */
export function kernel<Inputs, Attrs>(name: string, run: (call: KernelCall<Inputs, Attrs>) => Result): NamedKernel {
  return { name, run: run as NamedKernel['run'] };
}

/** Inputs by name. */
export type Named<Names extends string> = Readonly<Record<Names, tfc.TensorInfo>>;

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dimension) => size * dimension, 1);

/** True if all tensors are float32 and none is empty, which is what the native code computes with. */
export const areFloats = (...tensors: readonly tfc.TensorInfo[]): boolean =>
  tensors.every(({ dtype, shape }) => dtype === 'float32' && !shape.includes(0));
