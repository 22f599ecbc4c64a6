// The core's peak: multiply-adds on independent registers and nothing else.
#pragma once

#include <stdint.h>

namespace dgc_test {

// Runs `rounds` rounds and returns the floating-point operations done; `lanes` picks the vector width.
double fma_peak(int lanes, int64_t rounds);

}  // namespace dgc_test
