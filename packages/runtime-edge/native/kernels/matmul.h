// Products of two values (constant matrices are 1x1 convolutions), with the register tile of gemm_tile.h. Work item: a block
// of rows by a panel of columns of one batch; both operands are gathered into scratch where their strides ask for it.
#pragma once

#include "gemm_tile.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct MatmulReference {
  static bool supports(const MatmulDesc&) { return true; }
  static uint64_t scratch_bytes(const MatmulDesc&) { return 0; }
  static int64_t work_items(const MatmulDesc& d) { return (int64_t)d.batch * d.rows; }

  static void run(const MatmulDesc& d, const BinaryArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) {
      const int64_t batch = item / d.rows;
      const float* a = args.a + batch * d.a_batch_stride + item % d.rows * d.a_row_stride;
      const float* b = args.b + batch * d.b_batch_stride;
      float* to = args.output + item * d.columns;
      for (int32_t n = 0; n < d.columns; n++) {
        float sum = 0.0f;
        for (int32_t k = 0; k < d.depth; k++) sum += a[k * d.a_depth_stride] * b[k * d.b_depth_stride + n * d.b_column_stride];
        to[n] = sum;
      }
    }
  }
};

struct MatmulBlocked {
  static bool supports(const MatmulDesc& d) { return d.depth > 0; }

  static uint64_t scratch_bytes(const MatmulDesc& d) {
    return (uint64_t)(depth_block(d) * (kPanel + kGemmRows) + kPanel) * sizeof(float);
  }

  static int64_t work_items(const MatmulDesc& d) { return (int64_t)d.batch * row_blocks(d) * panels(d); }

  static void run(const MatmulDesc& d, const BinaryArgs& args, int64_t begin, int64_t end, void* scratch) {
    for (int64_t item = begin; item < end; item++) run_block(d, args, item, (float*)scratch);
  }

 private:
  static constexpr int32_t kPanel = kGemmVectors * kLanes;
  static constexpr int32_t kRowBlock = 32 * kGemmRows;
  static constexpr int32_t kDepthBlock = 512;

  static int32_t depth_block(const MatmulDesc& d) { return d.depth < kDepthBlock ? d.depth : kDepthBlock; }
  static int32_t row_blocks(const MatmulDesc& d) { return (d.rows + kRowBlock - 1) / kRowBlock; }
  static int32_t panels(const MatmulDesc& d) { return (d.columns + kPanel - 1) / kPanel; }

  static void run_block(const MatmulDesc& d, const BinaryArgs& args, int64_t item, float* scratch) {
    const int32_t column = (int32_t)(item % panels(d)) * kPanel;
    const int32_t row_begin = (int32_t)(item / panels(d) % row_blocks(d)) * kRowBlock;
    const int32_t row_end = row_begin + kRowBlock < d.rows ? row_begin + kRowBlock : d.rows;
    const int64_t batch = item / panels(d) / row_blocks(d);
    const int32_t columns = d.columns - column < kPanel ? d.columns - column : kPanel;
    const int32_t vectors = (columns + kLanes - 1) / kLanes;
    const float* a = args.a + batch * d.a_batch_stride;
    const float* b = args.b + batch * d.b_batch_stride + column * d.b_column_stride;
    float* to = args.output + (batch * d.rows) * d.columns + column;
    float* zeros = scratch;
    float* panel = zeros + kPanel;
    float* staged = panel + (int64_t)depth_block(d) * kPanel;
    for (int32_t i = 0; i < kPanel; i++) zeros[i] = 0.0f;

    GemmJob job;
    job.bias = zeros;
    job.residual_stride = job.output_stride = d.columns;
    job.last_lanes = columns - (vectors - 1) * kLanes;
    job.low = -__builtin_inff();
    job.high = __builtin_inff();
    job.b = panel;
    for (int32_t k = 0; k < d.depth; k += kDepthBlock) {
      job.depth = d.depth - k < kDepthBlock ? d.depth - k : kDepthBlock;
      gather_panel(d, b + k * d.b_depth_stride, columns, vectors * kLanes, job.depth, panel);
      for (int32_t row = row_begin; row < row_end;) {
        const bool single = row_end - row_begin < kGemmRows;
        // The last tile is moved back to end with the block; its first rows are there already.
        const int32_t start = single || row + kGemmRows <= row_end ? row : row_end - kGemmRows;
        job.row_begin = row - start;
        const float* from = a + start * d.a_row_stride + k * d.a_depth_stride;
        if (d.a_depth_stride == 1) {
          job.a = from;
          job.a_stride = d.a_row_stride;
        } else {
          gather_rows(d, from, single ? 1 : kGemmRows, job.depth, staged);
          job.a = staged;
          job.a_stride = job.depth;
        }
        job.output = to + (int64_t)start * d.columns;
        job.residual = k > 0 ? job.output : nullptr;
        run_gemm_tile(job, vectors, single ? 1 : kGemmRows);
        row = single ? row + 1 : start + kGemmRows;
      }
    }
  }

  static void gather_panel(const MatmulDesc& d, const float* b, int32_t columns, int32_t width, int64_t depth, float* to) {
    for (int64_t k = 0; k < depth; k++, to += width) {
      const float* from = b + k * d.b_depth_stride;
      if (d.b_column_stride == 1) {
        for (int32_t n = 0; n < columns; n++) to[n] = from[n];
      } else {
        for (int32_t n = 0; n < columns; n++) to[n] = from[n * d.b_column_stride];
      }
      for (int32_t n = columns; n < width; n++) to[n] = 0.0f;
    }
  }

  static void gather_rows(const MatmulDesc& d, const float* a, int32_t rows, int64_t depth, float* to) {
    for (int32_t m = 0; m < rows; m++) {
      for (int64_t k = 0; k < depth; k++) to[m * depth + k] = a[m * d.a_row_stride + k * d.a_depth_stride];
    }
  }
};

}  // namespace
}  // namespace dgc
