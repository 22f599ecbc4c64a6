#include "fma_peak.h"

namespace dgc_test {
namespace {

volatile float sink;
volatile float seed = 0.5f;

// Twelve chains hide the latency of two units; fewer registers than any of the instruction sets has.
template <typename Vector, int kLanes, typename MultiplyAdd>
__attribute__((always_inline)) inline double chains(int64_t rounds, const MultiplyAdd& multiply_add) {
  constexpr int kChains = 12;
  Vector sums[kChains], x = Vector{} + seed, y = Vector{} + seed * 0.25f;
  for (int i = 0; i < kChains; i++) sums[i] = x + (float)i;
  for (int64_t n = 0; n < rounds; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; i++) sums[i] = multiply_add(sums[i], x, y);
  }
  for (int i = 1; i < kChains; i++) sums[0] = sums[0] + sums[i];
  sink = sums[0][0];
  return 2.0 * kLanes * kChains * (double)rounds;
}

typedef float V4 __attribute__((vector_size(16)));

#if defined(__x86_64__)
typedef float V8 __attribute__((vector_size(32)));
typedef float V16 __attribute__((vector_size(64)));

__attribute__((target("avx512f"))) double peak16(int64_t rounds) {
  V16 sums[12];
  const V16 x = V16{} + seed, y = V16{} + seed * 0.25f;
  for (int i = 0; i < 12; i++) sums[i] = x + (float)i;
  for (int64_t n = 0; n < rounds; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) asm("vfmadd231ps %1, %2, %0" : "+v"(sums[i]) : "v"(x), "v"(y));
  }
  for (int i = 1; i < 12; i++) sums[0] = sums[0] + sums[i];
  sink = sums[0][0];
  return 2.0 * 16 * 12 * (double)rounds;
}

__attribute__((target("avx2,fma"))) double peak8(int64_t rounds) {
  V8 sums[12];
  const V8 x = V8{} + seed, y = V8{} + seed * 0.25f;
  for (int i = 0; i < 12; i++) sums[i] = x + (float)i;
  for (int64_t n = 0; n < rounds; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) asm("vfmadd231ps %1, %2, %0" : "+x"(sums[i]) : "x"(x), "x"(y));
  }
  for (int i = 1; i < 12; i++) sums[0] = sums[0] + sums[i];
  sink = sums[0][0];
  return 2.0 * 8 * 12 * (double)rounds;
}
#endif

}  // namespace

double fma_peak(int lanes, int64_t rounds) {
#if defined(__x86_64__)
  if (lanes == 16) return peak16(rounds);
  if (lanes == 8) return peak8(rounds);
#else
  (void)lanes;
#endif
  return chains<V4, 4>(rounds, [](V4 a, V4 b, V4 c) { return a * b + c; });
}

}  // namespace dgc_test
