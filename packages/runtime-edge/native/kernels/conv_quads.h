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
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      at.weights = run_block<kGuarded>(job, at);
      at.next(job, 0, kBlock);
    }
  }

 private:
  // Returns the weights of the next block.
  template <bool kGuarded>
  static DGC_INLINE const float* run_block(const TileJob& job, const BlockCursor& at) {
    float32x4_t sums[kVectors][kPixels];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const float32x4_t bias = vld1q_f32(at.bias + v * 4);
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[v][pixel] = bias;
    }
    const float* weights = at.weights;
    DGC_ROLLED for (int ky = 0; ky < kKernel; ky++) {
      const float* x = job.rows[ky];
      if (!x) {
        weights += job.group_inputs * kKernel * kBlock;
        continue;
      }
      x += at.input_channel;
      int32_t left = job.group_inputs;
      do {
        float32x4_t inputs[kColumns];
        const float* from = x;
        DGC_UNROLL for (int column = 0; column < kColumns; column++) {
          if (skips_column<kGuarded, kColumns, kKernel / 2>(job, column)) {
            inputs[column] = zeros();
            from += job.input_pixel_stride;
          } else {
            inputs[column] = (float32x4_t)load_and_advance(from, job.input_pixel_stride);
          }
        }
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) multiply(weights, inputs, kx, sums);
        x += 4;
        left -= 4;
      } while (left > 0);
    }
    if (job.plain) store_plain(job, at.output, sums);
    else store_some(job, at, sums);
    return weights;
  }

  template <int, int, int, int>
  friend struct FourTile;

  // Opaque: the compiler would make a second copy of the loop for a zero that it knows.
  static DGC_INLINE float32x4_t zeros() {
    float32x4_t zero;
    asm("movi %0.4s, #0" : "=w"(zero));
    return zero;
  }

  // Four inputs of one tap; moves on to the weights of the next one. Four vectors of weights are one load.
  static DGC_INLINE void multiply(const float*& weights, const float32x4_t (&inputs)[kColumns], int kx,
                                  float32x4_t (&sums)[kVectors][kPixels]) {
    float32x4x4_t w[kVectors];
    if constexpr (kVectors == 1) {
      w[0] = vld1q_f32_x4(weights);
      weights += 16;
      step<0>(w[0].val, inputs, kx, sums);
      step<1>(w[0].val + 1, inputs, kx, sums);
      step<2>(w[0].val + 2, inputs, kx, sums);
      step<3>(w[0].val + 3, inputs, kx, sums);
    } else {
      static_assert(kVectors == 2);
      w[0] = vld1q_f32_x4(weights);
      step<0>(w[0].val, inputs, kx, sums);
      step<1>(w[0].val + 2, inputs, kx, sums);
      w[1] = vld1q_f32_x4(weights + 16);
      weights += 32;
      step<2>(w[1].val, inputs, kx, sums);
      step<3>(w[1].val + 2, inputs, kx, sums);
    }
  }

  template <int kLane>
  static DGC_INLINE void step(const float32x4_t* w, const float32x4_t (&inputs)[kColumns], int kx,
                              float32x4_t (&sums)[kVectors][kPixels]) {
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        sums[v][pixel] = vfmaq_laneq_f32(sums[v][pixel], w[v], inputs[pixel * kStride + kx], kLane);
      }
    }
  }

  static DGC_INLINE void store_plain(const TileJob& job, float* to, const float32x4_t (&sums)[kVectors][kPixels]) {
    const float32x4_t low = vdupq_n_f32(job.low), high = vdupq_n_f32(job.high);
    const int64_t stride = job.output_pixel_stride;  // the compiler thinks that stores may change the job
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) vst1q_f32(to + v * 4, vminq_f32(vmaxq_f32(sums[v][pixel], low), high));
      to += stride;
    }
  }

  static DGC_INLINE void store_some(const TileJob& job, const BlockCursor& at, const float32x4_t (&sums)[kVectors][kPixels]) {
    const float32x4_t low = vdupq_n_f32(job.low), high = vdupq_n_f32(job.high);
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if (pixel < job.pixel_begin || pixel >= job.pixel_end) continue;
      DGC_UNROLL for (int v = 0; v < kVectors; v++) {
        float32x4_t sum = sums[v][pixel];
        if (at.residual) sum = vaddq_f32(sum, vld1q_f32(at.residual + pixel * job.residual_pixel_stride + v * 4));
        vst1q_f32(at.output + pixel * job.output_pixel_stride + v * 4, vminq_f32(vmaxq_f32(sum, low), high));
      }
    }
  }
};

// Groups of four inputs and outputs, several output rows at a time: every input vector is loaded once for all of them.
template <int kRowCount, int kPixelCount, int kKernelSize, int kStrideSize>
struct FourTile {
  using RowTile = QuadTile<1, kPixelCount, kKernelSize, kStrideSize>;
  static constexpr int kRows = kRowCount, kPixels = kPixelCount, kKernel = kKernelSize, kStride = kStrideSize;
  static constexpr int kColumns = RowTile::kColumns;
  static constexpr int kInputRows = (kRows - 1) * kStride + kKernel;
  static constexpr int kBlock = kLanes;
  static constexpr bool kBlocksInside = true;

  static bool fits_groups(const ConvDesc& d) { return d.group_inputs == 4 && d.output_channels == 4 * d.groups; }
  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    RowTile::pack_block(d, kernel, first, to);
  }

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& shared) {
    KeptJob job = shared;
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      run_block<kGuarded>(job, at);
      at.next(job, kKernel * kKernel * 16, kBlock);
    }
  }

 private:
  template <bool kGuarded>
  static DGC_INLINE void run_block(const TileJob& job, const BlockCursor& at) {
    V sums[kRows][kPixels];
    const V bias = load(at.bias);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[row][pixel] = bias;
    }
    DGC_UNROLL for (int r = 0; r < kInputRows; r++) {
      if (!job.rows[r]) continue;
      const float* from = job.rows[r] + at.input_channel;
      float32x4_t inputs[kColumns];
      DGC_UNROLL for (int column = 0; column < kColumns; column++) {
        if (skips_column<kGuarded, kColumns, kKernel / 2>(job, column)) {
          inputs[column] = RowTile::zeros();
          from += job.input_pixel_stride;
        } else {
          inputs[column] = (float32x4_t)load_and_advance(from, job.input_pixel_stride);
        }
      }
      DGC_UNROLL for (int row = 0; row < kRows; row++) {
        const int ky = r - row * kStride;
        if (ky < 0 || ky >= kKernel) continue;
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
          const float* weights = at.weights + (ky * kKernel + kx) * 16;
          // Loaded together, so that they are two instructions.
          const float32x4_t w[4] = {vld1q_f32(weights), vld1q_f32(weights + 4), vld1q_f32(weights + 8), vld1q_f32(weights + 12)};
          step<0>(w[0], inputs, kx, sums[row]);
          step<1>(w[1], inputs, kx, sums[row]);
          step<2>(w[2], inputs, kx, sums[row]);
          step<3>(w[3], inputs, kx, sums[row]);
        }
      }
    }
    store_tile<kRows, kPixels>(job, at, sums);
  }

  template <int kLane>
  static DGC_INLINE void step(float32x4_t w, const float32x4_t (&inputs)[kColumns], int kx, V (&sums)[kPixels]) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      sums[pixel] = (V)vfmaq_laneq_f32((float32x4_t)sums[pixel], w, inputs[pixel * kStride + kx], kLane);
    }
  }
};

template <int kRows, int kPixels, int kKernel, int kStride>
using FourConv = DirectConv<FourTile<kRows, kPixels, kKernel, kStride>>;

template <int kVectors, int kPixels, int kKernel, int kStride>
using QuadConv = DirectConv<QuadTile<kVectors, kPixels, kKernel, kStride>>;

#endif

}  // namespace
}  // namespace dgc
