// Runs the steps of a plan. Allocates nothing.
#pragma once

#include "plan.h"
#include "thread_pool.h"

namespace dgc::edge {

struct ExecuteContext {
  const Plan* plan;
  ThreadPool* pool;
  char* arena;
  char* scratch;
  uint64_t scratch_stride;
  const float* const* inputs;
  float* const* outputs;
  int32_t batch;
};

// `nanoseconds` [steps] or null.
void execute(const ExecuteContext& context, uint64_t* nanoseconds);

}  // namespace dgc::edge
