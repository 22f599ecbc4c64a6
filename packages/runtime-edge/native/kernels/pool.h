// Max and average pooling, channels in the lanes. Work item: one output row of one image.
#pragma once

#include "simd.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct Pool {
  static bool supports(const PoolDesc&) { return true; }
  static uint64_t scratch_bytes(const PoolDesc&) { return 0; }
  static int64_t work_items(const PoolDesc& d) { return (int64_t)d.batch * d.output_height; }

  static void run(const PoolDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) {
      const float* image = args.input + item / d.output_height * d.input_height * d.input_width * d.input_pixel_stride;
      const Taps rows = taps((int32_t)(item % d.output_height) * d.stride_height - d.pad_top, d.kernel_height,
                             d.dilation_height, d.input_height);
      for (int32_t x = 0; x < d.output_width; x++) {
        const Taps columns =
            taps(x * d.stride_width - d.pad_left, d.kernel_width, d.dilation_width, d.input_width);
        float* to = args.output + (item * d.output_width + x) * d.output_pixel_stride;
        if (d.kind == PoolKind::kMax) pixel<PoolKind::kMax>(d, image, rows, columns, to);
        else pixel<PoolKind::kAverage>(d, image, rows, columns, to);
      }
    }
  }

 private:
  // The taps of a window that lie inside of the image: first coordinate and how many.
  struct Taps {
    int32_t first, count;
  };

  static Taps taps(int32_t start, int32_t kernel, int32_t dilation, int32_t size) {
    Taps result = {0, 0};
    for (int32_t k = kernel - 1; k >= 0; k--) {
      const int32_t at = start + k * dilation;
      if (at >= 0 && at < size) result = {at, result.count + 1};
    }
    return result;
  }

  // The larger one; NaN if either is: at_least(x, limit) takes x if one of them is NaN, so that only a NaN limit has to be kept.
  static DGC_INLINE V larger(V x, V largest) {
#ifdef DGC_ISA_neon
    return at_least(x, largest);
#else
    return largest != largest ? largest : at_least(x, largest);
#endif
  }

  // Some vectors of channels at once: their sums do not wait for each other.
  template <PoolKind kKind, int kVectors>
  static DGC_INLINE void window(const PoolDesc& d, const float* image, Taps rows, Taps columns, int64_t lanes, V count, float* to) {
    V sums[kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[v] = splat(kKind == PoolKind::kMax ? -__builtin_inff() : 0.0f);
    for (int32_t ky = 0; ky < rows.count; ky++) {
      const int64_t row = (int64_t)(rows.first + ky * d.dilation_height) * d.input_width + columns.first;
      const float* from = image + row * d.input_pixel_stride;
      for (int32_t kx = 0; kx < columns.count; kx++, from += (int64_t)d.dilation_width * d.input_pixel_stride) {
        DGC_UNROLL for (int v = 0; v < kVectors; v++) {
          const V x = lanes == kLanes ? load(from + v * kLanes) : load_partial(from, lanes);
          sums[v] = kKind == PoolKind::kMax ? larger(x, sums[v]) : sums[v] + x;
        }
      }
    }
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const V result = kKind == PoolKind::kMax ? sums[v] : sums[v] / count;
      if (lanes == kLanes) store(to + v * kLanes, result);
      else store_partial(to, result, lanes);
    }
  }

  template <PoolKind kKind>
  static void pixel(const PoolDesc& d, const float* image, Taps rows, Taps columns, float* to) {
    const int32_t inside = rows.count * columns.count;
    const V count = splat((float)(d.count_padding ? d.kernel_height * d.kernel_width : inside > 0 ? inside : 1));
    constexpr int kVectors = 4;
    int64_t c = 0;
    for (; c + kVectors * kLanes <= d.channels; c += kVectors * kLanes) {
      window<kKind, kVectors>(d, image + c, rows, columns, kLanes, count, to + c);
    }
    for (; c + kLanes <= d.channels; c += kLanes) window<kKind, 1>(d, image + c, rows, columns, kLanes, count, to + c);
    if (c < d.channels) window<kKind, 1>(d, image + c, rows, columns, d.channels - c, count, to + c);
  }
};

}  // namespace
}  // namespace dgc
