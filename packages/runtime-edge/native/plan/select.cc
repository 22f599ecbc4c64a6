#include "select.h"

#include <stdlib.h>
#include <string.h>
#if defined(__arm__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace dgc::edge {
namespace {

template <typename Kernel, typename Description>
const void* first_of(const KernelList<Kernel>& list, const Description& desc, Step& step) {
  int32_t i = 0;
  while (i + 1 < list.count && !list.items[i].supports(desc)) ++i;
  step.kernel_name = list.items[i].name;
  return step.kernel = &list.items[i];
}

struct Isa {
  const char* name;
  const KernelTable* (*table)();
  bool (*runs_here)();
};

#if defined(__x86_64__) && !defined(DGC_SCALAR_ONLY)
bool has_sse41() { return __builtin_cpu_supports("sse4.1"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512f() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("fma");
}
#elif defined(__arm__)
bool has_neon32() { return (getauxval(AT_HWCAP) & HWCAP_NEON) && (getauxval(AT_HWCAP) & HWCAP_VFPv4); }
#endif
bool always() { return true; }

// Best first.
constexpr Isa kIsas[] = {
#if defined(DGC_SCALAR_ONLY)  // the fuzzer, whose sanitizers would take minutes over every set
#elif defined(__x86_64__)
    {"avx512f", dgc_kernels_avx512f, has_avx512f}, {"avx2", dgc_kernels_avx2, has_avx2}, {"sse41", dgc_kernels_sse41, has_sse41},
#elif defined(__aarch64__)
    {"neon", dgc_kernels_neon, always},
#elif defined(__arm__)
    {"neon32", dgc_kernels_neon32, has_neon32},
#elif defined(DGC_WASM_RELAXED)
    {"wasmrelaxed", dgc_kernels_wasmrelaxed, always},
#elif defined(__wasm__)
    {"wasmsimd", dgc_kernels_wasmsimd, always},
#endif
#ifndef __wasm__  // a module is downloaded: it carries one set
    {"scalar", dgc_kernels_scalar, always},
#endif
};

}  // namespace

const void* select_kernel(const KernelTable& table, Step& step) {
  switch (step.kind) {
    case StepKind::Conv: return first_of(table.conv2d, step.desc.conv, step);
    case StepKind::ConvTranspose: return first_of(table.conv2d_transpose, step.desc.conv, step);
    case StepKind::Matmul: return first_of(table.matmul, step.desc.matmul, step);
    case StepKind::Pool: return first_of(table.pool, step.desc.pool, step);
    case StepKind::Resize: return first_of(table.resize, step.desc.resize, step);
    case StepKind::Softmax: return first_of(table.softmax, step.desc.softmax, step);
    case StepKind::Binary: return first_of(table.binary, step.desc.binary, step);
    case StepKind::Activation: return first_of(table.activation, step.desc.activation, step);
    case StepKind::Channelwise: return first_of(table.channelwise, step.desc.channelwise, step);
    case StepKind::Reduce: return first_of(table.reduce, step.desc.reduce, step);
    case StepKind::Copy: return first_of(table.copy, step.desc.copy, step);
    case StepKind::Pad: return first_of(table.pad, step.desc.pad, step);
    case StepKind::Take: return first_of(table.take, step.desc.take, step);
  }
  return nullptr;
}

const char* requested_isa(const char* isa) {
#ifndef __wasm__  // a module has one set, and no environment
  if (isa == nullptr || *isa == 0) isa = getenv("DGCONV_ISA");
#endif
  return isa == nullptr || *isa == 0 ? nullptr : isa;
}

const KernelTable* find_kernels(const char* isa) {
  isa = requested_isa(isa);
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (const Isa& entry : kIsas)
    if ((isa == nullptr || strcmp(isa, entry.name) == 0) && entry.runs_here()) return entry.table();
  return nullptr;
}

const char* available_isas() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  static char names[128];
  char text[128] = "";
  for (const Isa& entry : kIsas) {
    if (!entry.runs_here()) continue;
    if (text[0] != 0) strcat(text, ", ");
    strcat(text, entry.name);
  }
  memcpy(names, text, sizeof(names));
  return names;
}

}  // namespace dgc::edge
