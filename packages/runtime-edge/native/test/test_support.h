// What the kernel drivers share: buffers with guard zones, seeded numbers, the tables that this machine can run.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel_api.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define DGC_POISON(start, floats) __asan_poison_memory_region(start, (floats) * sizeof(float))
#define DGC_UNPOISON(start, floats) __asan_unpoison_memory_region(start, (floats) * sizeof(float))
#else
#define DGC_POISON(start, floats) (void)0
#define DGC_UNPOISON(start, floats) (void)0
#endif

namespace dgc_test {

// Every table that is linked in and that this CPU can execute, the scalar one first.
inline std::vector<const dgc::KernelTable*> runnable_tables() {
  std::vector<const dgc::KernelTable*> tables = {dgc_kernels_scalar()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.1")) tables.push_back(dgc_kernels_sse41());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables.push_back(dgc_kernels_avx2());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    tables.push_back(dgc_kernels_avx512f());
  }
#elif defined(__aarch64__)
  tables.push_back(dgc_kernels_neon());
#elif defined(__arm__)
  tables.push_back(dgc_kernels_neon32());
#elif defined(__wasm__)
  tables.push_back(dgc_kernels_wasmsimd());
#if defined(DGC_TEST_RELAXED)
  tables.push_back(dgc_kernels_wasmrelaxed());
#endif
#endif
  return tables;
}

// Small and fast, and the same on every machine.
class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t next() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 8;
  }
  // Whole numbers in [-limit, limit].
  float whole(int limit) { return (float)((int)(next() % (uint32_t)(2 * limit + 1)) - limit); }
  float uniform(float low, float high) { return low + (high - low) * (float)next() / 16777216.0f; }

 private:
  uint32_t state_;
};

// Floats between guard zones full of NaN: a kernel that uses what lies outside is found out by its result, one that writes
// there by `intact`, and one that merely reads there by AddressSanitizer, where it is compiled in. `offset` moves the start off the 64-byte grid.
class Buffer {
 public:
  explicit Buffer(size_t count, size_t offset = 0) : count_(count), offset_(offset) {
    bytes_ = (count + 2 * kGuard + 64) * sizeof(float);
    memory_ = (float*)aligned_alloc(64, (bytes_ + 63) / 64 * 64);
    for (size_t i = 0; i < count + 2 * kGuard + 64; i++) memory_[i] = guard();
    DGC_POISON(memory_, kGuard + offset);
    DGC_POISON(memory_ + kGuard + offset + count, kGuard + 64 - offset);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    DGC_UNPOISON(memory_, count_ + 2 * kGuard + 64);
    free(memory_);
  }

  float* data() { return memory_ + kGuard + offset_; }
  const float* data() const { return memory_ + kGuard + offset_; }
  size_t size() const { return count_; }
  float& operator[](size_t i) { return data()[i]; }
  float operator[](size_t i) const { return data()[i]; }

  bool intact() const {
    DGC_UNPOISON(memory_, count_ + 2 * kGuard + 64);
    const float expected = guard();
    for (size_t i = 0; i < count_ + 2 * kGuard + 64; i++) {
      const bool inside = i >= kGuard + offset_ && i < kGuard + offset_ + count_;
      if (!inside && memcmp(memory_ + i, &expected, sizeof(float)) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static float guard() { return __builtin_nanf("0x1234"); }
  size_t count_, offset_, bytes_;
  float* memory_;
};

// Memory for packed weights and scratch.
class Bytes {
 public:
  explicit Bytes(size_t size) : size_(size) {
    data_ = (unsigned char*)aligned_alloc(64, (size + 127) / 64 * 64);
    memset(data_, 0xa5, (size + 127) / 64 * 64);
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { free(data_); }
  void* data() { return data_; }
  bool intact() const {
    for (size_t i = size_; i < (size_ + 127) / 64 * 64; i++) {
      if (data_[i] != 0xa5) return false;
    }
    return true;
  }

 private:
  size_t size_;
  unsigned char* data_;
};

// Counts checks and prints the first failures.
class Report {
 public:
  void check(bool ok, const std::string& what) {
    if (ok) {
      passed_++;
      return;
    }
    if (failed_++ < 40) printf("FAILED %s\n", what.c_str());
  }
  int finish() const {
    printf("%d passed, %d failed\n", passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  int passed_ = 0, failed_ = 0;
};

}  // namespace dgc_test
