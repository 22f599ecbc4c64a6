// Grouped convolution with square kernels, output channels in the lanes, inputs straight from NHWC.
//
// kGroup 1, 2, 4, …, below the vector width: a vector holds whole groups, as inputs and as outputs. Output lane o reads input
// lane o ^ j in step j, so that every step but j = 0 is one cheap exchange of lanes, and the weights are permuted to match
// when they are packed.
// kGroup 0: groups of any number of inputs whose outputs fill vectors: every input is broadcast.
// kGroup -1, -2: other groups, of any numbers of inputs and outputs, whose inputs for a vector of outputs lie in so many
// vectors: step j gathers the j-th input of each lane's group from them. What is packed for a block begins with the lane of
// each group's first input and the masks of the inputs that exist.
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
  static constexpr bool kBlocksInside = kGroup >= 0 && (kKernel == 1 || kLanes < 16);
  static constexpr int kHead = kGroup < 0 ? 2 * kLanes : 0;  // floats in front of a block's weights
  using RowTile = GroupedTile<kGroup, 1, kPixels, kKernel, kStride>;

  static bool fits_groups(const ConvDesc& d) {
    const int32_t group_outputs = d.output_channels / d.groups;
    // Wider 1x1 groups are products of matrices.
    if (kGroup == 0 && kKernel == 1 && group_outputs > kLanes) return false;
    // Wide tiles where they compute no more pixels twice than tiles of seven.
    const int32_t wide = (d.output_width + kPixels - 1) / kPixels * kPixels;
    if (kPixels > 7 && wide > (d.output_width + 6) / 7 * 7) return false;
    if (kGroup == 0) return group_outputs % kLanes == 0;
    if (kGroup < 0) {
      if (d.output_channels < kLanes || group_outputs >= kLanes) return false;
      for (int32_t first = 0; first < d.output_channels; first += kLanes) {
        const int32_t begin = first + kLanes <= d.output_channels ? first : d.output_channels - kLanes;
        const int32_t groups = (begin + kLanes - 1) / group_outputs - begin / group_outputs + 1;
        if (groups * (int64_t)d.group_inputs > -kGroup * kLanes) return false;
      }
      return true;
    }
    return d.group_inputs == kGroup && group_outputs == kGroup && d.output_channels >= kLanes;
  }

  // Weights of the block of channels `first` on: [ky][j][kx][lane].
  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    if (kGroup < 0) to = pack_head(d, first, to);
    for (int ky = 0; ky < kKernel; ky++) {
      for (int32_t j = 0; j < d.group_inputs; j++) {
        for (int kx = 0; kx < kKernel; kx++) {
          for (int lane = 0; lane < kLanes; lane++) {
            const int64_t o = first + lane;
            const int64_t i = kGroup <= 0 ? j : o % (kGroup <= 0 ? 1 : kGroup) ^ j;
            *to++ = kernel[((o * d.group_inputs + i) * kKernel + ky) * kKernel + kx];
          }
        }
      }
    }
  }

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& shared) {
    KeptJob job = shared;
    const int64_t taps = kHead + (int64_t)kKernel * kKernel * job.group_inputs * kLanes;
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      run_block<kGuarded>(job, at);
      at.next(job, taps, kLanes);
    }
  }

  // Inputs of the blocks to come: strides between pixels are too long for the hardware to see.
  static constexpr bool kPrefetches = kLanes == 16 ? !kBlocksInside : kLanes == 8 && kKernel > 1 && kGroup > 1;
  static constexpr int kCacheLine = 16;  // floats

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
      if (kPrefetches && r >= kInputRows - kRows * kStride) {  // those that the tile above did not read
        const float* next = x + (kGroup > 0 ? kCacheLine : job.input_step);
        DGC_UNROLL for (int column = 0; column < kColumns; column++) {
          prefetch_input(next);
          advance(next, job.input_pixel_stride);
        }
      }
      if constexpr (kGroup == 0) {
        const float* weights = at.weights;
        DGC_ROLLED for (int j = 0; j < job.group_inputs; j++, weights += kKernel * kLanes) {
          const float* from = x + j;
          step<kGuarded>(job, r, weights, job.group_inputs, sums, [&](int) { return splat(*from); },
                         [&] { advance(from, job.input_pixel_stride); });
        }
#ifdef DGC_ISA_avx512f
      } else if constexpr (kGroup < 0) {
        const int32_t* head = (const int32_t*)at.weights;
        const float* weights = at.weights + kHead;
        VI lanes = load_ints(head);
        DGC_ROLLED for (int j = 0; j < job.group_inputs; j++, weights += kKernel * kLanes, lanes += splat_int(1)) {
          const float* from = load_here(x);
          step<kGuarded>(job, r, weights, job.group_inputs, sums,
                         [&](int) {
                           const V low = load_masked(from, head[kLanes]);
                           if (kGroup == -1) return gather_lanes(low, lanes);
                           return gather_lanes(low, load_masked(from + kLanes, head[kLanes + 1]), lanes);
                         },
                         [&] { advance(from, job.input_pixel_stride); });
        }
#endif
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

 private:
  static float* pack_head(const ConvDesc& d, int32_t first, float* to) {
    const int32_t group_outputs = d.output_channels / d.groups;
    const int32_t begin = first / group_outputs * d.group_inputs;
    int32_t* head = (int32_t*)to;
    for (int lane = 0; lane < kLanes; lane++) {
      head[lane] = (first + lane) / group_outputs * d.group_inputs - begin;
      const int32_t left = d.input_channels - begin - lane * kLanes;
      head[kLanes + lane] = left <= 0 ? 0 : left >= kLanes ? (1 << kLanes) - 1 : (1 << left) - 1;
    }
    return to + kHead;
  }
};

template <int kGroup, int kRows, int kPixels, int kKernel, int kStride>
using GroupedConv = DirectConv<GroupedTile<kGroup, kRows, kPixels, kKernel, kStride>>;

}  // namespace
}  // namespace dgc
