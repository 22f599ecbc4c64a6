// What the tiles for NEON share: sums start as the bias, and meet residual, clamp and memory at the end, in as few instructions
// as there are. An A64 core retires few of them at a time, so that every copy of a register takes a multiply-add's place.
#pragma once

#include "conv_direct.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

// Opaque: the compiler would make a second copy of the loop for a zero that it knows.
DGC_INLINE float32x4_t opaque_zeros() {
  float32x4_t zero;
  asm("movi %0.4s, #0" : "=w"(zero));
  return zero;
}

// Two vectors at p. Volatile: the compiler would load once and copy registers.
DGC_INLINE void load_two(const float* p, float32x4_t& first, float32x4_t& second) {
  asm volatile("ldp %q0, %q1, [%2]" : "=w"(first), "=w"(second) : "r"(p), "m"(*(const float(*)[8])p));
}

// Four vectors at p, which moves on to what follows; one running pointer instead of several.
DGC_INLINE float32x4x4_t load_four(const float*& p) {
  const float32x4x4_t v = vld1q_f32_x4(p);
  p += 16;
  asm("" : "+r"(p));
  return v;
}

// Two vectors at p; moves on by `stride` floats.
DGC_INLINE float32x4x2_t load_two_and_advance(const float*& p, int64_t stride) {
#ifdef __clang__
  const float32x4x2_t v = vld1q_f32_x2(p);
  p += stride;
#else
  float32x4x2_t v;
  asm("ld1 {%S0.4s, %T0.4s}, [%1], %3" : "=w"(v), "=r"(p) : "1"(p), "r"(stride * 4), "m"(*(const float(*)[8])p));
#endif
  return v;
}

// Stores and moves the pointer on by `bytes`, in one instruction.
DGC_INLINE void store_and_advance(float*& p, int64_t bytes, float32x4_t v) {
  asm("st1 {%2.4s}, [%1], %3" : "=m"(*(float(*)[4])p), "+r"(p) : "w"(v), "r"(bytes));
}

// The same for two vectors, which have to be in neighbouring registers.
DGC_INLINE void store_and_advance(float*& p, int64_t bytes, float32x4_t a, float32x4_t b) {
  register float32x4_t first asm("v30") = a;
  register float32x4_t second asm("v31") = b;
  asm("st1 {%2.4s, %3.4s}, [%1], %4" : "=m"(*(float(*)[8])p), "+r"(p) : "w"(first), "w"(second), "r"(bytes));
}

template <int kVectors, int kPixels>
DGC_INLINE void start_sums(const float* bias, float32x4_t (&sums)[kVectors][kPixels]) {
  if constexpr (kVectors == 2) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) load_two(bias, sums[0][pixel], sums[1][pixel]);
  } else {
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const float32x4_t start = vld1q_f32(bias + v * 4);
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[v][pixel] = start;
    }
  }
}

// Stores all pixels of a row of a tile. `limited`: whether there is an upper limit.
template <int kVectors, int kPixels>
DGC_INLINE void store_whole_row(const TileJob& job, int limited, const float* residual, float* to,
                                float32x4_t (&sums)[kVectors][kPixels]) {
  if (residual) {
    const float* from = residual;
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      if constexpr (kVectors == 2) {
        float32x4_t first, second;
        load_two(from, first, second);
        sums[0][pixel] = vaddq_f32(sums[0][pixel], first);
        sums[1][pixel] = vaddq_f32(sums[1][pixel], second);
        from += job.residual_pixel_stride;
      } else {
        sums[0][pixel] = vaddq_f32(sums[0][pixel], (float32x4_t)load_and_advance(from, job.residual_pixel_stride));
      }
    }
  }
  if (limited) {
    const float32x4_t high = vdupq_n_f32(job.high);
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[v][pixel] = vminq_f32(sums[v][pixel], high);
    }
  }
  const float32x4_t low = vdupq_n_f32(job.low);
  const int64_t bytes = job.output_pixel_stride * 4;
  DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
    if constexpr (kVectors == 2) {
      store_and_advance(to, bytes, vmaxq_f32(sums[0][pixel], low), vmaxq_f32(sums[1][pixel], low));
    } else {
      store_and_advance(to, bytes, vmaxq_f32(sums[0][pixel], low));
    }
  }
}

// Stores the pixels of a row that the tile before did not, from memory: rare.
template <int kVectors, int kPixels>
DGC_INLINE void store_some_of_row(const TileJob& job, const float* residual, float* to,
                                  const float32x4_t (&sums)[kVectors][kPixels]) {
  const float32x4_t low = vdupq_n_f32(job.low), high = vdupq_n_f32(job.high);
  float32x4_t kept[kPixels][kVectors];
  DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
    DGC_UNROLL for (int v = 0; v < kVectors; v++) kept[pixel][v] = sums[v][pixel];
  }
  asm("" : "+m"(kept));  // not in registers: a loop
  DGC_ROLLED for (int pixel = job.pixel_begin; pixel < job.pixel_end; pixel++) {
    DGC_ROLLED for (int v = 0; v < kVectors; v++) {
      float32x4_t sum = kept[pixel][v];
      if (residual) sum = vaddq_f32(sum, vld1q_f32(residual + pixel * job.residual_pixel_stride + v * 4));
      vst1q_f32(to + pixel * job.output_pixel_stride + v * 4, vminq_f32(vmaxq_f32(sum, low), high));
    }
  }
}

// What every block of a job asks, once and for all: opaque, or the compiler would ask again.
DGC_INLINE int has_upper_limit(const TileJob& job) {
  int limited = job.high < __builtin_inff();
  asm("" : "+r"(limited));
  return limited;
}
DGC_INLINE int stores_all(const TileJob& job, int pixels) {
  int all = job.pixel_begin == 0 && job.pixel_end == pixels;
  asm("" : "+r"(all));
  return all;
}

#endif

}  // namespace
}  // namespace dgc
