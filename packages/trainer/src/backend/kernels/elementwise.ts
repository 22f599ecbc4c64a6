import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../../tf.js';
import { MomentumUpdate, type MomentumUpdateAttrs } from '../../ops/fused-kernels.js';
import { AddRelu, ReluGradient } from '../../ops/relu.js';
import { areFloats, kernel, sizeOf, type Named } from '../kernel.js';

/** Activations, sums of many tensors and the optimiser's step. */
export const elementwiseKernels = [
  kernel<Named<'x'>, object>(tf.Relu, ({ inputs: { x }, backend, plain }) => {
    if (!areFloats(x)) return plain();
    return backend.compute('relu', { elements: sizeOf(x.shape) }, x.shape, [backend.floats(x)]);
  }),
  kernel<Named<'x' | 'dy'>, object>(ReluGradient, ({ inputs: { x, dy }, backend }) =>
    backend.compute('reluGradient', { elements: sizeOf(x.shape) }, x.shape, [backend.floats(x), backend.floats(dy)]),
  ),
  kernel<Named<'a' | 'b'>, object>(AddRelu, ({ inputs: { a, b }, backend }) =>
    backend.compute('addRelu', { elements: sizeOf(a.shape) }, a.shape, [backend.floats(a), backend.floats(b)]),
  ),
  kernel<Named<'x'>, { readonly alpha: number }>(tf.Step, ({ inputs: { x }, attrs, backend, plain }) => {
    if (!areFloats(x) || attrs.alpha) return plain();
    return backend.compute('step', { elements: sizeOf(x.shape) }, x.shape, [backend.floats(x)]);
  }),
  kernel<readonly tfc.TensorInfo[], object>(tf.AddN, ({ inputs, backend, plain }) => {
    const terms = Object.values(inputs);
    const shape = terms[0]!.shape;
    const alike = terms.every((term) => term.shape.join() === shape.join());
    if (!areFloats(...terms) || !alike) return plain();
    const buffers = terms.map((term) => backend.floats(term));
    return backend.compute('addMany', { elements: sizeOf(shape) }, shape, [], buffers);
  }),
  kernel<Named<'parameter' | 'gradient' | 'velocity'>, MomentumUpdateAttrs>(
    MomentumUpdate,
    ({ inputs: { parameter, gradient, velocity }, attrs, backend, plain }) => {
      if (!areFloats(parameter, gradient, velocity)) return plain();
      const next = backend.output(parameter.shape);
      const nextVelocity = backend.output(parameter.shape);
      const { learningRate, momentum, weightDecay } = attrs;
      backend.module.run(
        'momentum',
        { elements: sizeOf(parameter.shape), learningRate, momentum, weightDecay, nesterov: Number(attrs.nesterov) },
        [
          backend.floats(parameter),
          backend.floats(gradient),
          backend.floats(velocity),
          next.values,
          nextVelocity.values,
        ],
      );
      return [next.info, nextVelocity.info];
    },
  ),
];
