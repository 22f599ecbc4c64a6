// Batch norm with the batch's own statistics, on [rows, channels], and its gradient.
#pragma once
#include "kernel_table.h"
#include "operations.h"

namespace dgc {

// variance is the biased one.
void batchNorm(const KernelTable& kernels, const BatchNormParams& p, const float* x, const float* gamma, const float* beta, float* y, float* mean,
               float* variance);
void batchNormGradient(const KernelTable& kernels, const BatchNormParams& p, const float* x, const float* dy, const float* gamma, const float* beta,
                       const float* mean, const float* variance, float* dx, float* dgamma, float* dbeta);

}  // namespace dgc
