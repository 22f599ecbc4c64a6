// A loaded network: its plan, the memory of its runs and its threads.
#pragma once

#include "plan.h"
#include "thread_pool.h"

namespace dgc::edge {

struct SessionOptions {
  int32_t threads = 1;
  int32_t max_batch = 1;
  const char* isa = nullptr;
  uint64_t memory_limit = 0;
};

class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // The bytes are needed during the call only.
  static Session* load(const void* bytes, size_t size, const SessionOptions& options, Status& status);
  // One call at a time.
  bool run(int32_t batch, const float* const* inputs, float* const* outputs, Status& status);

  Plan plan;
  Array<uint64_t> step_nanoseconds;
  bool profile = false;

 private:
  friend struct StepJob;
  bool prepare(const void* bytes, size_t size, const SessionOptions& options, Status& status);

  ThreadPool* pool_ = nullptr;
  AlignedBuffer arena_;
  AlignedBuffer scratch_;
  uint64_t scratch_stride_ = 0;
};

// Runs the test vectors of a file in memory.
bool selftest(const void* bytes, size_t size, const SessionOptions& options, double& max_error, uint64_t& compared, Status& status);

}  // namespace dgc::edge
