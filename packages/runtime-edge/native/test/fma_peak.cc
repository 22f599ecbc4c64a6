#include "fma_peak.h"

namespace dgc_test {
namespace {

// Twelve chains hide the latency of two units; no instruction set has fewer registers to spare.
constexpr int kChains = 12;

double operations(int lanes, int64_t rounds) { return 2.0 * lanes * kChains * (double)rounds; }

#if defined(__x86_64__)

// Written out, since compilers keep such loops in memory. Starts from zeros: the time does not depend on the values.
#define DGC_CHAIN(r, n) "vfmadd231ps %%" r "14, %%" r "15, %%" r #n "\n"
#define DGC_CHAINS(r)                                                                                         \
  "vzeroall\n1:\n" DGC_CHAIN(r, 0) DGC_CHAIN(r, 1) DGC_CHAIN(r, 2) DGC_CHAIN(r, 3) DGC_CHAIN(r, 4)           \
      DGC_CHAIN(r, 5) DGC_CHAIN(r, 6) DGC_CHAIN(r, 7) DGC_CHAIN(r, 8) DGC_CHAIN(r, 9) DGC_CHAIN(r, 10)        \
          DGC_CHAIN(r, 11) "dec %0\njnz 1b\nvzeroupper\n"
#define DGC_CLOBBERS                                                                                                  \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"

void chains(int lanes, int64_t rounds) {
  if (lanes == 16) asm volatile(DGC_CHAINS("zmm") : "+r"(rounds) : : DGC_CLOBBERS);
  else if (lanes == 8) asm volatile(DGC_CHAINS("ymm") : "+r"(rounds) : : DGC_CLOBBERS);
  else asm volatile(DGC_CHAINS("xmm") : "+r"(rounds) : : DGC_CLOBBERS);
}

#else

typedef float V4 __attribute__((vector_size(16)));
volatile float seed = 0.5f, sink;

void chains(int, int64_t rounds) {
  const float s = seed;
  const V4 x = {s, s, s, s}, y = {s, s, s, s};
  V4 a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
  for (int64_t n = 0; n < rounds; n++) {
    a = a * x + y, b = b * x + y, c = c * x + y, d = d * x + y, e = e * x + y, f = f * x + y;
    g = g * x + y, h = h * x + y, i = i * x + y, j = j * x + y, k = k * x + y, l = l * x + y;
  }
  sink = (a + b + c + d + e + f + g + h + i + j + k + l)[0];
}

#endif

}  // namespace

double fma_peak(int lanes, int64_t rounds) {
  chains(lanes, rounds);
  return operations(lanes, rounds);
}

}  // namespace dgc_test
