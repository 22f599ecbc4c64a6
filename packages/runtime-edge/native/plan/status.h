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
    va_list arguments;
    va_start(arguments, format);
    vfail(failure, format, arguments);
    va_end(arguments);
    return false;
  }
  __attribute__((format(printf, 3, 0))) void vfail(dgc_status failure, const char* format, va_list arguments) {
    if (!ok()) return;
    code = failure;
    vsnprintf(message, sizeof(message), format, arguments);
  }
};

}  // namespace dgc::edge
