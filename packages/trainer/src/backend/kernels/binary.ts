import * as tf from '../../tf.js';
import { areFloats, kernel, type Named, type NamedKernel } from '../kernel.js';
import type { binaryKinds } from '../operations.js';
import { broadcast } from './broadcast.js';

const kindOf: { readonly [KernelName in string]: (typeof binaryKinds)[number] } = {
  [tf.Add]: 'add',
  [tf.Sub]: 'subtract',
  [tf.Multiply]: 'multiply',
  [tf.RealDiv]: 'divide',
  [tf.Maximum]: 'maximum',
  [tf.Minimum]: 'minimum',
};

/** y = a ∘ b with broadcasting. */
export const binaryKernels: readonly NamedKernel[] = Object.entries(kindOf).map(([name, kind]) =>
  kernel<Named<'a' | 'b'>, object>(name, ({ inputs: { a, b }, backend, plain }) => {
    if (!areFloats(a, b)) return plain();
    const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const params = broadcast(kind, a.shape, b.shape, shape);
    if (!params) return plain();
    return backend.compute('binary', params, shape, [backend.floats(a), backend.floats(b)]);
  }),
);
