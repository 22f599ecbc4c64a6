import { BatchNormTraining, BatchNormTrainingGradient, type BatchNormTrainingAttrs } from '../../ops/fused-kernels.js';
import { areFloats, kernel, sizeOf, type Named } from '../kernel.js';
import type { BatchNormParams } from '../operations.js';

function paramsOf(shape: readonly number[], { epsilon, relu }: BatchNormTrainingAttrs): BatchNormParams {
  const channels = shape.at(-1)!;
  return { rows: sizeOf(shape) / channels, channels, relu: Number(relu), epsilon };
}

/** Batch norm with the batch's statistics. */
export const batchNormKernels = [
  kernel<Named<'x' | 'gamma' | 'beta'>, BatchNormTrainingAttrs>(
    BatchNormTraining,
    ({ inputs: { x, gamma, beta }, attrs, backend, plain }) => {
      if (!areFloats(x, gamma, beta)) return plain();
      const params = paramsOf(x.shape, attrs);
      const y = backend.output(x.shape);
      const mean = backend.output([params.channels]);
      const variance = backend.output([params.channels]);
      const inputs = [x, gamma, beta].map((input) => backend.floats(input));
      backend.module.run('batchNorm', params, [...inputs, y.values, mean.values, variance.values]);
      return [y.info, mean.info, variance.info];
    },
  ),
  kernel<Named<'dy' | 'x' | 'gamma' | 'beta' | 'mean' | 'variance'>, BatchNormTrainingAttrs>(
    BatchNormTrainingGradient,
    ({ inputs: { dy, x, gamma, beta, mean, variance }, attrs, backend, plain }) => {
      if (!areFloats(dy, x, gamma, beta, mean, variance)) return plain();
      const params = paramsOf(x.shape, attrs);
      const dx = backend.output(x.shape);
      const dgamma = backend.output([params.channels]);
      const dbeta = backend.output([params.channels]);
      const inputs = [x, dy, gamma, beta, mean, variance].map((input) => backend.floats(input));
      backend.module.run('batchNormGradient', params, [...inputs, dx.values, dgamma.values, dbeta.values]);
      return [dx.info, dgamma.info, dbeta.info];
    },
  ),
];
