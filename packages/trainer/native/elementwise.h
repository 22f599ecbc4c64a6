// Operations on whole tensors: activations, sums, broadcasts, reductions, pooling, the optimiser's step.
#pragma once
#include "kernel_table.h"
#include "operations.h"

namespace dgc {

void relu(const KernelTable& kernels, const ElementsParams& p, const float* x, float* y);
void reluGradient(const KernelTable& kernels, const ElementsParams& p, const float* x, const float* dy, float* dx);
// y = max(0, a + b)
void addRelu(const KernelTable& kernels, const ElementsParams& p, const float* a, const float* b, float* y);
void step(const KernelTable& kernels, const ElementsParams& p, const float* x, float* y);
// y = Σ terms.
void addMany(const KernelTable& kernels, const ElementsParams& p, float* y, const Buffer* terms, int count);
void binary(const KernelTable& kernels, const BinaryParams& p, const float* a, const float* b, float* y);
void sum(const KernelTable& kernels, const ReduceParams& p, const float* x, float* y);
void momentum(const KernelTable& kernels, const MomentumParams& p, const float* parameter, const float* gradient, const float* velocity,
              float* nextParameter, float* nextVelocity);
void pool(const KernelTable& kernels, const PoolParams& p, const float* x, float* y);
// Of a maximum the first position that attains it gets the gradient.
void poolGradient(const KernelTable& kernels, const PoolParams& p, const float* x, const float* y, const float* dy, float* dx);

}  // namespace dgc
