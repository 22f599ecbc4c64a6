// The ops without constant weights, against plain loops in double.
#pragma once

#include "test_support.h"

namespace dgc_test {

// Tests every kernel of one table but the convolutions.
void test_ops(Report& report, const dgc::KernelTable& table);

}  // namespace dgc_test
