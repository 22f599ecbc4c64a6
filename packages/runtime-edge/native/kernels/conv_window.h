// What the direct convolution kernels share: how work is cut into items, and how a tile of output pixels meets the borders.
#pragma once

#include "conv_reference.h"

namespace dgc {
namespace {

// Work item: a strip of output rows of one image for a run of channel blocks. Cut by the description alone.
struct Strips {
  int32_t rows;     // of a strip
  int32_t strips;   // of an image
  int32_t blocks;   // of a run
  int32_t runs;     // of all blocks
};

DGC_INLINE Strips cut_into_strips(const ConvDesc& d, int32_t blocks, int32_t rows_of_strip) {
  Strips s;
  s.rows = rows_of_strip;
  s.strips = (d.output_height + rows_of_strip - 1) / rows_of_strip;
  s.blocks = (blocks + 3) / 4;
#ifdef DGC_ISA_avx2
  // As long runs as leave enough items for the threads: the next block's inputs share the cache line.
  const int64_t enough = 12, all_strips = (int64_t)d.batch * s.strips;
  const int32_t fewest = (int32_t)((enough + all_strips - 1) / all_strips);
  if (fewest < 4) s.blocks = (blocks + fewest - 1) / fewest;
#endif
#ifdef DGC_ISA_neon
  // One run where strips are enough for the threads and all weights fit into a small first-level cache: fewer, longer jobs.
  const int64_t weights = (int64_t)d.output_channels * d.group_inputs * d.kernel_height * d.kernel_width;
  if ((int64_t)d.batch * s.strips >= 8 && weights <= 6144) s.blocks = blocks;
#endif
  s.runs = (blocks + s.blocks - 1) / s.blocks;
  return s;
}

// One item: rows [row_begin, row_end) of an image, blocks [block_begin, block_end).
struct Strip {
  int64_t image;
  int32_t row_begin, row_end, block_begin, block_end;
};

DGC_INLINE Strip strip_of(const ConvDesc& d, const Strips& s, int32_t blocks, int64_t item) {
  Strip strip;
  const int32_t run = (int32_t)(item % s.runs);
  const int32_t at = (int32_t)(item / s.runs % s.strips);
  strip.image = item / s.runs / s.strips;
  strip.row_begin = at * s.rows;
  strip.row_end = strip.row_begin + s.rows < d.output_height ? strip.row_begin + s.rows : d.output_height;
  strip.block_begin = run * s.blocks;
  strip.block_end = strip.block_begin + s.blocks < blocks ? strip.block_begin + s.blocks : blocks;
  return strip;
}

constexpr int kMaxInputRows = 16;

// A tile of output pixels for a run of channel blocks. Its first input column belongs to tap 0 of pixel 0, in the image or
// not; columns outside of [column_begin, column_end) are padding, null rows likewise. Pixels outside of
// [pixel_begin, pixel_end) were computed by the tile before or do not exist: they are not stored.
struct TileJob {
  const float* rows[kMaxInputRows];
  int64_t input_pixel_stride;
  int64_t output_row_stride, output_pixel_stride;
  int64_t residual_row_stride, residual_pixel_stride;
  int32_t column_begin, column_end;
  int32_t pixel_begin, pixel_end;
  bool plain;          // all pixels are stored; in a placed job, all lanes too, and there is no residual
  int32_t lane_begin;  // lanes below were stored by the block before
  float low, high;
  // Of the first block, and how to move on to the next ones.
  int32_t blocks;
  int32_t group_inputs;
  int32_t input_channel;
  int32_t input_step;       // channels from one run of `blocks_of_input` blocks to the next
  int32_t blocks_of_input;  // blocks that read the same inputs
  int32_t left_of_input;    // of these, from the first block on
  const float* weights;
  const float* bias;
  const float* residual;  // null: none
  float* output;
};

// How a tile keeps its job: the compiler thinks that stores may change one that is shared, so those with many short blocks take
// a copy, whose fields stay in registers. With sixteen lanes a block is long and the copy costs more than it saves.
#if DGC_LANES < 16
using KeptJob = const TileJob;
#else
using KeptJob = const TileJob&;
#endif

// Where a tile is in its run of blocks.
struct BlockCursor {
  int64_t input_channel;
  int32_t left_of_input;
  const float* weights;
  const float* bias;
  const float* residual;
  float* output;

  DGC_INLINE explicit BlockCursor(const TileJob& job)
      : input_channel(job.input_channel),
        left_of_input(job.left_of_input),
        weights(job.weights),
        bias(job.bias),
        residual(job.residual),
        output(job.output) {}

  DGC_INLINE void next(const TileJob& job, int64_t taps, int32_t channels) {
    weights += taps;
    bias += channels;
    output += channels;
    if (residual) residual += channels;
    if (--left_of_input == 0) {
      left_of_input = job.blocks_of_input;
      input_channel += job.input_step;
    }
  }
};

// The epilogue of `kRows` x `kPixels` accumulators: residual, clamp, store.
template <int kRows, int kPixels>
DGC_INLINE void store_tile(const TileJob& job, const BlockCursor& at, V (&sums)[kRows][kPixels]) {
  const V low = splat(job.low), high = splat(job.high);
  if (job.plain) {
    // Copies, since the compiler thinks that stores may change the job.
    const int64_t row_stride = job.output_row_stride, pixel_stride = job.output_pixel_stride;
    float* start = at.output;
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      float* to = start;
      start += row_stride;
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        store(to, at_most(at_least(sums[row][pixel], low), high));
        prefetch_output(to + kLanes);
        to += pixel_stride;
      }
    }
    return;
  }
  DGC_UNROLL for (int row = 0; row < kRows; row++) {
    float* to = at.output + row * job.output_row_stride;
    const float* residual = at.residual ? at.residual + row * job.residual_row_stride : nullptr;
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if (pixel < job.pixel_begin || pixel >= job.pixel_end) continue;
      V sum = sums[row][pixel];
      if (residual) sum = sum + load(residual + pixel * job.residual_pixel_stride);
      sum = at_most(at_least(sum, low), high);
      float* target = to + pixel * job.output_pixel_stride;
      if (job.lane_begin == 0) store(target, sum);
      else store_from(target, sum, job.lane_begin);
    }
  }
}

// The parts of a job that the description alone decides.
DGC_INLINE TileJob job_of(const ConvDesc& d, const Clamp& clamp) {
  TileJob job = {};
  job.input_pixel_stride = d.input_pixel_stride;
  job.output_row_stride = d.output_width * d.output_pixel_stride;
  job.output_pixel_stride = d.output_pixel_stride;
  job.residual_row_stride = d.output_width * d.residual_pixel_stride;
  job.residual_pixel_stride = d.residual_pixel_stride;
  job.group_inputs = d.group_inputs;
  job.blocks = job.blocks_of_input = job.left_of_input = 1;
  job.low = clamp.low;
  job.high = clamp.high;
  return job;
}

// Which pixels the tile at output column x stores. The last tile of a row is moved back to end with it: returns its start.
DGC_INLINE int32_t place_pixels(const ConvDesc& d, int32_t x, int32_t pixels, TileJob& job) {
  const int32_t start = x + pixels > d.output_width && d.output_width > pixels ? d.output_width - pixels : x;
  const int32_t end = d.output_width - start < pixels ? d.output_width - start : pixels;
  job.pixel_begin = x - start;
  job.pixel_end = end;
  // Of the values: compilers read both fields back at once, and that waits until the tile before has ended.
  job.plain = x == start && end == pixels;
  return start;
}

// Which of `columns` input columns of the tile at output column x lie in the image.
DGC_INLINE void place_columns(const ConvDesc& d, int32_t x, int32_t columns, TileJob& job) {
  const int32_t column = x * d.stride_width - d.pad_left;
  job.column_begin = column < 0 ? -column : 0;
  job.column_end = column + columns > d.input_width ? d.input_width - column : columns;
}

// Whether more columns than those at the two ends, `margin` at each, are outside of the image.
DGC_INLINE bool needs_guard(const TileJob& job, int32_t columns, int32_t margin) {
  return job.column_begin > margin || job.column_end < columns - margin;
}

// Whether a tile skips an input column. Unguarded tiles ask only at their ends: most tiles of small images have a border.
template <bool kGuarded, int kColumns, int kMargin>
DGC_INLINE bool skips_column(const TileJob& job, int column) {
  if (kGuarded) return column < job.column_begin || column >= job.column_end;
  if (column < kMargin) return column < job.column_begin;
  return column >= kColumns - kMargin && column >= job.column_end;
}

// Which of the two columns at the ends of a tile lie outside of the image.
enum class Border { kNone, kLeft, kRight, kBoth };

DGC_INLINE Border border_of(const TileJob& job, int32_t columns) {
  if (job.column_begin > 0) return job.column_end < columns ? Border::kBoth : Border::kLeft;
  return job.column_end < columns ? Border::kRight : Border::kNone;
}

template <Border kBorder, int kColumns>
DGC_INLINE bool is_border(int column) {
  if (column == 0) return kBorder == Border::kLeft || kBorder == Border::kBoth;
  return column == kColumns - 1 && (kBorder == Border::kRight || kBorder == Border::kBoth);
}

// The input rows of output row y from column 0 on; `image` points to the image's first channel.
DGC_INLINE void place_rows(const ConvDesc& d, const float* image, int32_t y, int32_t input_rows, const float** rows) {
  const int32_t row = y * d.stride_height - d.pad_top;
  const int64_t row_stride = d.input_width * d.input_pixel_stride;
  const float* from = image + row * row_stride;
  for (int32_t r = 0; r < input_rows; r++, from += row_stride) {
    rows[r] = row + r >= 0 && row + r < d.input_height ? from : nullptr;
  }
}

// Activations that clamping does not complete, over the pixels of a strip.
inline void finish_strip(const ConvDesc& d, const Strip& strip, int32_t channel_begin, int32_t channel_end, float* output) {
  const int64_t first = (strip.image * d.output_height + strip.row_begin) * d.output_width;
  const int64_t count = (int64_t)(strip.row_end - strip.row_begin) * d.output_width;
  for (int64_t pixel = first; pixel < first + count; pixel++) {
    float* at = output + pixel * d.output_pixel_stride + channel_begin;
    activate_row(d.activation, at, at, channel_end - channel_begin);
  }
}

}  // namespace
}  // namespace dgc
