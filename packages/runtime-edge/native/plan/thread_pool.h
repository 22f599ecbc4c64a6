// A few threads that share the items of one job at a time. Between jobs they spin for a while, then sleep; who comes late for a job holds nobody up.
#pragma once

#include <stdint.h>

namespace dgc::edge {

class ThreadPool {
 public:
  using Job = void (*)(void* context, int64_t begin, int64_t end, int32_t thread);

  // Null if the threads cannot be had. `threads` counts the caller of `run`.
  static ThreadPool* create(int32_t threads);
  static void destroy(ThreadPool* pool);

  int32_t threads() const { return threads_; }
  // Calls job for disjoint ranges that cover [0, items), on all threads; returns when all are done. One caller at a time.
  void run(int64_t items, Job job, void* context);

 private:
  struct State;
  ThreadPool() = default;

  int32_t threads_ = 1;
  State* state_ = nullptr;
};

}  // namespace dgc::edge
