import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';

/** Kernel, only where an engine has it: `{ a, b }` float32 of one shape → `max(0, a + b)`. */
export const AddRelu = 'AddRelu';
/** Kernel, only where an engine has it: `{ x, dy }` of one shape → dy where x > 0, else 0. */
export const ReluGradient = 'ReluGradient';

const has = (kernelName: string): boolean => tf.getKernel(kernelName, tf.getBackend()) !== undefined;

/** `max(0, a + b)`, differentiable in both, in one pass where the engine can. */
export function addRelu(a: tfc.Tensor, b: tfc.Tensor): tfc.Tensor {
  const isAlike = a.dtype === 'float32' && b.dtype === 'float32' && a.shape.join() === b.shape.join();
  return isAlike && has(AddRelu) ? tf.engine().runKernel(AddRelu, { a, b }) : tf.relu(tf.add(a, b));
}

tf.registerGradient({
  kernelName: AddRelu,
  outputsToSave: [true],
  gradFunc: (dy, [y]) => {
    const gradient: tfc.Tensor = tf.engine().runKernel(ReluGradient, { x: y!, dy: dy as tfc.Tensor });
    return { a: () => gradient, b: () => gradient };
  },
});

const composed = tf.getGradient(tf.Relu);

// tfjs composes ReLU's gradient of three kernels.
tf.registerGradient({
  ...composed,
  gradFunc: (dy, saved, attrs) => {
    if (!has(ReluGradient)) return composed.gradFunc(dy, saved, attrs);
    return { x: () => tf.engine().runKernel(ReluGradient, { x: saved[0]!, dy: dy as tfc.Tensor }) };
  },
});
