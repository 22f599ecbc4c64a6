// The register tile of every matrix product: kRows rows of A by kVectors vectors of a packed panel of B.
#pragma once

#include "activation.h"

namespace dgc {
namespace {

struct GemmJob {
  const float* a;  // row m, depth k at a[m * a_stride + k]
  int64_t a_stride;
  const float* b;  // panel [k][kVectors * kLanes]
  int64_t depth;
  const float* bias;      // [kVectors * kLanes]
  const float* residual;  // null: none
  int64_t residual_stride;
  float* output;
  int64_t output_stride;
  int32_t row_begin;   // rows below were stored by the tile before
  int32_t last_lanes;  // lanes of the last vector that exist
  float low, high;
  const float* ahead = nullptr;  // null, or `depth` * 16 floats that will be needed soon
};

template <int kRows, int kVectors>
DGC_INLINE void store_gemm_tile(const GemmJob& job, V (&sums)[kRows][kVectors]) {
  const V low = splat(job.low), high = splat(job.high);
  if (job.row_begin == 0 && !job.residual && job.last_lanes == kLanes) {
    const int64_t stride = job.output_stride;  // the compiler thinks that stores may change the job
    float* to = job.output;
    DGC_UNROLL for (int m = 0; m < kRows; m++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) store(to + v * kLanes, at_most(at_least(sums[m][v], low), high));
      to += stride;
    }
    return;
  }
  DGC_UNROLL for (int m = 0; m < kRows; m++) {
    if (m < job.row_begin) continue;
    float* to = job.output + m * job.output_stride;
    const float* residual = job.residual ? job.residual + m * job.residual_stride : nullptr;
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const bool whole = v + 1 < kVectors || job.last_lanes == kLanes;
      V sum = sums[m][v];
      if (residual) {
        const float* from = residual + v * kLanes;
        sum = sum + (whole ? load(from) : load_partial(from, job.last_lanes));
      }
      sum = at_most(at_least(sum, low), high);
      if (whole) store(to + v * kLanes, sum);
      else store_partial(to + v * kLanes, sum, job.last_lanes);
    }
  }
}

#ifdef DGC_ISA_neon

// Four depths of A at a time in the lanes of a register, multiplied by element.
template <int kRows, int kVectors>
DGC_INLINE void gemm_depths(const GemmJob& job, V (&sums)[kRows][kVectors]) {
  const float* b = job.b;
  const float* a = job.a;
  int64_t left = job.depth;
  for (; left >= 4; left -= 4, a += 4) {
    V rows[kRows];
    const float* from = a;
    DGC_UNROLL for (int m = 0; m < kRows; m++) rows[m] = load_and_advance(from, job.a_stride);
#define DGC_DEPTH(lane)                                                                                                   \
  {                                                                                                                       \
    V panel[kVectors];                                                                                                    \
    DGC_UNROLL for (int v = 0; v < kVectors; v++) panel[v] = load(b + ((lane) * kVectors + v) * 4);                        \
    DGC_UNROLL for (int m = 0; m < kRows; m++) DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[m][v] =                  \
        (V)vfmaq_laneq_f32((float32x4_t)sums[m][v], (float32x4_t)panel[v], (float32x4_t)rows[m], lane);                   \
  }
    DGC_DEPTH(0) DGC_DEPTH(1) DGC_DEPTH(2) DGC_DEPTH(3)
#undef DGC_DEPTH
    b += 4 * kVectors * kLanes;
  }
  DGC_ROLLED for (; left > 0; left--, a++, b += kVectors * kLanes) {
    DGC_UNROLL for (int m = 0; m < kRows; m++) {
      const V x = splat(a[m * job.a_stride]);
      DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[m][v] = multiply_add(x, load(b + v * kLanes), sums[m][v]);
    }
  }
}

#else

template <int kRows, int kVectors>
DGC_INLINE void gemm_depths(const GemmJob& job, V (&sums)[kRows][kVectors]) {
  const float* b = job.b;
  const float* a = job.a;
  const float* ahead = job.ahead ? job.ahead : b;
  DGC_ROLLED for (int64_t k = 0; k < job.depth; k++) {
    if (kLanes == 16 && kVectors > 1) {
      prefetch_later(ahead);
      ahead += kLanes;
    }
    V panel[kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) panel[v] = load(b + v * kLanes);
    b += kVectors * kLanes;
    DGC_UNROLL for (int m = 0; m < kRows; m++) {
      const V x = splat(a[m * job.a_stride]);
      DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[m][v] = multiply_add(x, panel[v], sums[m][v]);
    }
    a++;
  }
}

#endif

template <int kRows, int kVectors>
DGC_NOINLINE void gemm_tile(const GemmJob& job) {
  V sums[kRows][kVectors];
  DGC_UNROLL for (int v = 0; v < kVectors; v++) {
    const V bias = load(job.bias + v * kLanes);
    DGC_UNROLL for (int m = 0; m < kRows; m++) sums[m][v] = bias;
  }
  if (kLanes == 16 && job.depth >= 64) {  // else they come too late to help
    DGC_UNROLL for (int m = 0; m < kRows; m++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) {
        prefetch_output(job.output + m * job.output_stride + v * kLanes);
        if (job.residual) prefetch_input(job.residual + m * job.residual_stride + v * kLanes);
      }
    }
  }
  gemm_depths<kRows, kVectors>(job, sums);
  store_gemm_tile<kRows, kVectors>(job, sums);
}

// The largest tile that the registers hold, by measurement.
#if DGC_LANES == 16
constexpr int kGemmRows = 7, kGemmVectors = 4;
#elif DGC_LANES == 8
constexpr int kGemmRows = 6, kGemmVectors = 2;
#elif defined(DGC_ISA_neon)
constexpr int kGemmRows = 8, kGemmVectors = 2;
#else
constexpr int kGemmRows = 4, kGemmVectors = 2;
#endif

// Rows of a tile where no panel has more than `vectors`: twice as many where two units would wait for too few sums.
DGC_INLINE int gemm_rows(int vectors) { return kLanes == 8 && vectors == 1 ? 2 * kGemmRows : kGemmRows; }

// A tile of 1, kGemmRows or gemm_rows(vectors) rows by the `vectors` <= kGemmVectors of a panel.
inline void run_gemm_tile(const GemmJob& job, int vectors, int rows) {
#if DGC_LANES == 16
  switch (vectors) {
    case 3:
      return rows == 1 ? gemm_tile<1, 3>(job) : gemm_tile<kGemmRows, 3>(job);
    case 4:
      return rows == 1 ? gemm_tile<1, 4>(job) : gemm_tile<kGemmRows, 4>(job);
  }
#elif DGC_LANES == 8
  if (rows == 2 * kGemmRows) return gemm_tile<2 * kGemmRows, 1>(job);
#endif
  if (vectors == 1) return rows == 1 ? gemm_tile<1, 1>(job) : gemm_tile<kGemmRows, 1>(job);
  return rows == 1 ? gemm_tile<1, 2>(job) : gemm_tile<kGemmRows, 2>(job);
}

}  // namespace
}  // namespace dgc
