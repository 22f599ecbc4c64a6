// The three products of a convolution in groups, with channel orders, on NHWC.
#pragma once
#include "kernel_table.h"
#include "operations.h"

namespace dgc {

// Channel orders may be null: the identity.
void convForward(const KernelTable& kernels, const ConvParams& p, const float* x, const float* filter, float* y, const int32_t* inputOrder,
                 const int32_t* outputOrder);
void convInputGradient(const KernelTable& kernels, const ConvParams& p, const float* dy, const float* filter, float* dx, const int32_t* inputOrder,
                       const int32_t* outputOrder);
// Products between other pairs of groups than the convolution's own: in product i output group g is paired with input group pairings[i·groups + g].
void convFilterGradients(const KernelTable& kernels, const ConvParams& p, const float* x, const float* dy, const int32_t* inputOrder,
                         const int32_t* outputOrder, long products, const int32_t* pairings, const Buffer* results);

// Groups whose channels fill less than a vector are computed several at a time, as one block with zeros between them.
long groupsPerBlock(long groups, long channelsPerGroup, int lanes);

// [pixels, channels] → [pixels, stride] with channel c taken from order[c] (null: c); channels up to `stride` are zero.
void gatherChannels(const float* from, long pixels, long channels, const int32_t* order, float* to, long stride);

}  // namespace dgc
