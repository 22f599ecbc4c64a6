import type * as tfc from '@tensorflow/tfjs-core';
import type { DgconvBackend } from '../backend.js';
import { areFloats, sizeOf } from '../kernel.js';
import { broadcast } from './broadcast.js';

/** True for a bias of one number a channel, if any, and an activation that {@link finish} knows. */
export function isFinishable(
  bias: tfc.TensorInfo | undefined,
  channels: number,
  activation: string | null | undefined,
): boolean {
  const plainBias = !bias || (areFloats(bias) && sizeOf(bias.shape) === channels);
  return plainBias && (!activation || activation === 'linear' || activation === 'relu');
}

/** Adds the bias and applies the activation to values `[…, channels]`, in place. */
export function finish(
  backend: DgconvBackend,
  values: Float32Array,
  channels: number,
  bias: tfc.TensorInfo | undefined,
  activation: string | null | undefined,
): void {
  if (bias) {
    const shape = [values.length / channels, channels];
    const params = broadcast('add', shape, [channels], shape)!;
    backend.module.run('binary', params, [values, backend.floats(bias), values]);
  }
  if (activation === 'relu') backend.module.run('relu', { elements: values.length }, [values, values]);
}
