// Seeded mutations of .edge files through loading, one run and the test vectors, for ASan and UBSan:
//   fuzz_edge ROUNDS SEED ISA FOLDER
// mutates the files FOLDER/0.edge, FOLDER/1.edge, ….
// A finding is a sanitizer's report or a crash; every refusal with a message is fine. What would take long is loaded but not
// run: the limit is this driver's, not the reader's. When the process dies, the mutant is in fuzz_edge.last.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <initializer_list>
#include <new>

#include "edge_mutator.h"
#include "native/plan/session.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace {

using dgc::edge::Array;
using dgc::edge::Session;
using dgc::edge::SessionOptions;
using dgc::edge::Status;
using dgc::fuzz::Bytes;
using dgc::fuzz::EdgeMutator;
using dgc::fuzz::Random;

constexpr uint64_t kMemoryLimit = 1 << 20;
constexpr double kMostWork = 3e5;  // multiply-adds and elements of one run
constexpr int kMostRepairs = 6;

Bytes* current = nullptr;  // the mutant, for the report of a death

void keep_mutant() {
  FILE* file = fopen("fuzz_edge.last", "wb");
  if (file == nullptr || current == nullptr) return;
  fwrite(current->data(), 1, current->size(), file);
  fclose(file);
}
void on_signal(int number) {
  keep_mutant();
  signal(number, SIG_DFL);
  raise(number);
}

bool read_all(const char* path, Bytes& bytes) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return false;
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) bytes.push(uint8_t(c));
  fclose(file);
  return true;
}

// Whether the network ran. Buffers end where the tensors end, so that a read or write behind them is seen.
bool run(Session& session, int32_t batch, Random& random) {
  double work = 0;
  for (const dgc::edge::Step& step : session.plan.steps) work += double(step.cost) * batch;
  uint64_t total = 0;
  for (const bool inputs : {true, false})
    for (const dgc::edge::TensorInfo& info : inputs ? session.plan.inputs : session.plan.outputs) total += uint64_t(info.shape.elements()) * uint64_t(batch) * sizeof(float);
  if (work > kMostWork || total > kMemoryLimit) return false;
  constexpr float kValues[] = {0, 1, -2, 0.5f, 3, 1e38f, -0.0f, NAN, INFINITY};
  Array<float*> buffers;
  for (const bool inputs : {true, false})
    for (const dgc::edge::TensorInfo& info : inputs ? session.plan.inputs : session.plan.outputs) {
      const size_t elements = size_t(info.shape.elements()) * size_t(batch);
      float* buffer = static_cast<float*>(malloc(elements * sizeof(float)));
      for (size_t i = 0; i < elements; ++i) buffer[i] = kValues[random.below(sizeof(kValues) / sizeof(float))];
      buffers.push(buffer);
    }
  Status status;
  session.run(batch, buffers.data(), buffers.data() + session.plan.inputs.size(), status);
  for (float* buffer : buffers) free(buffer);
  return status.ok();
}

double seconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

struct Counts {
  long mutants = 0, loaded = 0, ran = 0;
  void print(double elapsed) const {
    printf("%ld mutants, %ld loaded, %ld ran, %.0f a second, no finding\n", mutants, loaded, ran, double(mutants) / elapsed);
    fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return fprintf(stderr, "usage: fuzz_edge ROUNDS SEED ISA FOLDER\n"), 2;
  const long rounds = atol(argv[1]);
  Random random = {uint64_t(atoll(argv[2]))};
  SessionOptions options;
  options.isa = argv[3];
  static Bytes corpus[4096];
  uint32_t files = 0;
  for (char path[4096]; files < 4096; ++files) {
    snprintf(path, sizeof(path), "%s/%u.edge", argv[4], files);
    if (!read_all(path, corpus[files])) break;
  }
  if (files == 0) return fprintf(stderr, "%s holds no 0.edge\n", argv[4]), 2;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(keep_mutant);
#endif
  signal(SIGABRT, on_signal);

  options.memory_limit = kMemoryLimit;
  Counts counts;
  const double begin = seconds();
  while (counts.mutants < rounds) {
    Bytes mutant;
    for (const uint8_t byte : corpus[random.below(files)]) mutant.push(byte);
    current = &mutant;
    EdgeMutator mutator(mutant, random);
    mutator.mutate();
    options.max_batch = 1 + int32_t(random.below(8) == 0);
    Session* session = nullptr;
    // Each repair is another mutant.
    for (int repair = 0; repair <= kMostRepairs && session == nullptr; ++repair) {
      Status status;
      ++counts.mutants;
      if (counts.mutants % 100000 == 0) counts.print(seconds() - begin);
      void* exact = malloc(mutant.size());  // a read behind it is seen
      memcpy(exact, mutant.data(), mutant.size());
      session = Session::load(exact, mutant.size(), options, status);
      free(exact);  // as is a use after the load
      if (session == nullptr && (status.ok() || status.message[0] == 0)) return keep_mutant(), fprintf(stderr, "a refusal without a message\n"), 1;
      if (session == nullptr && !mutator.repair(status.message)) break;
    }
    if (session == nullptr) continue;
    ++counts.loaded;
    counts.ran += run(*session, options.max_batch, random);
    session->~Session();
    free(session);
  }
  current = nullptr;
  counts.print(seconds() - begin);
  return 0;
}
