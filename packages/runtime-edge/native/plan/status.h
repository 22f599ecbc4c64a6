// What went wrong: a code of the C API and one sentence for people.
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "include/dgconv_edge.h"

namespace dgc::edge {

struct Status {
  dgc_status code = DGC_OK;
  char message[512] = "";

  bool ok() const { return code == DGC_OK; }

  // Always returns false, so that a check reads `return status.fail(...)`. The first failure is the one that is told.
  __attribute__((format(printf, 3, 4))) bool fail(dgc_status failure, const char* format, ...) {
    if (!ok()) return false;
    code = failure;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return false;
  }
};

}  // namespace dgc::edge
