// Threads that share pools and sessions, for ThreadSanitizer: concurrency_test FILE...
// Every result has to be that of one thread alone, to the bit; every item of a job has to run exactly once.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include <initializer_list>

#include "include/dgconv_edge.h"
#include "native/plan/array.h"
#include "native/plan/thread_pool.h"

namespace {

using dgc::edge::Array;
using dgc::edge::ThreadPool;

int failures = 0;

void check(bool good, const char* what) {
  if (good) return;
  fprintf(stderr, "failed: %s\n", what);
  __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

struct Cells {
  int32_t* counts;
  int32_t threads;
};

void count_items(void* context, int64_t begin, int64_t end, int32_t thread) {
  const Cells& cells = *static_cast<const Cells*>(context);
  check(thread >= 0 && thread < cells.threads, "a thread's number is below their count");
  if (begin % 3 == 0) sched_yield();  // the others get their share even on one core
  for (int64_t i = begin; i < end; ++i) ++cells.counts[i];  // no atomic: a piece belongs to one thread
}

// Jobs of all sizes, one after the other, with pauses in which the workers fall asleep.
void* use_pool(void* argument) {
  const int32_t threads = *static_cast<const int32_t*>(argument);
  ThreadPool* pool = ThreadPool::create(threads);
  constexpr int64_t kItems = 300;
  static const timespec kPause = {0, 3000000};
  for (int round = 0; round < 400; ++round) {
    int32_t counts[kItems] = {};
    const int64_t items = round * 7 % (kItems + 1);
    Cells cells = {counts, threads};
    if (round % 50 == 49) nanosleep(&kPause, nullptr);
    pool->run(items, count_items, &cells);
    bool once = true;
    for (int64_t i = 0; i < kItems; ++i) once = once && counts[i] == int32_t(i < items);
    check(once, "every item runs exactly once");
  }
  ThreadPool::destroy(pool);
  return nullptr;
}

struct File {
  const char* path;
  Array<float> inputs, expected;  // all inputs and all outputs, one behind the other
};

size_t elements(const dgc_session* session, bool inputs) {
  size_t sum = 0;
  const int32_t count = inputs ? dgc_session_input_count(session) : dgc_session_output_count(session);
  for (int32_t i = 0; i < count; ++i) {
    dgc_tensor_info info;
    if (inputs) dgc_session_input(session, i, &info);
    else dgc_session_output(session, i, &info);
    sum += info.elements;
  }
  return sum;
}

void run(dgc_session* session, const Array<float>& inputs, Array<float>& outputs) {
  Array<const float*> from;
  Array<float*> to;
  size_t at = 0;
  for (int32_t i = 0; i < dgc_session_input_count(session); ++i) {
    dgc_tensor_info info;
    dgc_session_input(session, i, &info);
    from.push(inputs.data() + at);
    at += info.elements;
  }
  at = 0;
  outputs.resize(elements(session, false), 0);
  for (int32_t i = 0; i < dgc_session_output_count(session); ++i) {
    dgc_tensor_info info;
    dgc_session_output(session, i, &info);
    to.push(outputs.data() + at);
    at += info.elements;
  }
  char message[256];
  check(dgc_session_run(session, 1, from.data(), to.data(), message, sizeof(message)) == DGC_OK, "a session runs");
}

dgc_session* load(const char* path, int32_t threads) {
  dgc_options options = {};
  options.threads = threads;
  char message[256] = "";
  dgc_session* session = nullptr;
  if (dgc_session_load_file(path, &options, &session, message, sizeof(message)) == DGC_OK) return session;
  fprintf(stderr, "%s: %s\n", path, message);
  exit(2);
}

void expect(File& file) {
  dgc_session* session = load(file.path, 1);
  const size_t count = elements(session, true);
  for (size_t i = 0; i < count; ++i) file.inputs.push(float(i * 7919 % 101) / 16 - 3);
  run(session, file.inputs, file.expected);
  dgc_session_destroy(session);
}

struct Use {
  const File* file;
  dgc_session* shared;
};

// One session with two threads of its own, while others use `shared` too.
void* use_sessions(void* argument) {
  const Use& use = *static_cast<const Use*>(argument);
  for (int round = 0; round < 3; ++round) {
    dgc_session* own = load(use.file->path, 2);
    for (dgc_session* session : {own, use.shared}) {
      Array<float> outputs;
      run(session, use.file->inputs, outputs);
      check(outputs.size() == use.file->expected.size() && memcmp(outputs.data(), use.file->expected.data(), outputs.size() * sizeof(float)) == 0,
            "a result is that of one thread alone");
    }
    dgc_session_destroy(own);
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return fprintf(stderr, "usage: concurrency_test FILE...\n"), 2;
  constexpr int kThreads = 4;
  pthread_t threads[kThreads];
  int32_t sizes[kThreads] = {2, 3, 2, 5};
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], nullptr, use_pool, &sizes[i]);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  for (int f = 1; f < argc; ++f) {
    File file;
    file.path = argv[f];
    expect(file);
    Use use = {&file, load(file.path, 3)};
    for (pthread_t& thread : threads) pthread_create(&thread, nullptr, use_sessions, &use);
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
    dgc_session_destroy(use.shared);
  }
  printf("%d failures with %d files\n", failures, argc - 1);
  return failures == 0 ? 0 : 1;
}
