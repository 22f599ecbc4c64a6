// What DGConv does with its kernel and its gates' gradients: `../src/ops/compact-kernel.ts` says what each means.
#pragma once
#include "operations.h"

namespace dgc {

void compactKernel(const PairsParams& p, const float* dense, const int32_t* inputOrder, const int32_t* outputOrder, const int32_t* pairing, float* compact);
void expandKernel(const PairsParams& p, const float* compact, const int32_t* inputOrder, const int32_t* outputOrder, const int32_t* pairing, float* dense);
void gateSums(const GateSumsParams& p, const float* left, const float* right, const int32_t* inputDigits, const int32_t* outputDigits, float* sums);

}  // namespace dgc
