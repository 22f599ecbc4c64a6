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

// Every thread has its share of a job, the same part of the items in every job: what it wrote in one layer it finds in its own
// cache in the next. A share is cut into pieces, large ones first; who is done with his own draws from the others' shares.
//
// A share's ticket says which job there is, how many pieces the share has and which one is next, so that whoever draws a piece
// knows by the same word that the job is not over; it stays so until that piece is done. A thread that comes late draws
// nothing and holds nobody up.
struct ThreadPool::State {
  static constexpr uint32_t kMostPieces = 5;

  struct alignas(64) Share {
    std::atomic<uint64_t> ticket{0};  // generation (32 bits), pieces (16), next piece (16)
    int64_t begins[kMostPieces + 1];
  };
  struct Worker {
    State* state;
    int32_t index;
    pthread_t thread;
  };

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done = PTHREAD_COND_INITIALIZER;
  alignas(64) std::atomic<uint32_t> finished{0};  // pieces
  std::atomic<int32_t> sleeping{0};   // workers
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};
  // Of the job: written before its tickets, read by those who drew a piece. So are the shares' begins.
  alignas(64) Job job = nullptr;
  void* context = nullptr;
  uint32_t pieces = 0;
  Share* shares = nullptr;
  Worker* workers = nullptr;
  int32_t threads = 0;
  int32_t started = 0;

  static uint32_t generation_of(uint64_t ticket) { return uint32_t(ticket >> 32); }
  static uint32_t pieces_of(uint64_t ticket) { return uint32_t(ticket >> 16) & 0xffff; }
  static uint32_t next_of(uint64_t ticket) { return uint32_t(ticket) & 0xffff; }
  uint32_t generation(int32_t thread) const { return generation_of(shares[thread].ticket.load(std::memory_order_seq_cst)); }

  // Draws pieces until there are none, its own first.
  void work(int32_t thread) {
    for (int32_t i = 0; i < threads; ++i) {
      Share& share = shares[(thread + i) % threads];
      for (;;) {
        // Looking is cheaper than drawing, and keeps the ticket from counting on.
        const uint64_t seen = share.ticket.load(std::memory_order_relaxed);
        if (next_of(seen) >= pieces_of(seen)) break;
        const uint64_t drawn = share.ticket.fetch_add(1, std::memory_order_acq_rel);
        const uint32_t piece = next_of(drawn);
        if (piece >= pieces_of(drawn)) break;
        const uint32_t all = pieces;
        job(context, share.begins[piece], share.begins[piece + 1], thread);
        // The job is over with its last piece: after that only the caller's sleep may be looked at.
        if (finished.fetch_add(1, std::memory_order_seq_cst) + 1 == all && thread != 0 && caller_sleeps.load(std::memory_order_seq_cst)) {
          pthread_mutex_lock(&mutex);
          pthread_cond_signal(&done);
          pthread_mutex_unlock(&mutex);
        }
      }
    }
  }

  static void* main(void* argument) {
    Worker* worker = static_cast<Worker*>(argument);
    State& state = *worker->state;
    uint32_t seen = 0;
    const auto is_new = [&] { return state.generation(worker->index) != seen; };
    for (;;) {
      if (!spin_until(is_new)) {
        pthread_mutex_lock(&state.mutex);
        state.sleeping.fetch_add(1, std::memory_order_seq_cst);
        while (!is_new()) pthread_cond_wait(&state.wake, &state.mutex);
        state.sleeping.fetch_sub(1, std::memory_order_seq_cst);
        pthread_mutex_unlock(&state.mutex);
      }
      if (state.stop.load(std::memory_order_acquire)) return nullptr;
      seen = state.generation(worker->index);
      state.work(worker->index);
    }
  }

  // Pieces of half of what is left of the share, the last one as large as the one before it.
  static uint32_t cut(int64_t begin, int64_t end, int64_t* begins) {
    uint32_t count = 0;
    while (begin < end) {
      begins[count++] = begin;
      begin += count == kMostPieces ? end - begin : (end - begin + 1) / 2;
    }
    begins[count] = end;
    return count;
  }

  // `items` 0: only wakes.
  void publish(int64_t items) {
    uint32_t counts[kMaxThreads];
    pieces = 0;
    for (int32_t i = 0; i < threads; ++i) pieces += counts[i] = cut(items * i / threads, items * (i + 1) / threads, shares[i].begins);
    finished.store(0, std::memory_order_relaxed);
    const uint64_t next = uint64_t(generation(0) + 1u) << 32;
    for (int32_t i = threads - 1; i >= 0; --i) shares[i].ticket.store(next | uint64_t{counts[i]} << 16, std::memory_order_seq_cst);
    if (sleeping.load(std::memory_order_seq_cst) == 0) return;
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
  }

  void await() {
    const auto is_done = [&] { return finished.load(std::memory_order_seq_cst) == pieces; };
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
  pool->state_ = new (aligned_alloc(alignof(State), sizeof(State))) State();
  pool->state_->threads = pool->threads_;
  pool->state_->shares = static_cast<State::Share*>(aligned_alloc(alignof(State::Share), sizeof(State::Share) * size_t(pool->threads_)));
  for (int32_t i = 0; i < pool->threads_; ++i) new (&pool->state_->shares[i]) State::Share();
  pool->state_->workers = static_cast<State::Worker*>(malloc(sizeof(State::Worker) * size_t(threads - 1)));
  for (int32_t i = 0; i < pool->threads_ - 1; ++i) {
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
    free(state->shares);
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
  state.publish(items);
  state.work(0);
  state.await();
}

#endif

}  // namespace dgc::edge
