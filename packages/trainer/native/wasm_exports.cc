// The training kernels as a WebAssembly module: the caller copies buffers into its memory, runs, and copies results out.
#include <stdlib.h>

#include "operations.h"

#define DGC_EXPORT(name) extern "C" __attribute__((export_name(#name)))

// Buffers as pairs of address and element count, both 32 bits.
DGC_EXPORT(run) int dgcRun(int operation, const double* params, int paramCount, const uint32_t* pairs, int bufferCount) {
  dgc::Buffer* buffers = static_cast<dgc::Buffer*>(malloc(sizeof(dgc::Buffer) * (bufferCount + 1)));
  for (int i = 0; i < bufferCount; i++) buffers[i] = {reinterpret_cast<void*>(pairs[2 * i]), pairs[2 * i + 1]};
  const dgc::Status status = dgc::run(dgc::findInstructionSet("best"), operation, params, paramCount, buffers, bufferCount);
  free(buffers);
  return static_cast<int>(status);
}

DGC_EXPORT(allocate) void* dgcAllocate(uint32_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
DGC_EXPORT(release) void dgcRelease(void* memory) { free(memory); }
DGC_EXPORT(schema) const char* dgcSchema() { return dgc::schema(); }
