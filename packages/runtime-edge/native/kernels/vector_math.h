// Elementary functions on vectors, without libm. Series and argument reductions are the textbook ones; errors are a few
// ULP (kernel_test.cc states and checks the bounds).
#pragma once

#include "simd.h"

namespace dgc {
namespace {

// 2^n for -126 <= n <= 127.
DGC_INLINE V power_of_two(VI n) { return __builtin_bit_cast(V, (n + 127) << 23); }

// Taylor series on |r| <= ln 2 / 2 after x = n ln 2 + r; ln 2 is split in two so that r keeps its digits.
DGC_INLINE V exponential(V x) {
  const V limited = at_most(at_least(x, splat(-104.0f)), splat(89.0f));
  const V rounded = round_down(multiply_add(limited, splat(1.44269504f), splat(0.5f)));
  V r = multiply_add(rounded, splat(-0.693359375f), limited);
  r = multiply_add(rounded, splat(2.12194440e-4f), r);
  V p = splat(1.0f / 5040);
  p = multiply_add(p, r, splat(1.0f / 720));
  p = multiply_add(p, r, splat(1.0f / 120));
  p = multiply_add(p, r, splat(1.0f / 24));
  p = multiply_add(p, r, splat(1.0f / 6));
  p = multiply_add(p, r, splat(0.5f));
  p = multiply_add(p, r, splat(1.0f));
  p = multiply_add(p, r, splat(1.0f));
  // In two steps, since 2^n alone may be out of range. A NaN may convert to any n: it is put back below.
  const V known = x == x ? rounded : splat(0.0f);
  const VI n = to_int(known);
  const VI half = n >> 1;
  const V result = p * power_of_two(half) * power_of_two(n - half);
  return x == x ? result : x;
}

// atanh series of s = (m - 1) / (m + 1) after x = m 2^e, sqrt(1/2) <= m < sqrt(2).
DGC_INLINE V logarithm(V x) {
  const V tiny = splat(1.17549435e-38f);
  const V zero = splat(0.0f);
  // What is not positive is told below; its bits would overflow the integers here.
  const V positive = x > zero ? x : splat(1.0f);
  const V scaled = positive < tiny ? positive * splat(8388608.0f) : positive;
  const VI bits = __builtin_bit_cast(VI, scaled);
  const VI shifted = bits - splat_int(0x3f3504f3);
  const VI exponent = shifted >> 23;
  const V m = __builtin_bit_cast(V, bits - (exponent << 23));
  const V e = to_float(exponent) - (x < tiny ? splat(23.0f) : splat(0.0f));
  const V f = m - splat(1.0f);
  const V s = f / (m + splat(1.0f));
  const V q = s * s;
  V p = splat(2.0f / 11);
  p = multiply_add(p, q, splat(2.0f / 9));
  p = multiply_add(p, q, splat(2.0f / 7));
  p = multiply_add(p, q, splat(2.0f / 5));
  p = multiply_add(p, q, splat(2.0f / 3));
  // log m = 2 s + s^3 (...), with 2 s = f - s f.
  V result = f - s * (f - p * q);
  result = multiply_add(e, splat(-2.12194440e-4f), result);
  result = multiply_add(e, splat(0.693359375f), result);
  const V infinity = splat(__builtin_inff());
  result = x == infinity ? infinity : result;
  result = x == zero ? -infinity : result;
  return x >= zero ? result : splat(__builtin_nanf(""));
}

// Odd Taylor series near 0, where 1 - 2 / (exp(2x) + 1) would cancel.
DGC_INLINE V hyperbolic_tangent(V x) {
  const V q = x * x;
  V p = splat(21844.0f / 6081075);
  p = multiply_add(p, q, splat(-1382.0f / 155925));
  p = multiply_add(p, q, splat(62.0f / 2835));
  p = multiply_add(p, q, splat(-17.0f / 315));
  p = multiply_add(p, q, splat(2.0f / 15));
  p = multiply_add(p, q, splat(-1.0f / 3));
  const V small = multiply_add(p * q, x, x);
  const V large = splat(1.0f) - splat(2.0f) / (exponential(x + x) + splat(1.0f));
  return absolute(x) < splat(0.4f) ? small : large;
}

// Taylor series up to 1, above that Abramowitz and Stegun 7.1.26.
DGC_INLINE V error_function(V x) {
  const V q = x * x;
  V p = splat(-1.0f / 6894720);  // (-1)^n / (n! (2n + 1)), n = 9
  p = multiply_add(p, q, splat(1.0f / 685440));
  p = multiply_add(p, q, splat(-1.0f / 75600));
  p = multiply_add(p, q, splat(1.0f / 9360));
  p = multiply_add(p, q, splat(-1.0f / 1320));
  p = multiply_add(p, q, splat(1.0f / 216));
  p = multiply_add(p, q, splat(-1.0f / 42));
  p = multiply_add(p, q, splat(1.0f / 10));
  p = multiply_add(p, q, splat(-1.0f / 3));
  p = multiply_add(p, q, splat(1.0f));
  const V small = p * x * splat(1.12837917f);
  const V a = absolute(x);
  const V t = splat(1.0f) / multiply_add(a, splat(0.3275911f), splat(1.0f));
  V r = splat(1.061405429f);
  r = multiply_add(r, t, splat(-1.453152027f));
  r = multiply_add(r, t, splat(1.421413741f));
  r = multiply_add(r, t, splat(-0.284496736f));
  r = multiply_add(r, t, splat(0.254829592f));
  const V tail = splat(1.0f) - r * t * exponential(-q);
  const V large = x < splat(0.0f) ? -tail : tail;
  return a < splat(1.0f) ? small : large;
}

DGC_INLINE V sigmoid(V x) { return splat(1.0f) / (splat(1.0f) + exponential(-x)); }

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); the last term by its series where 1 + e^-|x| would lose it.
DGC_INLINE V softplus(V x) {
  const V e = exponential(-absolute(x));
  const V series = e * (splat(1.0f) - e * (splat(0.5f) - e * splat(1.0f / 3)));
  const V rest = e < splat(0.005f) ? series : logarithm(splat(1.0f) + e);
  return at_least(x, splat(0.0f)) + rest;
}

}  // namespace
}  // namespace dgc
