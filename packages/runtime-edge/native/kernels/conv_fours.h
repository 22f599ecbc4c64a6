// Groups of four inputs and outputs on NEON, several output rows at a time: every input vector is loaded once for all of them.
#pragma once

#include "conv_quads.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

template <int kRowCount, int kPixelCount>
struct FourTile {
  using RowTile = QuadTile<1, kPixelCount, 3, 1>;
  static constexpr int kRows = kRowCount, kPixels = kPixelCount, kKernel = 3, kStride = 1;
  static constexpr int kColumns = kPixels + 2;
  static constexpr int kInputRows = kRows + 2;
  static constexpr int kBlock = kLanes;
  static constexpr bool kBlocksInside = true;

  static bool fits_groups(const ConvDesc& d) { return d.group_inputs == 4 && d.output_channels == 4 * d.groups; }
  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    RowTile::pack_block(d, kernel, first, to);
  }

  // A copy of the code for every way to lie at the image's border: one without cases would multiply by zeros, and cases within
  // make the compiler shift sums from register to register.
  template <bool kGuarded>
  static DGC_INLINE void run(const TileJob& job) {
    const int left = job.column_begin > 0, right = job.column_end < kColumns;
    const bool top = !job.rows[0], bottom = !job.rows[kInputRows - 1];
    bool inside = true;
    for (int r = 1; r < kInputRows - 1; r++) inside &= job.rows[r] != nullptr;
    if (kGuarded || (top && bottom) || !inside) return run_blocks<kAny>(job);
    constexpr void (*kTiles[])(const TileJob&) = {
        run_blocks<0>,           run_blocks<kLeft>,           run_blocks<kRight>,           run_blocks<kLeft | kRight>,
        run_blocks<kTop>,        run_blocks<kTop | kLeft>,    run_blocks<kTop | kRight>,    run_blocks<kTop | kLeft | kRight>,
        run_blocks<kBottom>,     run_blocks<kBottom | kLeft>, run_blocks<kBottom | kRight>, run_blocks<kBottom | kLeft | kRight>,
    };
    kTiles[(top ? 4 : bottom ? 8 : 0) + 2 * right + left](job);
  }

 private:
  // Borders of the image that cut off a row or a column of the tile's inputs; kAny: whatever the job says.
  enum Border { kLeft = 1, kRight = 2, kTop = 4, kBottom = 8, kAny = 16 };

  template <int kBorder>
  static DGC_NOINLINE void run_blocks(const TileJob& shared) {
    KeptJob job = shared;
    const int limited = has_upper_limit(job), all = stores_all(job, kPixels);
    BlockCursor at(job);
    DGC_ROLLED for (int32_t block = 0; block < job.blocks; block++) {
      run_block<kBorder>(job, limited, all, at);
      at.next(job, kKernel * kKernel * 16, kBlock);
    }
  }

  template <int kBorder>
  static DGC_INLINE void run_block(const TileJob& job, int limited, int all, const BlockCursor& at) {
    float32x4_t sums[kRows][kPixels];
    const float32x4_t bias = vld1q_f32(at.bias);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[row][pixel] = bias;
    }
    DGC_UNROLL for (int r = 0; r < kInputRows; r++) {
      if ((kBorder & kTop && r == 0) || (kBorder & kBottom && r == kInputRows - 1)) continue;
      if (kBorder == kAny && !job.rows[r]) continue;
      const float* from = job.rows[r] + at.input_channel;
      float32x4_t inputs[kColumns];
      if constexpr (kBorder == kAny) {
        load_columns<true, 1>(job, from, inputs);
      } else {
        if (kBorder & kLeft) from += job.input_pixel_stride;
        DGC_UNROLL for (int column = kBorder & kLeft ? 1 : 0; column < (kBorder & kRight ? kColumns - 1 : kColumns); column++) {
          inputs[column] = (float32x4_t)load_and_advance(from, job.input_pixel_stride);
        }
      }
      DGC_UNROLL for (int row = 0; row < kRows; row++) {
        const int ky = r - row;
        if (ky < 0 || ky >= kKernel) continue;
        const float* weights = at.weights + ky * kKernel * 16;
        asm("" : "+r"(weights));  // or the compiler keeps weights for the next row, in the stack
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
          const float32x4x4_t w = load_four(weights);
          const int begin = kBorder != kAny && kBorder & kLeft && kx == 0 ? 1 : 0;
          const int end = kBorder != kAny && kBorder & kRight && kx == 2 ? kPixels - 1 : kPixels;
          step<0>(w.val[0], inputs, kx, begin, end, sums[row]);
          step<1>(w.val[1], inputs, kx, begin, end, sums[row]);
          step<2>(w.val[2], inputs, kx, begin, end, sums[row]);
          step<3>(w.val[3], inputs, kx, begin, end, sums[row]);
        }
      }
    }
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      const float* residual = at.residual ? at.residual + row * job.residual_row_stride : nullptr;
      float* to = at.output + row * job.output_row_stride;
      float32x4_t some[1][kPixels];
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) some[0][pixel] = sums[row][pixel];
      if (all) store_whole_row(job, limited, residual, to, some);
      else store_some_of_row(job, residual, to, some);
    }
  }

  template <int kLane>
  static DGC_INLINE void step(float32x4_t w, const float32x4_t (&inputs)[kColumns], int kx, int begin, int end,
                              float32x4_t (&sums)[kPixels]) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if (pixel < begin || pixel >= end) continue;
      sums[pixel] = vfmaq_laneq_f32(sums[pixel], w, inputs[pixel + kx], kLane);
    }
  }
};

template <int kRows, int kPixels>
using FourConv = DirectConv<FourTile<kRows, kPixels>>;

#endif

}  // namespace
}  // namespace dgc
