// Products of two values (constant matrices are 1x1 convolutions). Work item: one output row of one batch.
#pragma once

#include "simd.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct MatmulReference {
  static bool supports(const MatmulDesc&) { return true; }
  static size_t scratch_bytes(const MatmulDesc&) { return 0; }
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

}  // namespace
}  // namespace dgc
