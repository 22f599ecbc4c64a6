// Whether runs ask for memory: allocation_test FILE THREADS; linked with --wrap for every function of malloc's family.
#include <stdio.h>
#include <stdlib.h>

#include "include/dgconv_edge.h"

namespace {
long calls = 0;
void count() { __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED); }
}  // namespace

extern "C" {
void* __real_malloc(size_t);
void* __real_calloc(size_t, size_t);
void* __real_realloc(void*, size_t);
void* __real_aligned_alloc(size_t, size_t);
void __real_free(void*);
void* __wrap_malloc(size_t bytes) { return count(), __real_malloc(bytes); }
void* __wrap_calloc(size_t n, size_t bytes) { return count(), __real_calloc(n, bytes); }
void* __wrap_realloc(void* memory, size_t bytes) { return count(), __real_realloc(memory, bytes); }
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) { return count(), __real_aligned_alloc(alignment, bytes); }
void __wrap_free(void* memory) { count(), __real_free(memory); }
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: allocation_test FILE THREADS\n"), 2;
  dgc_options options = {};
  options.threads = atoi(argv[2]);
  char message[256];
  dgc_session* session;
  if (dgc_session_load_file(argv[1], &options, &session, message, sizeof(message)) != DGC_OK) return fprintf(stderr, "%s\n", message), 2;
  const long loading = calls;
  const int inputs = dgc_session_input_count(session), outputs = dgc_session_output_count(session);
  float** buffers = static_cast<float**>(malloc(sizeof(float*) * size_t(inputs + outputs)));
  for (int i = 0; i < inputs + outputs; ++i) {
    dgc_tensor_info info;
    if (i < inputs) dgc_session_input(session, i, &info);
    else dgc_session_output(session, i - inputs, &info);
    buffers[i] = static_cast<float*>(calloc(info.elements, sizeof(float)));
  }
  const long before = calls;
  for (int repeat = 0; repeat < 3; ++repeat) dgc_session_run(session, 1, buffers, buffers + inputs, message, sizeof(message));
  printf("%ld calls while loading, %ld in three runs\n", loading, calls - before);
  return calls == before && loading > 0 ? 0 : 1;
}
