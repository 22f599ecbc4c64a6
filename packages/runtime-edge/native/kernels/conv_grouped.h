// Grouped convolution with square kernels, output channels in the lanes, inputs straight from NHWC.
//
// kGroup 1, 2, 4, …, below the vector width: a vector holds whole groups, as inputs and as outputs. Output lane o reads input
// lane o ^ j in step j, so that every step but j = 0 is one cheap exchange of lanes, and the weights are permuted to match
// when they are packed. Channels that are no multiple of the vector end in a block that overlaps the one before.
// kGroup 0: groups of any number of inputs whose outputs fill vectors: every input is broadcast.
//
// A tile is kRows x kPixels outputs: each input vector is loaded (and exchanged) once for all taps and rows that read it.
#pragma once

#include "conv_window.h"

namespace dgc {
namespace {

template <int kGroup, int kRows, int kPixels, int kKernel, int kStride>
struct GroupedTile {
  static constexpr int kColumns = (kPixels - 1) * kStride + kKernel;
  static constexpr int kInputRows = (kRows - 1) * kStride + kKernel;
  static_assert(kInputRows <= kMaxInputRows);

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& job) {
    V sums[kRows][kPixels];
    const V bias = load(job.bias);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[row][pixel] = bias;
    }
    DGC_UNROLL for (int r = 0; r < kInputRows; r++) {
      const float* x = job.rows[r];
      if (!x) continue;
      if constexpr (kGroup == 0) {
        const float* weights = job.weights;
        DGC_ROLLED for (int j = 0; j < job.group_inputs; j++) {
          const float* from = x + j;
          step<kGuarded>(job, r, weights, job.group_inputs, sums, [&](int) { return splat(*from); },
                         [&] { from += job.input_pixel_stride; keep_pointer(from); });
          weights += kKernel * kLanes;
        }
      } else {
        DGC_UNROLL for (int j = 0; j < kGroup; j++) {
          const float* from = x;
          step<kGuarded>(job, r, job.weights + j * kKernel * kLanes, kGroup, sums,
                         [&](int) { return exchange(load(from), j); },
                         [&] { from += job.input_pixel_stride; keep_pointer(from); });
        }
      }
    }
    store_tile<kRows, kPixels>(job, sums);
  }

 private:
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

// Packed: [block][ky][j][kx][lane], then the bias [block][lane]. Work item: see Strips.
template <int kGroup, int kRows, int kPixels, int kKernel, int kStride>
struct GroupedConv {
  static bool supports(const ConvDesc& d) {
    const int32_t group_outputs = d.output_channels / d.groups;
    const bool window = d.kernel_height == kKernel && d.kernel_width == kKernel && d.stride_height == kStride &&
                        d.stride_width == kStride && d.dilation_height == 1 && d.dilation_width == 1;
    const bool groups = kGroup == 0 ? group_outputs % kLanes == 0
                                    : d.group_inputs == kGroup && group_outputs == kGroup && d.output_channels >= kLanes;
    return window && groups && d.pre == PreKind::kNone && !d.input_index;
  }

  static size_t packed_bytes(const ConvDesc& d) {
    return (size_t)(blocks(d) * (taps_of_block(d) + kLanes)) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    float* bias = to + blocks(d) * taps_of_block(d);
    const int64_t taps = kKernel * kKernel;
    for (int32_t block = 0; block < blocks(d); block++) {
      const int32_t first = first_channel(d, block);
      for (int ky = 0; ky < kKernel; ky++) {
        for (int32_t j = 0; j < d.group_inputs; j++) {
          for (int kx = 0; kx < kKernel; kx++) {
            for (int lane = 0; lane < kLanes; lane++) {
              const int64_t o = first + lane;
              const int64_t i = kGroup == 0 ? j : (int64_t)(o % (kGroup == 0 ? 1 : kGroup)) ^ j;
              *to++ = weights.kernel[(o * d.group_inputs + i) * taps + ky * kKernel + kx];
            }
          }
        }
      }
      for (int lane = 0; lane < kLanes; lane++) *bias++ = weights.bias ? weights.bias[first + lane] : 0.0f;
    }
  }

  static size_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) {
    const Strips s = strips(d);
    return (int64_t)d.batch * s.strips * s.runs;
  }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) run_strip(d, args, strip_of(d, strips(d), blocks(d), item));
  }

  static int32_t blocks(const ConvDesc& d) { return (d.output_channels + kLanes - 1) / kLanes; }

  static int32_t first_channel(const ConvDesc& d, int32_t block) {
    const int32_t first = block * kLanes;
    return first + kLanes <= d.output_channels ? first : d.output_channels - kLanes;
  }

  static void point_to_weights(const ConvDesc& d, const void* packed, int32_t block, TileJob& job) {
    job.weights = (const float*)packed + block * taps_of_block(d);
    job.bias = (const float*)packed + blocks(d) * taps_of_block(d) + block * kLanes;
  }

 private:
  using Tile = GroupedTile<kGroup, kRows, kPixels, kKernel, kStride>;
  using RowTile = GroupedTile<kGroup, 1, kPixels, kKernel, kStride>;

  // All blocks of a tile one after another: vectors narrower than a cache line share it, and 1x1 kernels stream.
  static constexpr bool kBlocksInside = kGroup != 0 && (kLanes < 16 || kKernel == 1);

  static int64_t taps_of_block(const ConvDesc& d) { return (int64_t)kKernel * kKernel * d.group_inputs * kLanes; }
  static Strips strips(const ConvDesc& d) { return cut_into_strips(d, blocks(d), 4 * kRows); }

  static void run_strip(const ConvDesc& d, const ConvArgs& args, const Strip& strip) {
    const Clamp clamp = clamp_of(d.activation);
    TileJob job = job_of(d, clamp);
    if constexpr (kBlocksInside) {
      for (int32_t y = strip.row_begin; y < strip.row_end; y += y + kRows <= strip.row_end ? kRows : 1) {
        for (int32_t x = 0; x < d.output_width; x += kPixels) {
          for (int32_t block = strip.block_begin; block < strip.block_end; block++) run_tile(d, args, strip, block, y, x, job);
        }
      }
    } else {
      for (int32_t block = strip.block_begin; block < strip.block_end; block++) {
        for (int32_t y = strip.row_begin; y < strip.row_end; y += y + kRows <= strip.row_end ? kRows : 1) {
          for (int32_t x = 0; x < d.output_width; x += kPixels) run_tile(d, args, strip, block, y, x, job);
        }
      }
    }
    if (!clamp.complete) {
      const int32_t last = strip.block_end * kLanes;
      finish_strip(d, strip, strip.block_begin * kLanes, last < d.output_channels ? last : d.output_channels, args.output);
    }
  }

  static void run_tile(const ConvDesc& d, const ConvArgs& args, const Strip& strip, int32_t block, int32_t y, int32_t x,
                       TileJob& job) {
    const int32_t channel = first_channel(d, block);
    const int32_t input_channel = kGroup == 0 ? channel / (d.output_channels / d.groups) * d.group_inputs : channel;
    const int32_t start = place_pixels(d, x, kPixels, job);
    job.lane_begin = block * kLanes - channel;
    point_to_weights(d, args.packed, block, job);
    const int64_t pixel = (strip.image * d.output_height + y) * d.output_width + start;
    job.output = args.output + pixel * d.output_pixel_stride + channel;
    job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
    job.plain = job.pixel_begin == 0 && job.pixel_end == kPixels && job.lane_begin == 0 && !d.has_residual;
    const float* image =
        args.input + strip.image * d.input_height * d.input_width * d.input_pixel_stride + input_channel;
    if (y + kRows <= strip.row_end) place_and_run<Tile>(d, image, y, start, job);
    else place_and_run<RowTile>(d, image, y, start, job);
  }

  template <typename SomeTile>
  static DGC_INLINE void place_and_run(const ConvDesc& d, const float* image, int32_t y, int32_t x, TileJob& job) {
    place_rows(d, image, y, x, SomeTile::kInputRows, job);
    place_columns(d, x, SomeTile::kColumns, job);
    if (needs_guard(job, SomeTile::kColumns, kKernel / 2)) SomeTile::template run<true>(job);
    else SomeTile::template run<false>(job);
  }
};

}  // namespace
}  // namespace dgc
