// The vector type of the instruction set being compiled and the few operations that GCC's and Clang's vector extensions
// lack. Included once per instruction set, inside of an anonymous namespace: nothing here reaches the linker.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(DGC_ISA_avx512f) || defined(DGC_ISA_avx2) || defined(DGC_ISA_sse41)
#include <immintrin.h>
#elif defined(DGC_ISA_neon) || defined(DGC_ISA_neon32)
#include <arm_neon.h>
#elif defined(DGC_ISA_wasmsimd) || defined(DGC_ISA_wasmrelaxed)
#include <wasm_simd128.h>
#endif

#if defined(DGC_ISA_avx512f)
#define DGC_LANES 16
#elif defined(DGC_ISA_avx2)
#define DGC_LANES 8
#elif defined(DGC_ISA_scalar)
#define DGC_LANES 1
#else
#define DGC_LANES 4
#endif

#define DGC_INLINE inline __attribute__((always_inline))
#define DGC_NOINLINE __attribute__((noinline))
#ifdef __clang__
#define DGC_UNROLL _Pragma("clang loop unroll(full)")
#define DGC_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define DGC_UNROLL _Pragma("GCC unroll 64")
#define DGC_ROLLED _Pragma("GCC unroll 1")
#endif

namespace dgc {
namespace {

constexpr int kLanes = DGC_LANES;

#if DGC_LANES == 1
typedef float V;
typedef int32_t VI;
#else
typedef float V __attribute__((vector_size(DGC_LANES * 4)));
typedef int32_t VI __attribute__((vector_size(DGC_LANES * 4)));
#endif
// The same for loads and stores at addresses aligned to 4 bytes only.
#if DGC_LANES == 1
typedef float VUnaligned;
#else
typedef float VUnaligned __attribute__((vector_size(DGC_LANES * 4), aligned(4), may_alias));
#endif

DGC_INLINE V load(const float* p) { return *(const VUnaligned*)p; }
DGC_INLINE void store(float* p, V v) { *(VUnaligned*)p = v; }

// Loads and moves the pointer on by `stride` floats. Written so that compilers keep one running pointer instead of as many
// registers as there are pixels; on ARM it is one instruction.
DGC_INLINE V load_and_advance(const float*& p, int64_t stride) {
#if defined(DGC_ISA_neon)
  float32x4_t v;
  asm("ld1 {%0.4s}, [%1], %3" : "=w"(v), "=r"(p) : "1"(p), "r"(stride * 4), "m"(*(const float(*)[4])p));
  return (V)v;
#else
  const V v = load(p);
  p += stride;
#ifndef __wasm__
  asm("" : "+r"(p));
#endif
  return v;
#endif
}

DGC_INLINE V splat(float x) {
#if DGC_LANES == 1
  return x;
#elif defined(DGC_ISA_avx512f)
  return (V)_mm512_set1_ps(x);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_set1_ps(x);
#else
  return V{x, x, x, x};
#endif
}

// The same pointer, as one that the compiler cannot know: what was loaded from there before is loaded again instead of being
// spilled, and what does not change in a loop is not loaded ahead of it. Only where it was measured to help.
DGC_INLINE const float* load_here(const float* p) {
#if defined(DGC_ISA_avx512f)
  asm volatile("" : "+r"(p));
#endif
  return p;
}

// Hints that what lies here will be read or written soon; it may be outside of any tensor. Only where it was measured to help.
DGC_INLINE void prefetch_input(const float* p) {
#if defined(DGC_ISA_avx512f) || defined(DGC_ISA_avx2)
  __builtin_prefetch(p, 0, 3);
#else
  (void)p;
#endif
}
// The same for what is needed later than the first-level cache would keep it.
DGC_INLINE void prefetch_later(const float* p) {
#if defined(DGC_ISA_avx512f)
  __builtin_prefetch(p, 0, 2);
#else
  (void)p;
#endif
}
DGC_INLINE void prefetch_output(const float* p) {
#if defined(DGC_ISA_avx512f)
  __builtin_prefetch(p, 1, 3);
#else
  (void)p;
#endif
}

DGC_INLINE VI splat_int(int32_t x) { return (VI){} + x; }

// The first `count` lanes, the others 0; 0 < count <= kLanes. Reads nothing behind them.
DGC_INLINE V load_partial(const float* p, int64_t count) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif DGC_LANES == 1
  (void)count;
  return *p;
#elif defined(DGC_ISA_neon)
  float32x4_t v = count & 2 ? vcombine_f32(vld1_f32(p), vdup_n_f32(0.0f)) : vdupq_n_f32(0.0f);
  if (count == 3) v = vld1q_lane_f32(p + 2, v, 2);
  else if (count == 1) v = vld1q_lane_f32(p, v, 0);
  return count == 4 ? load(p) : (V)v;
#else
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; i++) lanes[i] = p[i];
  return load(lanes);
#endif
}

DGC_INLINE void store_partial(float* p, V v, int64_t count) {
#if defined(DGC_ISA_avx512f)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif DGC_LANES == 1
  (void)count;
  *p = v;
#elif defined(DGC_ISA_neon)
  if (count == 4) return store(p, v);
  if (count & 2) vst1_f32(p, vget_low_f32((float32x4_t)v));
  if (count == 3) vst1q_lane_f32(p + 2, (float32x4_t)v, 2);
  else if (count == 1) vst1q_lane_f32(p, (float32x4_t)v, 0);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < count; i++) p[i] = lanes[i];
#endif
}

// Lanes [first, kLanes) only, to p + first and on.
DGC_INLINE void store_from(float* p, V v, int first) {
#if defined(DGC_ISA_avx512f)
  _mm512_mask_storeu_ps(p, (__mmask16)(0xffffu << first), (__m512)v);
#else
  float lanes[kLanes];
  *(VUnaligned*)lanes = v;
  for (int i = first; i < kLanes; i++) p[i] = lanes[i];
#endif
}

// Lane o gets lane o ^ distance. The distance has to be known after inlining and unrolling.
DGC_INLINE V exchange(V x, int distance) {
#if DGC_LANES == 1
  (void)distance;
  return x;
#else
#if defined(DGC_ISA_avx512f)
  if (distance & 8) x = (V)_mm512_shuffle_f32x4((__m512)x, (__m512)x, 0x4e);
  if (distance & 4) x = (V)_mm512_shuffle_f32x4((__m512)x, (__m512)x, 0xb1);
  switch (distance & 3) {
    case 1:
      return (V)_mm512_permute_ps((__m512)x, 0xb1);
    case 2:
      return (V)_mm512_permute_ps((__m512)x, 0x4e);
    case 3:
      return (V)_mm512_permute_ps((__m512)x, 0x1b);
  }
#elif defined(DGC_ISA_avx2)
  if (distance & 4) x = (V)_mm256_permute2f128_ps((__m256)x, (__m256)x, 1);
  switch (distance & 3) {
    case 1:
      return (V)_mm256_permute_ps((__m256)x, 0xb1);
    case 2:
      return (V)_mm256_permute_ps((__m256)x, 0x4e);
    case 3:
      return (V)_mm256_permute_ps((__m256)x, 0x1b);
  }
#else
  switch (distance & 3) {
    case 1:
      return __builtin_shufflevector(x, x, 1, 0, 3, 2);
    case 2:
      return __builtin_shufflevector(x, x, 2, 3, 0, 1);
    case 3:
      return __builtin_shufflevector(x, x, 3, 2, 1, 0);
  }
#endif
  return x;
#endif
}

#ifdef DGC_ISA_avx512f
// The lanes of the mask, the others 0; reads nothing of them.
DGC_INLINE V load_masked(const float* p, int32_t mask) { return (V)_mm512_maskz_loadu_ps((__mmask16)mask, p); }
DGC_INLINE VI load_ints(const int32_t* p) { return (VI)_mm512_loadu_si512(p); }
// Lane o gets lane index[o], of one or of two behind one another.
DGC_INLINE V gather_lanes(V x, VI index) { return (V)_mm512_permutexvar_ps((__m512i)index, (__m512)x); }
DGC_INLINE V gather_lanes(V low, V high, VI index) {
  return (V)_mm512_permutex2var_ps((__m512)low, (__m512i)index, (__m512)high);
}
#endif

// a * b + c, in one rounding where the instruction set has it.
DGC_INLINE V multiply_add(V a, V b, V c) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(DGC_ISA_neon) || defined(DGC_ISA_neon32)
  return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(DGC_ISA_wasmrelaxed)
  return (V)__builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
  return a * b + c;
#endif
}

// Both let a NaN in `x` through, so that activations do not hide it.
DGC_INLINE V at_least(V x, V limit) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_max_ps((__m512)limit, (__m512)x);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_max_ps((__m256)limit, (__m256)x);
#elif defined(DGC_ISA_sse41)
  return (V)_mm_max_ps((__m128)limit, (__m128)x);
#elif defined(DGC_ISA_neon) || defined(DGC_ISA_neon32)
  return (V)vmaxq_f32((float32x4_t)x, (float32x4_t)limit);
#elif defined(DGC_ISA_wasmsimd) || defined(DGC_ISA_wasmrelaxed)
  return (V)__builtin_wasm_pmax_f32x4(x, limit);
#else
  return limit > x ? limit : x;
#endif
}
DGC_INLINE V at_most(V x, V limit) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_min_ps((__m512)limit, (__m512)x);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_min_ps((__m256)limit, (__m256)x);
#elif defined(DGC_ISA_sse41)
  return (V)_mm_min_ps((__m128)limit, (__m128)x);
#elif defined(DGC_ISA_neon) || defined(DGC_ISA_neon32)
  return (V)vminq_f32((float32x4_t)x, (float32x4_t)limit);
#elif defined(DGC_ISA_wasmsimd) || defined(DGC_ISA_wasmrelaxed)
  return (V)__builtin_wasm_pmin_f32x4(x, limit);
#else
  return limit < x ? limit : x;
#endif
}

DGC_INLINE V square_root(V x) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_sqrt_ps((__m512)x);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_sqrt_ps((__m256)x);
#elif defined(DGC_ISA_sse41)
  return (V)_mm_sqrt_ps((__m128)x);
#elif defined(DGC_ISA_neon)
  return (V)vsqrtq_f32((float32x4_t)x);
#elif defined(DGC_ISA_neon32)
  return V{__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]), __builtin_sqrtf(x[3])};
#elif defined(DGC_ISA_wasmsimd) || defined(DGC_ISA_wasmrelaxed)
  return (V)wasm_f32x4_sqrt((v128_t)x);
#else
  return __builtin_sqrtf(x);
#endif
}

DGC_INLINE V round_down(V x) {
#if defined(DGC_ISA_avx512f)
  return (V)_mm512_roundscale_ps((__m512)x, 0x09);
#elif defined(DGC_ISA_avx2)
  return (V)_mm256_floor_ps((__m256)x);
#elif defined(DGC_ISA_sse41)
  return (V)_mm_floor_ps((__m128)x);
#elif defined(DGC_ISA_neon)
  return (V)vrndmq_f32((float32x4_t)x);
#elif defined(DGC_ISA_wasmsimd) || defined(DGC_ISA_wasmrelaxed)
  return (V)wasm_f32x4_floor((v128_t)x);
#elif defined(DGC_ISA_neon32)
  // As below; the sign bit stays, so that -0 does.
  const V whole = __builtin_convertvector(__builtin_convertvector(x, VI), V);
  const VI bits = (VI)(whole > x ? whole - 1.0f : whole) | ((VI)x & INT32_MIN);
  return (x > -8388608.0f) & (x < 8388608.0f) ? (V)bits : x;
#else
  // Floats of 2^23 and more are whole; NaN and infinities fail the comparison too.
  if (!(x > -8388608.0f && x < 8388608.0f)) return x;
  const float whole = (float)(int32_t)x;
  return __builtin_copysignf(whole > x ? whole - 1.0f : whole, x);
#endif
}

DGC_INLINE V absolute(V x) { return __builtin_bit_cast(V, __builtin_bit_cast(VI, x) & splat_int(0x7fffffff)); }

DGC_INLINE VI to_int(V x) {
#if DGC_LANES == 1
  return (int32_t)x;
#else
  return __builtin_convertvector(x, VI);
#endif
}

DGC_INLINE V to_float(VI x) {
#if DGC_LANES == 1
  return (float)x;
#else
  return __builtin_convertvector(x, V);
#endif
}

DGC_INLINE float lane_of(V v, int lane) {
#if DGC_LANES == 1
  (void)lane;
  return v;
#else
  return v[lane];
#endif
}

}  // namespace
}  // namespace dgc
