#include "parallel.h"

#include <stdint.h>
#include <stdlib.h>

#if !defined(__wasm__)
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#endif

namespace dgc {
namespace {

constexpr int kMaxThreads = 64;

struct Scratch {
  void* memory = nullptr;
  float* aligned = nullptr;
  long elements = 0;
};
Scratch scratches[kMaxThreads][kScratchSlots];

#if !defined(__wasm__)
int threads = 1;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Helpers look for work in a short spin, then sleep until they are woken. One that comes too late is not waited for: on a busy machine the caller does the
// work alone.
class Pool {
 public:
  void run(long tasks, void (*function)(void*, long, int), void* context, int helpers) {
    while (static_cast<int>(helpers_.size()) < helpers) {
      const int thread = static_cast<int>(helpers_.size()) + 1;
      helpers_.emplace_back([this, thread] { help(thread); });
      helpers_.back().detach();
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      function_ = function;
      context_ = context;
      tasks_ = tasks;
      next_.store(0, std::memory_order_relaxed);
      admitted_ = helpers;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work(0);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      admitted_ = 0;
    }
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; spin++) spin < 2000 ? relax() : std::this_thread::yield();
  }

 private:
  void work(int thread) {
    for (long task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) function_(context_, task, thread);
  }

  void help(int thread) {
    unsigned seen = 0;
    for (;;) {
      for (int spin = 0; spin < 4000 && generation_.load(std::memory_order_acquire) == seen; spin++) relax();
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
        seen = generation_.load(std::memory_order_acquire);
        if (thread > admitted_) continue;
        busy_.fetch_add(1, std::memory_order_relaxed);
      }
      work(thread);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> helpers_;
  std::atomic<unsigned> generation_{0};
  std::atomic<long> next_{0};
  std::atomic<int> busy_{0};
  int admitted_ = 0;  // helpers up to this number may join
  long tasks_ = 0;
  void (*function_)(void*, long, int) = nullptr;
  void* context_ = nullptr;
};

// Never destroyed: its helpers wait on it until the process ends.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}
#endif

}  // namespace

#if defined(__wasm__)
int threadCount() { return 1; }
void setThreadCount(int) {}

void runTasks(long tasks, void (*function)(void*, long, int), void* context) {
  for (long task = 0; task < tasks; task++) function(context, task, 0);
}
#else
int threadCount() { return threads; }
void setThreadCount(int count) { threads = count < 1 ? 1 : count > kMaxThreads ? kMaxThreads : count; }

void runTasks(long tasks, void (*function)(void*, long, int), void* context) {
  const long helpers = tasks < threads ? tasks - 1 : threads - 1;
  if (helpers > 0) return pool().run(tasks, function, context, static_cast<int>(helpers));
  for (long task = 0; task < tasks; task++) function(context, task, 0);
}
#endif

float* scratch(int thread, int slot, long elements) {
  Scratch& s = scratches[thread][slot];
  if (s.elements < elements) {
    free(s.memory);
    s.memory = malloc(static_cast<size_t>(elements) * sizeof(float) + 64);
    if (!s.memory) abort();
    s.aligned = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(s.memory) + 63) & ~uintptr_t{63});
    s.elements = elements;
  }
  return s.aligned;
}

}  // namespace dgc
