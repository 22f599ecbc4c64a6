// Convolutions whose groups are what DGConv's gates make of a power of two of channels: output o is connected with input o ^ m for every m of one set, in
// whatever order the groups are listed. Each vector of input channels is laid out as planes, one for every way in which its lanes are permuted, so that every
// lane of every multiply-add counts and channels stay where they are.
#pragma once
#include "conv_problem.h"
#include "operations.h"

namespace dgc {

constexpr int kMaxXorChannels = 16;  // channels of a group up to which this pays

struct XorStructure {
  long channels, groupChannels;
  const int32_t* order;    // [channels]: channel at each position; null: the identity
  const int32_t* groupOf;  // [channels]
  const int32_t* placeOf;  // [channels]: place in its group
  int32_t highs[kMaxXorChannels], lows[kMaxXorChannels];  // m = high | low, low below the number of lanes
  long highCount, lowCount;
  long channelAt(long position) const { return order ? order[position] : position; }
};

// The structure of such a convolution, if it is one and this way is the faster one; otherwise false. Uses scratch slot 4 of thread 0.
bool findXorStructure(const KernelTable& kernels, const ConvParams& params, const int32_t* inputOrder, const int32_t* outputOrder, XorStructure* structure);

// Uses scratch slots 0 and 1 of thread 0 and slot 2 of all.
void runXorClass(const ConvProblem& problem, const XorStructure& structure, const PixelClass& pixelClass, const float* input, float* output);

// All products of the filter gradient at once: group g's outputs with the inputs of group pairings[p·groups + g], into results[p]. False if the pairings
// are not of this kind. Uses scratch slots 0 and 1 of thread 0 and slot 2 of all.
bool xorFilterGradient(const KernelTable& kernels, const ConvParams& params, const XorStructure& structure, const float* x, const float* dy, long products,
                       const int32_t* pairings, const Buffer* results);

}  // namespace dgc
