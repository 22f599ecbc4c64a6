// 3x3 convolution at stride 1 for depthwise and small groups: a column of the image is walked down with three rows of
// sums in registers, so that every input vector is loaded once for all nine taps.
#pragma once

#include "conv_grouped.h"

namespace dgc {
namespace {

template <int kGroup, int kPixels>
struct RollingColumn {
  static constexpr int kColumns = kPixels + 2;

  // `job.rows[0]` is input row 0 of the tile's first column; `rows` >= 3 output rows, as many as input rows.
  template <Border kBorder>
  static DGC_NOINLINE void run(const TileJob& job, int64_t input_row_stride, int32_t rows) {
    const V bias = load(job.bias);
    V above[1][kPixels], here[1][kPixels], below[1][kPixels];
    reset(here, bias);
    reset(below, bias);
    const float* x = job.rows[0];
    add_row<kBorder, false, true>(job, x, above, here, below);
    // Three rows a round, so that the roles of the registers rotate without moves.
    for (int32_t y = 1;; y += 3) {
      if (advance<kBorder>(job, x, y, rows, input_row_stride, bias, here, below, above)) return;
      if (advance<kBorder>(job, x, y + 1, rows, input_row_stride, bias, below, above, here)) return;
      if (advance<kBorder>(job, x, y + 2, rows, input_row_stride, bias, above, here, below)) return;
    }
  }

 private:
  using Sums = V[1][kPixels];

  static DGC_INLINE void reset(Sums& sums, V bias) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[0][pixel] = bias;
  }

  // Input row y completes output row y - 1 (`above`), is the middle of y and the top of y + 1. True after the last row.
  template <Border kBorder>
  static DGC_INLINE bool advance(const TileJob& job, const float* x, int32_t y, int32_t rows, int64_t input_row_stride,
                                 V bias, Sums& above, Sums& here, Sums& below) {
    const float* row = x + y * input_row_stride;
    if (y == rows - 1) {
      add_row<kBorder, true, false>(job, row, above, here, below);
      finish(job, y - 1, above);
      finish(job, y, here);
      return true;
    }
    reset(below, bias);
    add_row<kBorder, true, true>(job, row, above, here, below);
    finish(job, y - 1, above);
    return false;
  }

  static DGC_INLINE void finish(const TileJob& job, int32_t y, Sums& sums) {
    const V low = splat(job.low), high = splat(job.high);
    float* to = job.output + y * job.output_row_stride;
    const float* residual = job.residual ? job.residual + y * job.residual_row_stride : nullptr;
    if (job.plain) {
      const int64_t stride = job.output_pixel_stride;  // the compiler thinks that stores may change the job
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        store(to, at_most(at_least(sums[0][pixel], low), high));
        prefetch_output(to + kLanes);
        to += stride;
      }
      return;
    }
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if (pixel < job.pixel_begin || pixel >= job.pixel_end) continue;
      V sum = sums[0][pixel];
      if (residual) sum = sum + load(residual + pixel * job.residual_pixel_stride);
      store_from(to + pixel * job.output_pixel_stride, at_most(at_least(sum, low), high), job.lane_begin);
    }
  }

  template <Border kBorder, bool kAbove, bool kBelow>
  static DGC_INLINE void add_row(const TileJob& job, const float* x, Sums& above, Sums& here, Sums& below) {
    DGC_UNROLL for (int j = 0; j < kGroup; j++) {
      const float* weights = load_here(job.weights + j * 3 * kLanes);
      V taps[3][3];
      DGC_UNROLL for (int ky = 0; ky < 3; ky++) {
        DGC_UNROLL for (int kx = 0; kx < 3; kx++) taps[ky][kx] = load(weights + (ky * kGroup * 3 + kx) * kLanes);
      }
      const float* from = kGroup > 2 ? load_here(x) : x;  // for two steps, it is faster to keep the inputs
      DGC_UNROLL for (int column = 0; column < kColumns; column++) {
        if (is_border<kBorder, kColumns>(column)) {
          from += job.input_pixel_stride;
          continue;
        }
        if (j == 0) prefetch_input(from + kLanes);  // of the next block: strides are too long for the hardware to see
        const V input = exchange(load_and_advance(from, job.input_pixel_stride), j);
        DGC_UNROLL for (int kx = 0; kx < 3; kx++) {
          const int pixel = column - kx;
          if (pixel < 0 || pixel >= kPixels) continue;
          if (kAbove) above[0][pixel] = multiply_add(input, taps[2][kx], above[0][pixel]);
          here[0][pixel] = multiply_add(input, taps[1][kx], here[0][pixel]);
          if (kBelow) below[0][pixel] = multiply_add(input, taps[0][kx], below[0][pixel]);
        }
      }
    }
  }
};

// Packed as GroupedConv's. Work item: one tile column of one image for a run of channel blocks.
template <int kGroup, int kPixels>
struct RollingConv {
  using Packing = GroupedConv<kGroup, 1, kPixels, 3, 1>;

  static bool supports(const ConvDesc& d) {
    return Packing::supports(d) && d.pad_top == 1 && d.output_height == d.input_height && d.output_height >= 3 &&
           d.pad_left == 1 && d.output_width == d.input_width && d.output_width >= kPixels;
  }
  static uint64_t packed_bytes(const ConvDesc& d) { return Packing::packed_bytes(d); }
  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) { Packing::pack(d, weights, packed); }
  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * tiles(d) * runs(d); }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    const Clamp clamp = clamp_of(d.activation);
    TileJob job = job_of(d, clamp);
    for (int64_t item = begin; item < end; item++) {
      const int32_t run = (int32_t)(item % runs(d));
      const int32_t x = (int32_t)(item / runs(d) % tiles(d)) * kPixels;
      const int64_t image = item / runs(d) / tiles(d);
      const int32_t first = run * blocks_of_run(d);
      const int32_t last = first + blocks_of_run(d) < Packing::blocks(d) ? first + blocks_of_run(d) : Packing::blocks(d);
      for (int32_t block = first; block < last; block++) run_column(d, args, image, x, block, job);
      if (!clamp.complete) finish_column(d, args, image, x, first * kLanes, last * kLanes);
    }
  }

 private:
  static int32_t tiles(const ConvDesc& d) { return (d.output_width + kPixels - 1) / kPixels; }
  static int32_t blocks_of_run(const ConvDesc& d) { return (Packing::blocks(d) + 3) / 4; }
  static int32_t runs(const ConvDesc& d) { return (Packing::blocks(d) + blocks_of_run(d) - 1) / blocks_of_run(d); }

  static void run_column(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t x, int32_t block, TileJob& job) {
    const int32_t start = place_pixels(d, x, kPixels, job);
    const int32_t channel = Packing::place_channels(d, args.packed, block, 1, job);
    Packing::place_output(d, args, image * d.output_height * d.output_width + start, channel, job);
    const int64_t row_stride = d.input_width * d.input_pixel_stride;
    const float* input = args.input + image * d.input_height * row_stride + job.input_channel;
    place_columns(d, start, RollingColumn<kGroup, kPixels>::kColumns, job);
    job.rows[0] = input + (start - d.pad_left) * d.input_pixel_stride;
    const int32_t rows = d.output_height;
    switch (border_of(job, RollingColumn<kGroup, kPixels>::kColumns)) {
      case Border::kNone:
        return RollingColumn<kGroup, kPixels>::template run<Border::kNone>(job, row_stride, rows);
      case Border::kLeft:
        return RollingColumn<kGroup, kPixels>::template run<Border::kLeft>(job, row_stride, rows);
      case Border::kRight:
        return RollingColumn<kGroup, kPixels>::template run<Border::kRight>(job, row_stride, rows);
      case Border::kBoth:
        return RollingColumn<kGroup, kPixels>::template run<Border::kBoth>(job, row_stride, rows);
    }
  }

  static void finish_column(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t x, int32_t first, int32_t last) {
    const int32_t channels = (last < d.output_channels ? last : d.output_channels) - first;
    for (int32_t y = 0; y < d.output_height; y++) {
      for (int32_t i = x; i < x + kPixels && i < d.output_width; i++) {
        float* at = args.output + ((image * d.output_height + y) * d.output_width + i) * d.output_pixel_stride + first;
        activate_row(d.activation, at, at, channels);
      }
    }
  }
};

}  // namespace
}  // namespace dgc
