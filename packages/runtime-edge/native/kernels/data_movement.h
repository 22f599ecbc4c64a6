// Ops that only move values: strided copies (slice, transpose, concat), pad, take.
#pragma once

#include "elementwise.h"

namespace dgc {
namespace {

// Work item: a run of innermost rows.
struct Copy {
  static bool supports(const CopyDesc&) { return true; }
  static uint64_t scratch_bytes(const CopyDesc&) { return 0; }
  static int64_t work_items(const CopyDesc& d) {
    const Layout l = layout(d);
    return items_of_rows(l.rows, l.row);
  }

  static void run(const CopyDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    const Layout l = layout(d);
    const int64_t last = row_limit(l.rows, l.row, end);
    for (int64_t row = row_limit(l.rows, l.row, begin); row < last; row++) {
      const float* from = args.input;
      float* to = args.output;
      int64_t rest = row;
      for (int i = l.outer_rank - 1; i >= 0; i--) {
        from += rest % d.dims[i] * d.input_strides[i];
        to += rest % d.dims[i] * d.output_strides[i];
        rest /= d.dims[i];
      }
      if (l.input_stride == 1 && l.output_stride == 1) {
        for (int64_t i = 0; i < l.row; i++) to[i] = from[i];
      } else {
        for (int64_t i = 0; i < l.row; i++) to[i * l.output_stride] = from[i * l.input_stride];
      }
    }
  }

 private:
  struct Layout {
    int outer_rank;
    int64_t rows, row, input_stride, output_stride;
  };

  static Layout layout(const CopyDesc& d) {
    Layout l = {d.rank, 1, 1, 1, 1};
    while (l.outer_rank > 0) {
      const int i = l.outer_rank - 1;
      if (d.dims[i] != 1) {
        if (l.row == 1) {
          l.input_stride = d.input_strides[i];
          l.output_stride = d.output_strides[i];
        } else if (d.input_strides[i] != l.input_stride * l.row || d.output_strides[i] != l.output_stride * l.row) {
          break;
        }
        l.row *= d.dims[i];
      }
      l.outer_rank = i;
    }
    for (int i = 0; i < l.outer_rank; i++) l.rows *= d.dims[i];
    if (l.row == 0) l.rows = 0;
    return l;
  }
};

// Work item: one innermost row of the output.
struct Pad {
  static bool supports(const PadDesc&) { return true; }
  static uint64_t scratch_bytes(const PadDesc&) { return 0; }
  static int64_t work_items(const PadDesc& d) {
    int64_t rows = 1;
    for (int i = 0; i + 1 < d.rank; i++) rows *= padded(d, i);
    return rows;
  }

  static void run(const PadDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    if (d.rank == 0) {
      if (begin < end) *args.output = *args.input;
      return;
    }
    const int inner = d.rank - 1;
    const int64_t row = padded(d, inner);
    for (int64_t item = begin; item < end; item++) {
      int64_t rest = item, from = 0, stride = d.dims[inner];
      bool inside = true;
      for (int i = inner - 1; i >= 0; i--) {
        const int64_t at = source(d, i, rest % padded(d, i));
        rest /= padded(d, i);
        inside = inside && at >= 0;
        from += at * stride;
        stride *= d.dims[i];
      }
      float* to = args.output + item * row;
      for (int64_t x = 0; x < row; x++) {
        const int64_t at = inside ? source(d, inner, x) : -1;
        to[x] = at >= 0 ? args.input[from + at] : d.value;
      }
    }
  }

 private:
  static int64_t padded(const PadDesc& d, int i) { return d.before[i] + d.dims[i] + d.after[i]; }

  // The input coordinate that an output coordinate shows; -1: the constant.
  static int64_t source(const PadDesc& d, int i, int64_t at) {
    const int64_t size = d.dims[i];
    int64_t from = at - d.before[i];
    if (from >= 0 && from < size) return from;
    if (d.mode == PadMode::kConstant || size == 0) return -1;
    if (d.mode == PadMode::kEdge || size == 1) return from < 0 ? 0 : size - 1;
    const int64_t period = 2 * (size - 1);
    from = (from % period + period) % period;
    return from < size ? from : period - from;
  }
};

// Work item: a run of the rows [inner] of the output.
struct Take {
  static bool supports(const TakeDesc&) { return true; }
  static uint64_t scratch_bytes(const TakeDesc&) { return 0; }
  static int64_t work_items(const TakeDesc& d) { return items_of_rows(d.outer, d.index_count * d.inner); }

  static void run(const TakeDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    const int64_t row = d.index_count * d.inner;
    const int64_t last = row_limit(d.outer, row, end);
    for (int64_t o = row_limit(d.outer, row, begin); o < last; o++) {
      const float* from = args.input + o * d.axis_size * d.inner;
      float* to = args.output + o * row;
      if (d.inner == 1) {
        gather_floats(to, from, d.axis_size, d.indices, d.index_count);
        continue;
      }
      for (int64_t i = 0; i < d.index_count; i++) {
        for (int64_t k = 0; k < d.inner; k++) to[i * d.inner + k] = from[d.indices[i] * d.inner + k];
      }
    }
  }
};

}  // namespace
}  // namespace dgc
