// Activations, per-channel functions and binary operators with broadcasting.
#pragma once

#include "activation.h"

namespace dgc {
namespace {

// Work item: a run of rows of about kElementsPerItem floats.
constexpr int64_t kElementsPerItem = 16384;

inline int64_t rows_per_item(int64_t row) { return row >= kElementsPerItem ? 1 : kElementsPerItem / (row > 0 ? row : 1); }
inline int64_t items_of_rows(int64_t rows, int64_t row) {
  const int64_t step = rows_per_item(row);
  return (rows + step - 1) / step;
}
inline int64_t row_limit(int64_t rows, int64_t row, int64_t item) {
  const int64_t limit = item * rows_per_item(row);
  return limit < rows ? limit : rows;
}

struct ActivationRows {
  static bool supports(const ActivationDesc&) { return true; }
  static uint64_t scratch_bytes(const ActivationDesc&) { return 0; }
  static int64_t work_items(const ActivationDesc& d) { return items_of_rows(d.rows, d.channels); }

  static void run(const ActivationDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    const int64_t last = row_limit(d.rows, d.channels, end);
    for (int64_t row = row_limit(d.rows, d.channels, begin); row < last; row++) {
      activate_row(d.activation, args.input + row * d.input_row_stride, args.output + row * d.output_row_stride,
                   d.channels);
    }
  }
};

struct ChannelwiseRows {
  static bool supports(const ChannelwiseDesc&) { return true; }
  static uint64_t scratch_bytes(const ChannelwiseDesc&) { return 0; }
  static int64_t work_items(const ChannelwiseDesc& d) { return items_of_rows(d.rows, d.channels); }

  static void run(const ChannelwiseDesc& d, const ChannelwiseArgs& args, int64_t begin, int64_t end, void*) {
    switch (d.kind) {
      case ChannelwiseKind::kAffine: return run_rows<ChannelwiseKind::kAffine>(d, args, begin, end);
      case ChannelwiseKind::kAffineRelu: return run_rows<ChannelwiseKind::kAffineRelu>(d, args, begin, end);
      case ChannelwiseKind::kPrelu: return run_rows<ChannelwiseKind::kPrelu>(d, args, begin, end);
    }
  }

 private:
  template <ChannelwiseKind kKind>
  static void run_rows(const ChannelwiseDesc& d, const ChannelwiseArgs& args, int64_t begin, int64_t end) {
    constexpr bool kHasSecond = kKind != ChannelwiseKind::kPrelu;
    const int64_t last = row_limit(d.rows, d.channels, end);
    for (int64_t row = row_limit(d.rows, d.channels, begin); row < last; row++) {
      const float* from = args.input + row * d.input_row_stride;
      float* to = args.output + row * d.output_row_stride;
      int64_t c = 0;
      for (; c + kLanes <= d.channels; c += kLanes) {
        const V second = kHasSecond ? load(args.second + c) : splat(0.0f);
        store(to + c, apply<kKind>(load(from + c), load(args.first + c), second));
      }
      if (c == d.channels) continue;
      const int64_t rest = d.channels - c;
      const V second = kHasSecond ? load_partial(args.second + c, rest) : splat(0.0f);
      store_partial(to + c, apply<kKind>(load_partial(from + c, rest), load_partial(args.first + c, rest), second), rest);
    }
  }

  template <ChannelwiseKind kKind>
  static DGC_INLINE V apply(V x, V first, V second) {
    if (kKind == ChannelwiseKind::kPrelu) return x < splat(0.0f) ? x * first : x;
    const V sum = multiply_add(x, first, second);
    return kKind == ChannelwiseKind::kAffineRelu ? at_least(sum, splat(0.0f)) : sum;
  }
};

// x^y for one number, in double: powers are rare, and whole ones should come out whole.
inline float power(float x, float y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  if (x != x || y != y) return __builtin_nanf("");
  const float infinity = __builtin_inff();
  const bool whole = (float)(int64_t)y == y || y >= 16777216.0f || y <= -16777216.0f;
  const bool odd = y > -16777216.0f && y < 16777216.0f && whole && ((int64_t)y & 1);
  const double magnitude = x < 0 ? -(double)x : (double)x;
  if (magnitude == 0.0 || magnitude == (double)infinity) {
    const bool grows = (magnitude == 0.0) == (y < 0.0f);
    const float result = grows ? infinity : 0.0f;
    return odd && __builtin_signbit(x) ? -result : result;
  }
  if (x < 0 && !whole) return __builtin_nanf("");
  // magnitude = m 2^e with m near 1; log m by the atanh series.
  int64_t bits = __builtin_bit_cast(int64_t, magnitude);
  const int64_t exponent = (bits - 0x3fe6a09e667f3bcd) >> 52;
  const double m = __builtin_bit_cast(double, bits - (exponent << 52));
  const double s = (m - 1.0) / (m + 1.0);
  double series = 0.0;
  for (int n = 25; n >= 1; n -= 2) series = series * s * s + 2.0 / n;
  const double logarithm2 = (double)exponent + series * s * 1.4426950408889634;
  double t = logarithm2 * (double)y;
  t = t > 200.0 ? 200.0 : t < -200.0 ? -200.0 : t;
  const int64_t n = (int64_t)(t < 0 ? t - 0.5 : t + 0.5);
  const double r = (t - (double)n) * 0.6931471805599453;
  double e = 1.0;
  for (int k = 14; k >= 1; k--) e = 1.0 + e * r / k;
  const float result = (float)(e * __builtin_bit_cast(double, (n + 1023) << 52));
  return x < 0 && odd ? -result : result;
}

// Work item: a run of innermost rows.
struct Binary {
  static bool supports(const BinaryDesc&) { return true; }
  static uint64_t scratch_bytes(const BinaryDesc&) { return 0; }
  static int64_t work_items(const BinaryDesc& d) {
    const Layout l = layout(d);
    return items_of_rows(l.rows, l.row);
  }

  static void run(const BinaryDesc& d, const BinaryArgs& args, int64_t begin, int64_t end, void*) {
    const Layout l = layout(d);
    const int64_t last = row_limit(l.rows, l.row, end);
    for (int64_t row = row_limit(l.rows, l.row, begin); row < last; row++) {
      int64_t rest = row, a = 0, b = 0;
      for (int i = l.outer_rank - 1; i >= 0; i--) {
        const int64_t at = rest % d.dims[i];
        rest /= d.dims[i];
        a += at * d.a_strides[i];
        b += at * d.b_strides[i];
      }
      const Row r = {args.a + a, args.b + b, args.output + row * l.row, l.row, l.a_stride, l.b_stride};
      binary_row(d, r);
    }
  }

 private:
  struct Layout {
    int outer_rank;
    int64_t rows, row, a_stride, b_stride;
  };
  struct Row {
    const float* a;
    const float* b;
    float* to;
    int64_t count, a_stride, b_stride;
  };

  // Trailing dimensions that both operands walk through without a gap become one long row.
  static Layout layout(const BinaryDesc& d) {
    Layout l = {d.rank, 1, 1, 0, 0};
    while (l.outer_rank > 0) {
      const int i = l.outer_rank - 1;
      if (d.dims[i] != 1) {
        if (l.row == 1) {
          l.a_stride = d.a_strides[i];
          l.b_stride = d.b_strides[i];
        } else if (d.a_strides[i] != l.a_stride * l.row || d.b_strides[i] != l.b_stride * l.row) {
          break;
        }
        l.row *= d.dims[i];
      }
      l.outer_rank = i;
    }
    for (int i = 0; i < l.outer_rank; i++) l.rows *= d.dims[i];
    if (l.row == 0 || l.rows == 0) l.rows = 0;
    return l;
  }

  static void binary_row(const BinaryDesc& d, const Row& r) {
    switch (d.kind) {
      case BinaryKind::kAdd:
        typed_row<BinaryKind::kAdd>(r);
        break;
      case BinaryKind::kSubtract:
        typed_row<BinaryKind::kSubtract>(r);
        break;
      case BinaryKind::kMultiply:
        typed_row<BinaryKind::kMultiply>(r);
        break;
      case BinaryKind::kDivide:
        typed_row<BinaryKind::kDivide>(r);
        break;
      case BinaryKind::kMaximum:
        typed_row<BinaryKind::kMaximum>(r);
        break;
      case BinaryKind::kMinimum:
        typed_row<BinaryKind::kMinimum>(r);
        break;
      case BinaryKind::kPower:
        for (int64_t i = 0; i < r.count; i++) r.to[i] = power(r.a[i * r.a_stride], r.b[i * r.b_stride]);
        break;
    }
    if (d.activation.kind != ActivationKind::kIdentity) activate_row(d.activation, r.to, r.to, r.count);
  }

  template <BinaryKind kKind>
  static DGC_INLINE V apply(V a, V b) {
    switch (kKind) {
      case BinaryKind::kAdd:
        return a + b;
      case BinaryKind::kSubtract:
        return a - b;
      case BinaryKind::kMultiply:
        return a * b;
      case BinaryKind::kDivide:
        return a / b;
      case BinaryKind::kMaximum:
        return a > b || a != a ? a : b;
      default:
        return a < b || a != a ? a : b;
    }
  }

  static DGC_INLINE V operand(const float* from, int64_t stride, int64_t i, int64_t lanes) {
    if (stride == 0) return splat(*from);
    if (stride == 1) return lanes == kLanes ? load(from + i) : load_partial(from + i, lanes);
    float gathered[kLanes] = {};
    for (int64_t k = 0; k < lanes; k++) gathered[k] = from[(i + k) * stride];
    return load(gathered);
  }

  template <BinaryKind kKind>
  static void typed_row(const Row& r) {
    int64_t i = 0;
    for (; i + kLanes <= r.count; i += kLanes) {
      const V a = operand(r.a, r.a_stride, i, kLanes), b = operand(r.b, r.b_stride, i, kLanes);
      store(r.to + i, apply<kKind>(a, b));
    }
    if (i == r.count) return;
    const int64_t rest = r.count - i;
    const V a = operand(r.a, r.a_stride, i, rest), b = operand(r.b, r.b_stride, i, rest);
    store_partial(r.to + i, apply<kKind>(a, b), rest);
  }
};

}  // namespace
}  // namespace dgc
