import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import type { Communicator } from './communicator.js';

/** Means of float32 arrays over all processes, in place, in one call. */
export function averageArrays(arrays: readonly Float32Array[], communicator: Communicator): void {
  if (communicator.size === 1) return;
  const packed = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const values of arrays) {
    packed.set(values, at);
    at += values.length;
  }
  communicator.average(packed);
  at = 0;
  for (const values of arrays) {
    values.set(packed.subarray(at, at + values.length));
    at += values.length;
  }
}

/** Means of gradients over all processes; call it inside `tf.tidy`. @param gradients - by name, in the same order everywhere. */
export function averageGradients(gradients: tfc.NamedTensorMap, communicator: Communicator): tfc.NamedTensorMap {
  if (communicator.size === 1) return gradients;
  const names = Object.keys(gradients);
  const values = names.map((name) => Float32Array.from(gradients[name]!.dataSync()));
  averageArrays(values, communicator);
  return Object.fromEntries(names.map((name, at) => [name, tf.tensor(values[at]!, gradients[name]!.shape)]));
}
