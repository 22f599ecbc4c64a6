// Seeded mutations of .edge files through loading and one run, for ASan and UBSan:
//   fuzz_edge ROUNDS SEED FILE...
// A finding is a sanitizer's report or a crash; every refusal with a message is fine. Checksums are put right after each
// mutation, so that what lies behind them is reached. The last mutant is left in fuzz_edge.last if the process dies.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/dgconv_edge.h"
#include "native/plan/array.h"
#include "native/plan/crc32c.h"

namespace {

using dgc::edge::Array;

constexpr uint64_t kMemoryLimit = 1 << 24;
constexpr double kMaxMacs = 2e6;

struct Random {
  uint64_t state;
  uint32_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 33);
  }
  uint32_t below(uint32_t bound) { return bound == 0 ? 0 : next() % bound; }
};

bool read_all(const char* path, Array<uint8_t>& bytes) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return false;
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) bytes.push(uint8_t(c));
  fclose(file);
  return true;
}

void mutate(Array<uint8_t>& bytes, Random& random) {
  constexpr uint32_t kTelling[] = {0, 1, 2, 3, 4, 8, 255, 65535, 0x7fffffff, 0x80000000, 0xffffffff, 0x3fffffff};
  for (uint32_t count = 1 + random.below(4); count > 0 && bytes.size() > 20; --count) {
    const size_t word = 16 + 4 * size_t(random.below(uint32_t((bytes.size() - 16) / 4)));
    uint32_t value;
    memcpy(&value, bytes.data() + word, 4);
    switch (random.below(6)) {
      case 0: value = kTelling[random.below(sizeof(kTelling) / sizeof(uint32_t))]; break;
      case 1: value ^= 1u << random.below(32); break;
      case 2: value += random.below(9) - 4; break;
      case 3: value = random.below(64); break;
      case 4: memcpy(&value, bytes.data() + 16 + 4 * size_t(random.below(uint32_t((bytes.size() - 16) / 4))), 4); break;
      default:
        if (random.below(8) == 0) bytes.resize(16 + random.below(uint32_t(bytes.size() - 16)));
        continue;
    }
    memcpy(bytes.data() + word, &value, 4);
  }
  if (bytes.size() < 64) return;
  if (random.below(8) != 0) {
    const uint64_t size = bytes.size();
    memcpy(bytes.data() + 16, &size, 8);
  }
  const uint32_t crc = dgc::edge::crc32c(bytes.data() + 16, bytes.size() - 16);
  memcpy(bytes.data() + 8, &crc, 4);
}

double plan_macs(const char* plan) {
  double sum = 0;
  for (const char* at = strstr(plan, "\"macs\":"); at != nullptr; at = strstr(at + 1, "\"macs\":")) sum += strtod(at + 7, nullptr);
  return sum;
}

// Whether the network ran.
bool run(dgc_session* session) {
  if (plan_macs(dgc_session_plan(session)) > kMaxMacs) return false;
  Array<float*> buffers;
  const int inputs = dgc_session_input_count(session), outputs = dgc_session_output_count(session);
  uint64_t total = 0;
  for (int i = 0; i < inputs + outputs; ++i) {
    dgc_tensor_info info;
    if (i < inputs) dgc_session_input(session, i, &info);
    else dgc_session_output(session, i - inputs, &info);
    total += info.elements;
    if (total > kMemoryLimit) break;
    buffers.push(static_cast<float*>(calloc(info.elements + 1, sizeof(float))));
  }
  const bool small = total <= kMemoryLimit;
  char message[512];
  if (small) dgc_session_run(session, 1, buffers.data(), buffers.data() + inputs, message, sizeof(message));
  for (float* buffer : buffers) free(buffer);
  return small;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "usage: fuzz_edge ROUNDS SEED FILE...\n"), 2;
  const long rounds = atol(argv[1]);
  Random random = {uint64_t(atoll(argv[2]))};
  long loaded = 0, ran = 0;
  for (long round = 0; round < rounds; ++round) {
    Array<uint8_t> original;
    if (!read_all(argv[3 + random.below(uint32_t(argc - 3))], original)) return fprintf(stderr, "a file cannot be read\n"), 2;
    mutate(original, random);
    FILE* last = fopen("fuzz_edge.last", "wb");
    if (last != nullptr) {
      fwrite(original.data(), 1, original.size(), last);
      fclose(last);
    }
    dgc_options options = {};
    options.memory_limit = kMemoryLimit;
    options.max_batch = 1 + int32_t(random.below(2));
    dgc_session* session;
    char message[512] = "";
    const dgc_status status = dgc_session_load(original.data(), original.size(), &options, &session, message, sizeof(message));
    if (status != DGC_OK && message[0] == 0) return fprintf(stderr, "a refusal without a message\n"), 1;
    if (status != DGC_OK) continue;
    ++loaded;
    ran += run(session);
    dgc_session_destroy(session);
  }
  remove("fuzz_edge.last");
  printf("%ld mutants, %ld loaded, %ld ran, no finding\n", rounds, loaded, ran);
  return 0;
}
