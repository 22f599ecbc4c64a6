// Grouped convolution for groups of a multiple of four inputs and outputs on vectors of four lanes with multiplication by
// element (NEON): a vector of inputs serves four steps, each multiplying one of its lanes.
#pragma once

#include "neon_tile.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

// Adds one input, lane kLane of `inputs`, times its weights for every vector of outputs.
template <int kLane, int kStride, int kVectors, int kPixels, int kColumns>
DGC_INLINE void multiply_lane(const float32x4_t* w, const float32x4_t (&inputs)[kColumns], int kx,
                              float32x4_t (&sums)[kVectors][kPixels]) {
  DGC_UNROLL for (int v = 0; v < kVectors; v++) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      sums[v][pixel] = vfmaq_laneq_f32(sums[v][pixel], w[v], inputs[pixel * kStride + kx], kLane);
    }
  }
}

// The same for four inputs; moves on to the weights of the next ones. Four vectors of weights are one load.
template <int kStride, int kVectors, int kPixels, int kColumns>
DGC_INLINE void multiply_quad(const float*& weights, const float32x4_t (&inputs)[kColumns], int kx,
                              float32x4_t (&sums)[kVectors][kPixels]) {
  static_assert(kVectors == 1 || kVectors == 2);
  const float32x4x4_t w = load_four(weights);
  if constexpr (kVectors == 1) {
    multiply_lane<0, kStride>(w.val, inputs, kx, sums);
    multiply_lane<1, kStride>(w.val + 1, inputs, kx, sums);
    multiply_lane<2, kStride>(w.val + 2, inputs, kx, sums);
    multiply_lane<3, kStride>(w.val + 3, inputs, kx, sums);
  } else {
    multiply_lane<0, kStride>(w.val, inputs, kx, sums);
    multiply_lane<1, kStride>(w.val + 2, inputs, kx, sums);
    const float32x4x4_t rest = load_four(weights);
    multiply_lane<2, kStride>(rest.val, inputs, kx, sums);
    multiply_lane<3, kStride>(rest.val + 2, inputs, kx, sums);
  }
}

// Four channels of every input column of a tile, from those of its first column at `from` on.
template <bool kGuarded, int kMargin, int kColumns>
DGC_INLINE void load_columns(const TileJob& job, const float* from, float32x4_t (&inputs)[kColumns]) {
  DGC_UNROLL for (int column = 0; column < kColumns; column++) {
    if (skips_column<kGuarded, kColumns, kMargin>(job, column)) {
      inputs[column] = opaque_zeros();
      from += job.input_pixel_stride;
    } else {
      inputs[column] = (float32x4_t)load_and_advance(from, job.input_pixel_stride);
    }
  }
}

// kVectors vectors of outputs by kPixels pixels of one row. Weights are [ky][inputs / 4][kx][lane of input][vector][lane].
template <int kVectors, int kPixelCount, int kKernelSize, int kStrideSize>
struct QuadTile {
  static constexpr int kRows = 1, kPixels = kPixelCount, kKernel = kKernelSize, kStride = kStrideSize;
  static constexpr int kColumns = (kPixels - 1) * kStride + kKernel;
  static constexpr int kInputRows = kKernel;
  static constexpr int kBlock = kVectors * kLanes;
  static constexpr bool kBlocksInside = true;
  using RowTile = QuadTile;

  static bool fits_groups(const ConvDesc& d) {
    return d.group_inputs % 4 == 0 && d.output_channels / d.groups % kBlock == 0;
  }

  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    for (int ky = 0; ky < kKernel; ky++) {
      for (int32_t quad = 0; quad < d.group_inputs; quad += 4) {
        for (int kx = 0; kx < kKernel; kx++) {
          for (int i = 0; i < 4; i++) {
            for (int o = 0; o < kBlock; o++) {
              const int64_t row = (int64_t)(first + o) * d.group_inputs + quad + i;
              *to++ = kernel[(row * kKernel + ky) * kKernel + kx];
            }
          }
        }
      }
    }
  }

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& shared) {
    KeptJob job = shared;
    const int limited = has_upper_limit(job), all = stores_all(job, kPixels);
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      at.weights = run_block<kGuarded>(job, limited, all, at);
      at.next(job, 0, kBlock);
    }
  }

 private:
  // Returns the weights of the next block.
  template <bool kGuarded>
  static DGC_INLINE const float* run_block(const TileJob& job, int limited, int all, const BlockCursor& at) {
    float32x4_t sums[kVectors][kPixels];
    start_sums(at.bias, sums);
    const float* weights = at.weights;
    DGC_ROLLED for (int ky = 0; ky < kKernel; ky++) {
      const float* x = job.rows[ky];
      if (!x) {
        weights += job.group_inputs * kKernel * kBlock;
        continue;
      }
      x += at.input_channel;
      const float* end = x + job.group_inputs;
      do {
        float32x4_t inputs[kColumns];
        load_columns<kGuarded, kKernel / 2>(job, x, inputs);
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) multiply_quad<kStride>(weights, inputs, kx, sums);
        x += 4;
      } while (x != end);
    }
    if (all) store_whole_row(job, limited, at.residual, at.output, sums);
    else store_some_of_row(job, at.residual, at.output, sums);
    return weights;
  }
};

template <int kVectors, int kPixels, int kKernel, int kStride>
using QuadConv = DirectConv<QuadTile<kVectors, kPixels, kKernel, kStride>>;

#endif

}  // namespace
}  // namespace dgc
