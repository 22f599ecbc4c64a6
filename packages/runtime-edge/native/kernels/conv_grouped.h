// Grouped convolution with square kernels, output channels in the lanes, inputs straight from NHWC.
//
// kGroup 1, 2, 4, …, below the vector width: a vector holds whole groups, as inputs and as outputs. Output lane o reads input
// lane o ^ j in step j, so that every step but j = 0 is one cheap exchange of lanes, and the weights are permuted to match
// when they are packed. // kGroup 0: groups of any number of inputs whose outputs fill vectors: every input is broadcast.
//
// A tile is kRows x kPixels outputs: each input vector is loaded (and exchanged) once for all taps and rows that read it.
#pragma once

#include "conv_direct.h"

namespace dgc {
namespace {

template <int kGroup, int kRowCount, int kPixelCount, int kKernelSize, int kStrideSize>
struct GroupedTile {
  static constexpr int kRows = kRowCount, kPixels = kPixelCount, kKernel = kKernelSize, kStride = kStrideSize;
  static constexpr int kColumns = (kPixels - 1) * kStride + kKernel;
  static constexpr int kInputRows = (kRows - 1) * kStride + kKernel;
  static constexpr int kBlock = kLanes;
  // Vectors narrower than a cache line share it, and 1x1 kernels stream.
  static constexpr bool kBlocksInside = kKernel == 1 || (kGroup != 0 && kLanes < 16);
  using RowTile = GroupedTile<kGroup, 1, kPixels, kKernel, kStride>;

  static bool fits_groups(const ConvDesc& d) {
    const int32_t group_outputs = d.output_channels / d.groups;
    // Wider 1x1 groups are products of matrices.
    if (kGroup == 0 && kKernel == 1 && group_outputs > kLanes) return false;
    if (kGroup == 0) return group_outputs % kLanes == 0;
    return d.group_inputs == kGroup && group_outputs == kGroup && d.output_channels >= kLanes;
  }

  // Weights of the block of channels `first` on: [ky][j][kx][lane].
  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    for (int ky = 0; ky < kKernel; ky++) {
      for (int32_t j = 0; j < d.group_inputs; j++) {
        for (int kx = 0; kx < kKernel; kx++) {
          for (int lane = 0; lane < kLanes; lane++) {
            const int64_t o = first + lane;
            const int64_t i = kGroup == 0 ? j : o % (kGroup == 0 ? 1 : kGroup) ^ j;
            *to++ = kernel[((o * d.group_inputs + i) * kKernel + ky) * kKernel + kx];
          }
        }
      }
    }
  }

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& shared) {
    KeptJob job = shared;
    const int64_t taps = (int64_t)kKernel * kKernel * job.group_inputs * kLanes;
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      run_block<kGuarded>(job, at);
      at.next(job, taps, kLanes);
    }
  }

 private:
  // Whether the registers hold a row of inputs beside the sums, so that every step can use them.
#if defined(DGC_ISA_neon)
  static constexpr bool kHeld = kColumns + kRows * kPixels <= 26;
#else
  static constexpr bool kHeld = false;
#endif

  static DGC_INLINE void advance(const float*& p, int64_t stride) {
    p += stride;
#ifndef __wasm__
    asm("" : "+r"(p));  // one running pointer instead of a register for each pixel
#endif
  }

  template <bool kGuarded>
  static DGC_INLINE void run_block(const TileJob& job, const BlockCursor& at) {
    V sums[kRows][kPixels];
    const V bias = load(at.bias);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[row][pixel] = bias;
    }
    DGC_UNROLL for (int r = 0; r < kInputRows; r++) {
      const float* x = job.rows[r];
      if (!x) continue;
      x += at.input_channel;
      if constexpr (kGroup == 0) {
        const float* weights = at.weights;
        DGC_ROLLED for (int j = 0; j < job.group_inputs; j++, weights += kKernel * kLanes) {
          const float* from = x + j;
          step<kGuarded>(job, r, weights, job.group_inputs, sums, [&](int) { return splat(*from); },
                         [&] { advance(from, job.input_pixel_stride); });
        }
      } else if constexpr (kHeld) {
        V held[kColumns];
        const float* from = x;
        DGC_UNROLL for (int column = 0; column < kColumns; column++) {
          held[column] = V{};
          if (skips_column<kGuarded, kColumns, kKernel / 2>(job, column)) from += job.input_pixel_stride;
          else held[column] = load_and_advance(from, job.input_pixel_stride);
        }
        DGC_UNROLL for (int j = 0; j < kGroup; j++) {
          step<kGuarded>(job, r, at.weights + j * kKernel * kLanes, kGroup, sums,
                         [&](int column) { return exchange(held[column], j); }, [] {});
        }
      } else {
        DGC_UNROLL for (int j = 0; j < kGroup; j++) {
          const float* from = x;
          step<kGuarded>(job, r, at.weights + j * kKernel * kLanes, kGroup, sums,
                         [&](int) { return exchange(load(from), j); },
                         [&] { advance(from, job.input_pixel_stride); });
        }
      }
    }
    store_tile<kRows, kPixels>(job, at, sums);
  }

  // One input of every group, along one input row. Weights are [ky][j][kx][lane].
  template <bool kGuarded, typename Input, typename Next>
  static DGC_INLINE void step(const TileJob& job, int r, const float* weights, int32_t inputs, V (&sums)[kRows][kPixels],
                              const Input& input, const Next& next) {
    V taps[kRows][kKernel];
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      const int ky = r - row * kStride;
      if (ky < 0 || ky >= kKernel) continue;
      DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
        taps[row][kx] = load(weights + ((int64_t)ky * inputs * kKernel + kx) * kLanes);
      }
    }
    DGC_UNROLL for (int column = 0; column < kColumns; column++) {
      if (!skips_column<kGuarded, kColumns, kKernel / 2>(job, column)) {
        const V x = input(column);
        DGC_UNROLL for (int row = 0; row < kRows; row++) {
          const int ky = r - row * kStride;
          if (ky < 0 || ky >= kKernel) continue;
          DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
            const int pixel = (column - kx) / kStride;
            if (column < kx || (column - kx) % kStride != 0 || pixel >= kPixels) continue;
            sums[row][pixel] = multiply_add(x, taps[row][kx], sums[row][pixel]);
          }
        }
      }
      next();
    }
  }
};

template <int kGroup, int kRows, int kPixels, int kKernel, int kStride>
using GroupedConv = DirectConv<GroupedTile<kGroup, kRows, kPixels, kKernel, kStride>>;

}  // namespace
}  // namespace dgc
