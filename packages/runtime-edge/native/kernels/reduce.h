// Mean, sum, maximum and minimum over any dimensions. Work item: one index of the kept dimensions but the innermost kept
// run, which lies in the lanes where it is contiguous.
#pragma once

#include "simd.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct Reduce {
  static bool supports(const ReduceDesc&) { return true; }
  static uint64_t scratch_bytes(const ReduceDesc&) { return 0; }
  static int64_t work_items(const ReduceDesc& d) {
    const Layout l = layout(d);
    return l.inner == 0 ? 0 : l.outer;
  }

  static void run(const ReduceDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    const Layout l = layout(d);
    for (int64_t item = begin; item < end; item++) {
      const float* from = args.input;
      int64_t rest = item;
      for (int i = l.kept_rank - 1; i >= 0; i--) {
        from += rest % l.kept_dims[i] * l.kept_strides[i];
        rest /= l.kept_dims[i];
      }
      float* to = args.output + item * l.inner;
      for (int64_t c = 0; c < l.inner; c += kLanes) {
        const int64_t lanes = l.inner - c < kLanes ? l.inner - c : kLanes;
        store_partial(to + c, reduce(d.kind, l, from + c, lanes), lanes);
      }
    }
  }

 private:
  struct Layout {
    int kept_rank, reduced_rank;
    int64_t kept_dims[kMaxRank], kept_strides[kMaxRank];
    int64_t reduced_dims[kMaxRank], reduced_strides[kMaxRank];
    int64_t inner;  // contiguous kept elements, innermost; 1 where the innermost dimension is reduced
    int64_t outer;  // product of the other kept dimensions
    int64_t count;  // elements reduced into one
  };

  static Layout layout(const ReduceDesc& d) {
    Layout l = {};
    l.inner = l.outer = l.count = 1;
    int64_t stride = 1;
    bool innermost = true;
    for (int i = d.rank - 1; i >= 0; i--) {
      if (d.reduced[i]) {
        innermost = false;
        l.reduced_dims[l.reduced_rank] = d.dims[i];
        l.reduced_strides[l.reduced_rank++] = stride;
        l.count *= d.dims[i];
      } else if (innermost) {
        l.inner *= d.dims[i];
      } else {
        // Kept dimensions are stored outermost first.
        for (int k = l.kept_rank; k > 0; k--) {
          l.kept_dims[k] = l.kept_dims[k - 1];
          l.kept_strides[k] = l.kept_strides[k - 1];
        }
        l.kept_dims[0] = d.dims[i];
        l.kept_strides[0] = stride;
        l.kept_rank++;
        l.outer *= d.dims[i];
      }
      stride *= d.dims[i];
    }
    return l;
  }

  static V reduce(ReduceKind kind, const Layout& l, const float* from, int64_t lanes) {
    const bool sums = kind == ReduceKind::kSum || kind == ReduceKind::kMean;
    V result = splat(sums ? 0.0f : kind == ReduceKind::kMax ? -__builtin_inff() : __builtin_inff());
    // Pairs of partial sums, so that long rows lose no digits: the inner loop over the innermost reduced dimension.
    const int64_t inner_count = l.reduced_rank > 0 ? l.reduced_dims[0] : 1;
    const int64_t inner_stride = l.reduced_rank > 0 ? l.reduced_strides[0] : 0;
    const int64_t outer_count = inner_count > 0 ? l.count / inner_count : 0;
    for (int64_t n = 0; n < outer_count; n++) {
      int64_t rest = n, offset = 0;
      for (int i = 1; i < l.reduced_rank; i++) {
        offset += rest % l.reduced_dims[i] * l.reduced_strides[i];
        rest /= l.reduced_dims[i];
      }
      V partial = splat(0.0f);
      for (int64_t k = 0; k < inner_count; k++) {
        const float* p = from + offset + k * inner_stride;
        const V x = lanes == kLanes ? load(p) : load_partial(p, lanes);
        if (sums) partial = partial + x;
        else if (kind == ReduceKind::kMax) result = x > result || x != x ? x : result;
        else result = x < result || x != x ? x : result;
      }
      if (sums) result = result + partial;
    }
    return kind == ReduceKind::kMean ? result / splat((float)l.count) : result;
  }
};

}  // namespace
}  // namespace dgc
