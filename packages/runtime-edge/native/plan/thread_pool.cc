#include "thread_pool.h"

#include <stdlib.h>

#ifndef __wasm__
#include <pthread.h>
#include <sched.h>

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
// After so many a waiting thread lets others onto its core now and then: the one that it waits for may be among them.
constexpr int kSpinsBeforeYield = 500;
constexpr int kSpinsBetweenYields = 50;
constexpr int32_t kMaxThreads = 256;
constexpr int32_t kMaxPieces = 6 * kMaxThreads + 1;

inline void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

// Whether `condition` came true while spinning.
template <typename Condition>
bool spin_until(Condition condition) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (condition()) return true;
    if (spin >= kSpinsBeforeYield && spin % kSpinsBetweenYields == 0) sched_yield();
    else pause_thread();
  }
  return condition();
}

}  // namespace

// A job is cut into pieces, large ones first. `ticket` says which job there is, how many pieces it has and which one is next, so
// that whoever draws a piece knows by the same word that the job is not over; it stays so until that piece is done. A thread
// that comes late draws nothing and holds nobody up.
struct ThreadPool::State {
  struct Worker {
    State* state;
    int32_t index;
    pthread_t thread;
  };

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done = PTHREAD_COND_INITIALIZER;
  std::atomic<uint64_t> ticket{0};  // generation (32 bits), pieces (16), next piece (16)
  std::atomic<uint32_t> finished{0};
  std::atomic<int32_t> sleeping{0};  // workers
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};
  // Of the job: written before its ticket, read by those who drew a piece.
  Job job = nullptr;
  void* context = nullptr;
  int64_t begins[kMaxPieces + 1];
  Worker* workers = nullptr;
  int32_t started = 0;

  static uint32_t generation(uint64_t ticket) { return uint32_t(ticket >> 32); }
  static uint32_t pieces(uint64_t ticket) { return uint32_t(ticket >> 16) & 0xffff; }
  static uint32_t piece(uint64_t ticket) { return uint32_t(ticket) & 0xffff; }

  // Draws pieces until there are none; gives the generation in which that was so.
  uint32_t work(int32_t thread) {
    for (;;) {
      const uint64_t drawn = ticket.fetch_add(1, std::memory_order_acq_rel);
      if (piece(drawn) >= pieces(drawn)) return generation(drawn);
      job(context, begins[piece(drawn)], begins[piece(drawn) + 1], thread);
      // The job is over with its last piece: after that only the caller's sleep may be looked at.
      if (finished.fetch_add(1, std::memory_order_seq_cst) + 1 == pieces(drawn) && thread != 0 && caller_sleeps.load(std::memory_order_seq_cst)) {
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&done);
        pthread_mutex_unlock(&mutex);
      }
    }
  }

  static void* main(void* argument) {
    Worker* worker = static_cast<Worker*>(argument);
    State& state = *worker->state;
    uint32_t seen = 0;
    const auto is_new = [&] { return generation(state.ticket.load(std::memory_order_seq_cst)) != seen; };
    for (;;) {
      if (!spin_until(is_new)) {
        pthread_mutex_lock(&state.mutex);
        state.sleeping.fetch_add(1, std::memory_order_seq_cst);
        while (!is_new()) pthread_cond_wait(&state.wake, &state.mutex);
        state.sleeping.fetch_sub(1, std::memory_order_seq_cst);
        pthread_mutex_unlock(&state.mutex);
      }
      if (state.stop.load(std::memory_order_acquire)) return nullptr;
      seen = state.work(worker->index);
    }
  }

  // Pieces of half of what is left, shared evenly, then half of that, …: few of them, and the last ones small.
  uint32_t cut(int64_t items, int32_t threads) {
    uint32_t count = 0;
    int64_t at = 0;
    for (int32_t round = 0; at < items; ++round) {
      const int64_t left = items - at;
      const int64_t size = round >= kRounds ? (left + threads - 1) / threads : (left + 2 * threads - 1) / (2 * threads);
      for (int32_t i = 0; i < threads && at < items; ++i, at += size) begins[count++] = at;
    }
    begins[count] = items;
    return count;
  }
  static constexpr int32_t kRounds = 3;

  void publish(uint32_t count) {
    const uint64_t next = uint64_t(generation(ticket.load(std::memory_order_relaxed)) + 1u) << 32 | uint64_t{count} << 16;
    finished.store(0, std::memory_order_relaxed);
    ticket.store(next, std::memory_order_seq_cst);
    if (sleeping.load(std::memory_order_seq_cst) == 0) return;
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
  }

  void await(uint32_t count) {
    const auto is_done = [&] { return finished.load(std::memory_order_seq_cst) == count; };
    if (spin_until(is_done)) return;
    pthread_mutex_lock(&mutex);
    caller_sleeps.store(true, std::memory_order_seq_cst);
    while (!is_done()) pthread_cond_wait(&done, &mutex);
    caller_sleeps.store(false, std::memory_order_relaxed);
    pthread_mutex_unlock(&mutex);
  }
};

ThreadPool* ThreadPool::create(int32_t threads) {
  ThreadPool* pool = new (malloc(sizeof(ThreadPool))) ThreadPool();
  pool->threads_ = threads < kMaxThreads ? threads : kMaxThreads;
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
    state->publish(0);
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
  state.job = job;
  state.context = context;
  const uint32_t pieces = state.cut(items, threads_);
  state.publish(pieces);
  state.work(0);
  state.await(pieces);
}

#endif

}  // namespace dgc::edge
