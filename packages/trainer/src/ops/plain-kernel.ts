import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';

/** How a plain kernel reaches the floats of a backend. */
export interface PlainIo {
  read(tensor: tfc.TensorInfo): Float32Array;
  write(values: Float32Array, shape: readonly number[]): tfc.TensorInfo;
}

/** A kernel on typed arrays: right on every backend, fast on none. */
export type PlainKernel<Inputs, Attrs> = (
  inputs: Inputs,
  attrs: Attrs,
  io: PlainIo,
) => tfc.TensorInfo | tfc.TensorInfo[];

const plainKernels = new Map<string, PlainKernel<never, never>>();

/** Backends that get every plain kernel; `tensorflow` is harmless where tfjs-node is absent. */
const backendNames = ['cpu', 'wasm', 'tensorflow'];

/** Adds a kernel of our own, written with typed arrays, to tfjs's backends. */
export function registerPlainKernel<Inputs, Attrs>(name: string, kernel: PlainKernel<Inputs, Attrs>): void {
  plainKernels.set(name, kernel as PlainKernel<never, never>);
  for (const backendName of backendNames) register(backendName, name);
}

/** Adds all plain kernels registered so far to one more backend, before it replaces those that it has faster. */
export function registerPlainKernels(backendName: string): void {
  for (const name of plainKernels.keys()) register(backendName, name);
}

function register(backendName: string, kernelName: string): void {
  const kernel = plainKernels.get(kernelName)!;
  tf.registerKernel({
    kernelName,
    backendName,
    kernelFunc: ({ inputs, backend, attrs }) => {
      const io = plainIo(backend as tfc.KernelBackend);
      return kernel(inputs as never, attrs as never, io);
    },
  });
}

function plainIo(backend: tfc.KernelBackend): PlainIo {
  return {
    read: ({ dataId }) => backend.readSync(dataId) as Float32Array,
    write: (values, shape) => ({
      dataId: backend.write(values, [...shape], 'float32'),
      shape: [...shape],
      dtype: 'float32',
    }),
  };
}
