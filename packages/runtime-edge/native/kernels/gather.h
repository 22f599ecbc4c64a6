// Floats in another order: to[i] = from[index[i]].
#pragma once

#include "simd.h"

namespace dgc {
namespace {

inline void gather_each(float* to, const float* from, const int32_t* index, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = from[index[i]];
}

#ifdef DGC_ISA_avx512f

// All sources stay in registers, two vectors to a permutation; a lane takes what the permutation of its own two gives.
template <int kPairs>
inline void gather_from_registers(float* to, const float* from, int64_t span, const int32_t* index, int64_t count) {
  V sources[2 * kPairs];
  DGC_UNROLL for (int v = 0; v < 2 * kPairs; v++) {
    const int64_t left = span - v * kLanes;
    sources[v] = left >= kLanes ? load(from + v * kLanes) : left > 0 ? load_partial(from + v * kLanes, left) : splat(0.0f);
  }
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t rest = count - i < kLanes ? count - i : kLanes;
    const VI at = (VI)load_partial((const float*)(index + i), rest);
    V lanes = gather_lanes(sources[0], sources[1], at);
    DGC_UNROLL for (int pair = 1; pair < kPairs; pair++) {
      lanes = (at >> 5) == pair ? gather_lanes(sources[2 * pair], sources[2 * pair + 1], at) : lanes;
    }
    if (rest == kLanes) store(to + i, lanes);
    else store_partial(to + i, lanes, rest);
  }
}

#endif

// Every index is at least 0 and less than `span`.
inline void gather_floats(float* to, const float* from, int64_t span, const int32_t* index, int64_t count) {
#ifdef DGC_ISA_avx512f
  if (span <= 2 * kLanes) return gather_from_registers<1>(to, from, span, index, count);
  if (span <= 4 * kLanes) return gather_from_registers<2>(to, from, span, index, count);
  if (span <= 8 * kLanes) return gather_from_registers<4>(to, from, span, index, count);
#else
  (void)span;
#endif
  gather_each(to, from, index, count);
}

}  // namespace
}  // namespace dgc
