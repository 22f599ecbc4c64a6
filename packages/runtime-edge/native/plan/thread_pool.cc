#include "thread_pool.h"

#include <stdlib.h>

#ifndef __wasm__
#include <pthread.h>

#include <atomic>
#include <new>
#endif

namespace dgc::edge {

#ifdef __wasm__

struct ThreadPool::State {};

ThreadPool* ThreadPool::create(int32_t) {
  static ThreadPool pool;
  return &pool;
}
void ThreadPool::destroy(ThreadPool*) {}
void ThreadPool::run(int64_t items, Job job, void* context) {
  if (items > 0) job(context, 0, items, 0);
}

#else

namespace {

// About half a millisecond: longer than any step that one thread does alone, so that nobody falls asleep within a run.
constexpr int kSpins = 30000;
constexpr int64_t kChunksPerThread = 4;

inline void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

struct ThreadPool::State {
  struct Worker {
    State* state;
    int32_t index;
    pthread_t thread;
  };

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done = PTHREAD_COND_INITIALIZER;
  std::atomic<uint64_t> generation{0};
  std::atomic<int32_t> busy{0};  // workers that have not finished this generation
  std::atomic<int64_t> next{0};
  std::atomic<bool> stop{false};
  int64_t items = 0, chunk = 1;
  Job job = nullptr;
  void* context = nullptr;
  Worker* workers = nullptr;
  int32_t started = 0;

  void work(int32_t thread) {
    for (;;) {
      const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= items) return;
      job(context, begin, begin + chunk < items ? begin + chunk : items, thread);
    }
  }

  static void* main(void* argument) {
    Worker* worker = static_cast<Worker*>(argument);
    State& state = *worker->state;
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && state.generation.load(std::memory_order_acquire) == seen; ++spin) pause_thread();
      if (state.generation.load(std::memory_order_acquire) == seen) {
        pthread_mutex_lock(&state.mutex);
        while (state.generation.load(std::memory_order_acquire) == seen) pthread_cond_wait(&state.wake, &state.mutex);
        pthread_mutex_unlock(&state.mutex);
      }
      ++seen;
      if (state.stop.load(std::memory_order_acquire)) return nullptr;
      state.work(worker->index);
      if (state.busy.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        pthread_mutex_lock(&state.mutex);
        pthread_cond_signal(&state.done);
        pthread_mutex_unlock(&state.mutex);
      }
    }
  }

  void start_generation() {
    pthread_mutex_lock(&mutex);
    generation.fetch_add(1, std::memory_order_acq_rel);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
  }
};

ThreadPool* ThreadPool::create(int32_t threads) {
  ThreadPool* pool = new (malloc(sizeof(ThreadPool))) ThreadPool();
  pool->threads_ = threads;
  if (threads <= 1) return pool;
  pool->state_ = new (malloc(sizeof(State))) State();
  pool->state_->workers = static_cast<State::Worker*>(malloc(sizeof(State::Worker) * size_t(threads - 1)));
  for (int32_t i = 0; i < threads - 1; ++i) {
    State::Worker& worker = pool->state_->workers[i];
    worker.state = pool->state_;
    worker.index = i + 1;
    if (pthread_create(&worker.thread, nullptr, State::main, &worker) != 0) {
      destroy(pool);
      return nullptr;
    }
    ++pool->state_->started;
  }
  return pool;
}

void ThreadPool::destroy(ThreadPool* pool) {
  if (pool == nullptr) return;
  if (State* state = pool->state_) {
    state->stop.store(true, std::memory_order_release);
    state->start_generation();
    for (int32_t i = 0; i < state->started; ++i) pthread_join(state->workers[i].thread, nullptr);
    free(state->workers);
    state->~State();
    free(state);
  }
  pool->~ThreadPool();
  free(pool);
}

void ThreadPool::run(int64_t items, Job job, void* context) {
  if (items <= 0) return;
  if (state_ == nullptr || items == 1) {
    job(context, 0, items, 0);
    return;
  }
  State& state = *state_;
  state.items = items;
  state.chunk = (items + threads_ * kChunksPerThread - 1) / (threads_ * kChunksPerThread);
  state.job = job;
  state.context = context;
  state.next.store(0, std::memory_order_relaxed);
  state.busy.store(state.started, std::memory_order_relaxed);
  state.start_generation();
  state.work(0);
  for (int spin = 0; spin < kSpins && state.busy.load(std::memory_order_acquire) != 0; ++spin) pause_thread();
  if (state.busy.load(std::memory_order_acquire) == 0) return;
  pthread_mutex_lock(&state.mutex);
  while (state.busy.load(std::memory_order_acquire) != 0) pthread_cond_wait(&state.done, &state.mutex);
  pthread_mutex_unlock(&state.mutex);
}

#endif

}  // namespace dgc::edge
