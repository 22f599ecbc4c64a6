// Softmax over the middle dimension. Work item: one of the outer slices.
#pragma once

#include "vector_math.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct Softmax {
  static bool supports(const SoftmaxDesc&) { return true; }
  static uint64_t scratch_bytes(const SoftmaxDesc&) { return 0; }
  static int64_t work_items(const SoftmaxDesc& d) { return d.outer; }

  static void run(const SoftmaxDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) {
      const int64_t offset = item * d.size * d.inner;
      if (d.inner == 1) {
        row(args.input + offset, args.output + offset, d.size);
        continue;
      }
      for (int64_t i = 0; i < d.inner; i += kLanes) {
        const int64_t rest = d.inner - i;
        columns(d, args.input + offset + i, args.output + offset + i, rest < kLanes ? rest : kLanes);
      }
    }
  }

 private:
  static DGC_INLINE V larger(V a, V b) { return b > a ? b : a; }

  // One softmax along contiguous memory: lanes keep partial results that are combined in a fixed order.
  static void row(const float* from, float* to, int64_t size) {
    float largest = from[0];
    for (int64_t i = 1; i < size; i++) largest = from[i] > largest ? from[i] : largest;
    const V shift = splat(largest);
    V sums = splat(0.0f);
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
      const V e = exponential(load(from + i) - shift);
      store(to + i, e);
      sums = sums + e;
    }
    float sum = 0.0f;
    for (int lane = 0; lane < kLanes; lane++) sum += lane_of(sums, lane);
    if (i < size) {
      store_partial(to + i, exponential(load_partial(from + i, size - i) - shift), size - i);
      for (int64_t j = i; j < size; j++) sum += to[j];
    }
    for (int64_t j = 0; j < size; j++) to[j] /= sum;
  }

  // `lanes` neighbouring softmaxes, strided along the axis.
  static void columns(const SoftmaxDesc& d, const float* from, float* to, int64_t lanes) {
    V largest = load_partial(from, lanes);
    for (int64_t k = 1; k < d.size; k++) largest = larger(largest, load_partial(from + k * d.inner, lanes));
    V sum = splat(0.0f);
    for (int64_t k = 0; k < d.size; k++) {
      const V e = exponential(load_partial(from + k * d.inner, lanes) - largest);
      store_partial(to + k * d.inner, e, lanes);
      sum = sum + e;
    }
    for (int64_t k = 0; k < d.size; k++) {
      store_partial(to + k * d.inner, load_partial(to + k * d.inner, lanes) / sum, lanes);
    }
  }
};

}  // namespace
}  // namespace dgc
