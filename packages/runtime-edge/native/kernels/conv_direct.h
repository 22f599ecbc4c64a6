// Drives a tile of the direct convolutions over strips of the output.
#pragma once

#include "conv_window.h"

namespace dgc {
namespace {

// Packed: the weights of each block as the tile wants them, then the bias [block][lane]. Channels that are no multiple of the
// block end in one that overlaps the block before. Work item: see Strips.
template <typename Tile>
struct DirectConv {
  static constexpr int kRows = Tile::kRows, kPixels = Tile::kPixels, kKernel = Tile::kKernel, kStride = Tile::kStride;
  static constexpr int kBlock = Tile::kBlock;

  static bool supports(const ConvDesc& d) {
    return d.kernel_height == kKernel && d.kernel_width == kKernel && d.stride_height == kStride &&
           d.stride_width == kStride && d.dilation_height == 1 && d.dilation_width == 1 && d.pre == PreKind::kNone &&
           !d.input_index && Tile::fits_groups(d);
  }

  static uint64_t packed_bytes(const ConvDesc& d) {
    return (uint64_t)(blocks(d) * (taps_of_block(d) + kBlock)) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* bias = (float*)packed + blocks(d) * taps_of_block(d);
    for (int32_t block = 0; block < blocks(d); block++) {
      const int32_t first = first_channel(d, block);
      Tile::pack_block(d, weights.kernel, first, (float*)packed + block * taps_of_block(d));
      for (int lane = 0; lane < kBlock; lane++) *bias++ = weights.bias ? weights.bias[first + lane] : 0.0f;
    }
  }

  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) {
    const Strips s = strips(d);
    return (int64_t)d.batch * s.strips * s.runs;
  }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) run_strip(d, args, strip_of(d, strips(d), blocks(d), item));
  }

  static int32_t blocks(const ConvDesc& d) { return (d.output_channels + kBlock - 1) / kBlock; }

  static int32_t first_channel(const ConvDesc& d, int32_t block) {
    const int32_t first = block * kBlock;
    return first + kBlock <= d.output_channels ? first : d.output_channels - kBlock;
  }

  // The job's part for `count` blocks from `block` on; divides, so not once a tile. Returns their first channel.
  static int32_t place_channels(const ConvDesc& d, const void* packed, int32_t block, int32_t count, TileJob& job) {
    const int32_t channel = first_channel(d, block);
    const int32_t group_outputs = d.output_channels / d.groups;
    job.blocks = count;
    job.blocks_of_input = group_outputs > kBlock ? group_outputs / kBlock : 1;
    job.left_of_input = job.blocks_of_input - channel % group_outputs / kBlock;
    job.input_step = group_outputs > kBlock ? d.group_inputs : kBlock / group_outputs * d.group_inputs;
    job.input_channel = channel / group_outputs * d.group_inputs;
    job.lane_begin = block * kBlock - channel;
    job.weights = (const float*)packed + block * taps_of_block(d);
    job.bias = (const float*)packed + blocks(d) * taps_of_block(d) + block * kBlock;
    return channel;
  }

  // The job's part for a tile at output pixel `pixel`.
  static DGC_INLINE void place_output(const ConvDesc& d, const ConvArgs& args, int64_t pixel, int32_t channel, TileJob& job) {
    job.output = args.output + pixel * d.output_pixel_stride + channel;
    job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
    job.plain = job.plain && job.lane_begin == 0 && !d.has_residual;
  }

 private:
  static int64_t taps_of_block(const ConvDesc& d) {
    int64_t head = 0;
    if constexpr (requires { Tile::kHead; }) head = Tile::kHead;
    return head + (int64_t)kKernel * kKernel * d.group_inputs * kBlock;
  }
  static Strips strips(const ConvDesc& d) { return cut_into_strips(d, blocks(d), 4 * kRows); }

  static void run_strip(const ConvDesc& d, const ConvArgs& args, const Strip& strip) {
    const Clamp clamp = clamp_of(d.activation);
    TileJob job = job_of(d, clamp);
    const int32_t run = Tile::kBlocksInside ? strip.block_end - strip.block_begin : 1;
    for (int32_t block = strip.block_begin; block < strip.block_end; block += run) {
      // A block that overlaps the one before stores part of its lanes: by itself.
      const bool overlaps = (block + run) * kBlock > d.output_channels;
      const int32_t whole = overlaps ? run - 1 : run;
      if (whole > 0) run_blocks(d, args, strip, block, whole, job);
      if (overlaps) run_blocks(d, args, strip, block + whole, 1, job);
    }
    if (!clamp.complete) {
      const int32_t last = strip.block_end * kBlock;
      finish_strip(d, strip, strip.block_begin * kBlock, last < d.output_channels ? last : d.output_channels, args.output);
    }
  }

  static void run_blocks(const ConvDesc& d, const ConvArgs& args, const Strip& strip, int32_t block, int32_t count,
                         TileJob& job) {
    const int32_t channel = place_channels(d, args.packed, block, count, job);
    int32_t y = strip.row_begin;
    for (; y + kRows <= strip.row_end; y += kRows) run_rows<Tile>(d, args, strip.image, y, channel, job);
    for (; y < strip.row_end; y++) run_rows<typename Tile::RowTile>(d, args, strip.image, y, channel, job);
  }

  // Tiles side by side at output row y.
  template <typename SomeTile>
  static void run_rows(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t y, int32_t channel, TileJob& job) {
    const float* rows[SomeTile::kInputRows];
    place_rows(d, args.input + image * d.input_height * d.input_width * d.input_pixel_stride, y, SomeTile::kInputRows, rows);
    for (int32_t x = 0; x < d.output_width; x += kPixels) {
      const int32_t start = place_pixels(d, x, kPixels, job);
      place_columns(d, start, SomeTile::kColumns, job);
      const int64_t column = (int64_t)(start * kStride - d.pad_left) * d.input_pixel_stride;
      for (int r = 0; r < SomeTile::kInputRows; r++) job.rows[r] = rows[r] ? rows[r] + column : nullptr;
      place_output(d, args, (image * d.output_height + y) * d.output_width + start, channel, job);
      if (needs_guard(job, SomeTile::kColumns, kKernel / 2)) SomeTile::template run<true>(job);
      else SomeTile::template run<false>(job);
    }
  }
};

}  // namespace
}  // namespace dgc
