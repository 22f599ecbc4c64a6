// Grouped convolution for groups of a multiple of four inputs and outputs on vectors of four lanes with multiplication by
// element (NEON): a vector of inputs serves four steps, each multiplying one of its lanes.
#pragma once

#include "conv_direct.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

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
  static DGC_NOINLINE void run(const TileJob& job) {
    float32x4_t sums[kVectors][kPixels];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[v][pixel] = vld1q_f32(job.bias + v * 4);
    }
    const float* weights = job.weights;
    DGC_ROLLED for (int ky = 0; ky < kKernel; ky++) {
      const float* x = job.rows[ky];
      if (!x) {
        weights += job.group_inputs * kKernel * kBlock;
        continue;
      }
      DGC_ROLLED for (int quad = 0; quad < job.group_inputs; quad += 4, x += 4) {
        float32x4_t inputs[kColumns];
        const float* from = x;
        DGC_UNROLL for (int column = 0; column < kColumns; column++) {
          inputs[column] = vdupq_n_f32(0.0f);
          if (skips_column<kGuarded, kColumns, kKernel / 2>(job, column)) from += job.input_pixel_stride;
          else inputs[column] = (float32x4_t)load_and_advance(from, job.input_pixel_stride);
        }
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
          multiply<0>(weights, inputs, kx, sums);
          multiply<1>(weights, inputs, kx, sums);
          multiply<2>(weights, inputs, kx, sums);
          multiply<3>(weights, inputs, kx, sums);
          weights += 4 * kBlock;
        }
      }
    }
    finish(job, sums);
  }

 private:
  template <int kLane>
  static DGC_INLINE void multiply(const float* weights, const float32x4_t (&inputs)[kColumns], int kx,
                                  float32x4_t (&sums)[kVectors][kPixels]) {
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const float32x4_t w = vld1q_f32(weights + kLane * kBlock + v * 4);
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        sums[v][pixel] = vfmaq_laneq_f32(sums[v][pixel], w, inputs[pixel * kStride + kx], kLane);
      }
    }
  }

  static DGC_INLINE void finish(const TileJob& job, const float32x4_t (&sums)[kVectors][kPixels]) {
    const float32x4_t low = vdupq_n_f32(job.low), high = vdupq_n_f32(job.high);
    float* to = job.output;
    const float* residual = job.residual;
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if (job.plain || (pixel >= job.pixel_begin && pixel < job.pixel_end)) {
        DGC_UNROLL for (int v = 0; v < kVectors; v++) {
          float32x4_t sum = sums[v][pixel];
          if (residual) sum = vaddq_f32(sum, vld1q_f32(residual + v * 4));
          vst1q_f32(to + v * 4, vminq_f32(vmaxq_f32(sum, low), high));
        }
      }
      to += job.output_pixel_stride;
      if (residual) residual += job.residual_pixel_stride;
    }
  }
};

template <int kVectors, int kPixels, int kKernel, int kStride>
using QuadConv = DirectConv<QuadTile<kVectors, kPixels, kKernel, kStride>>;

#endif

}  // namespace
}  // namespace dgc
