// Convolution for groups whose sizes are no multiples of four on NEON. Every group has vectors of its own, the last of which
// computes more lanes than there are outputs. It stores them all the same: the next groups come after it and store over them.
#pragma once

#include "conv_quads.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

// Packed: for each group and each chunk of its outputs, eight or the rest in one or two vectors, weights
// [ky][inputs / 4][kx][lane of input][vector][lane], the last inputs being fewer than four, and bias [vector][lane]. Work item:
// see Strips, with runs of groups.
template <int kPixels, int kKernel, int kStride>
struct RaggedConv {
  static constexpr int kColumns = (kPixels - 1) * kStride + kKernel;

  // One group reads its inputs from every output chunk: with many of both, the staged product of matrices is better.
  static bool supports(const ConvDesc& d) {
    const bool small = d.groups > 1 || d.group_inputs < 16;
    return d.kernel_height == kKernel && d.kernel_width == kKernel && d.stride_height == kStride &&
           d.stride_width == kStride && d.dilation_height == 1 && d.dilation_width == 1 && d.pre == PreKind::kNone &&
           !d.input_index && small && (d.group_inputs > 1 || d.output_channels > d.groups);
  }

  static uint64_t packed_bytes(const ConvDesc& d) { return (uint64_t)(d.groups * group_floats(d)) * sizeof(float); }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t g = 0; g < d.groups; g++) {
      for (int32_t o = 0; o < outputs(d); o += 8) {
        const int lanes = outputs(d) - o > 4 ? 8 : 4;
        const int64_t first = (int64_t)g * outputs(d) + o;
        const int exist = outputs(d) - o < lanes ? outputs(d) - o : lanes;
        for (int ky = 0; ky < kKernel; ky++) {
          for (int32_t quad = 0; quad < d.group_inputs; quad += 4) {
            const int32_t inputs = d.group_inputs - quad < 4 ? d.group_inputs - quad : 4;
            for (int kx = 0; kx < kKernel; kx++) {
              for (int32_t i = 0; i < inputs; i++) {
                for (int lane = 0; lane < lanes; lane++) {
                  const int64_t row = (first + lane) * d.group_inputs + quad + i;
                  *to++ = lane < exist ? weights.kernel[(row * kKernel + ky) * kKernel + kx] : 0.0f;
                }
              }
            }
          }
        }
        for (int lane = 0; lane < lanes; lane++) *to++ = lane < exist && weights.bias ? weights.bias[first + lane] : 0.0f;
      }
    }
  }

  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) {
    const Strips s = cut_into_strips(d, d.groups, kRowsOfStrip);
    return (int64_t)d.batch * s.strips * s.runs;
  }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    const Strips s = cut_into_strips(d, d.groups, kRowsOfStrip);
    for (int64_t item = begin; item < end; item++) run_strip(d, args, strip_of(d, s, d.groups, item));
  }

 private:
  static constexpr int32_t kRowsOfStrip = 2;

  static int32_t outputs(const ConvDesc& d) { return d.output_channels / d.groups; }  // of a group
  static int64_t group_floats(const ConvDesc& d) {
    return (outputs(d) + 3) / 4 * 4 * ((int64_t)kKernel * kKernel * d.group_inputs + 1);
  }

  static void run_strip(const ConvDesc& d, const ConvArgs& args, const Strip& strip) {
    const Clamp clamp = clamp_of(d.activation);
    TileJob job = job_of(d, clamp);
    const int32_t channel = strip.block_begin * outputs(d);
    job.blocks = strip.block_end - strip.block_begin;
    job.input_channel = strip.block_begin * d.group_inputs;
    job.weights = (const float*)args.packed + strip.block_begin * group_floats(d);
    constexpr void (*kGroups[])(const TileJob&, int32_t) = {run_groups<false, 0>, run_groups<false, 1>, run_groups<false, 2>,
                                                            run_groups<false, 3>, run_groups<true, 0>,  run_groups<true, 1>,
                                                            run_groups<true, 2>,  run_groups<true, 3>};
    const float* image = args.input + strip.image * d.input_height * d.input_width * d.input_pixel_stride;
    for (int32_t y = strip.row_begin; y < strip.row_end; y++) {
      const float* rows[kKernel];
      place_rows(d, image, y, kKernel, rows);
      for (int32_t x = 0; x < d.output_width; x += kPixels) {
        const int32_t start = place_pixels(d, x, kPixels, job);
        place_columns(d, start, kColumns, job);
        const int64_t column = (int64_t)(start * kStride - d.pad_left) * d.input_pixel_stride;
        for (int r = 0; r < kKernel; r++) job.rows[r] = rows[r] ? rows[r] + column : nullptr;
        const int64_t pixel = (strip.image * d.output_height + y) * d.output_width + start;
        job.output = args.output + pixel * d.output_pixel_stride + channel;
        job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
        // A load of the last channels of the last pixel would pass the end of the tensor.
        const bool last = strip.block_end == d.groups && strip.image + 1 == d.batch &&
                          y * kStride - d.pad_top + kKernel >= d.input_height &&
                          start * kStride - d.pad_left + kColumns >= d.input_width;
        const int guarded = last || needs_guard(job, kColumns, kKernel / 2) ? 4 : 0;
        kGroups[guarded + d.group_inputs % 4](job, outputs(d));
      }
    }
    if (!clamp.complete) finish_strip(d, strip, channel, strip.block_end * outputs(d), args.output);
  }

  // kRest: inputs of a group that do not fill a vector.
  template <bool kGuarded, int kRest>
  static DGC_NOINLINE void run_groups(const TileJob& shared, int32_t group_outputs) {
    KeptJob job = shared;
    const int limited = has_upper_limit(job);
    // Whether lanes that belong to the next groups may be stored: these then store over them.
    const int carefree = stores_all(job, kPixels) && !job.residual;
    BlockCursor at(job);
    DGC_ROLLED for (int32_t left = job.blocks; left > 0; left--) {
      DGC_ROLLED for (int32_t o = group_outputs; o > 0; o -= 8) {
        const int exact = !carefree || (left - 1) * group_outputs < 3;
        if (o > 4) run_chunk<kGuarded, kRest, 2>(job, limited, exact, o < 8 ? o : 8, at);
        else run_chunk<kGuarded, kRest, 1>(job, limited, exact, o, at);
      }
      at.input_channel += job.group_inputs;
    }
  }

  template <bool kGuarded, int kRest, int kVectors>
  static DGC_INLINE void run_chunk(const TileJob& job, int limited, int exact, int32_t lanes, BlockCursor& at) {
    float32x4_t sums[kVectors][kPixels];
    const int64_t weight_floats = (int64_t)kKernel * kKernel * job.group_inputs * kVectors * 4;
    start_sums(at.weights + weight_floats, sums);
    const float* weights = at.weights;
    at.weights += weight_floats + kVectors * 4;
    DGC_ROLLED for (int ky = 0; ky < kKernel; ky++) {
      const float* x = job.rows[ky];
      if (!x) {
        weights += kKernel * job.group_inputs * kVectors * 4;
        continue;
      }
      x += at.input_channel;
      const float* end = x + job.group_inputs / 4 * 4;
      DGC_ROLLED for (; x != end; x += 4) {
        float32x4_t inputs[kColumns];
        load_columns<kGuarded, kKernel / 2>(job, x, inputs);
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) multiply_quad<kStride>(weights, inputs, kx, sums);
      }
      if constexpr (kRest > 0) {
        float32x4_t inputs[kColumns];
        if constexpr (kGuarded) load_rest<kRest>(job, x, inputs);
        else load_columns<false, kKernel / 2>(job, x, inputs);
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) multiply_rest<kRest>(weights, inputs, kx, sums);
      }
    }
    if (!exact || (lanes == kVectors * 4 && stores_all(job, kPixels))) {
      store_whole_row(job, limited, at.residual, at.output, sums);
    } else {
      store_exactly(job, lanes, at, sums);
    }
    at.output += lanes;
    if (at.residual) at.residual += lanes;
  }

  template <int kInputs, int kVectors>
  static DGC_INLINE void multiply_rest(const float*& weights, const float32x4_t (&inputs)[kColumns], int kx,
                                       float32x4_t (&sums)[kVectors][kPixels]) {
    float32x4_t w[kInputs][kVectors];
    DGC_UNROLL for (int i = 0; i < kInputs; i++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) w[i][v] = vld1q_f32(weights + (i * kVectors + v) * 4);
    }
    weights += kInputs * kVectors * 4;
    asm("" : "+r"(weights));
    multiply_lane<0, kStride>(w[0], inputs, kx, sums);
    if constexpr (kInputs > 1) multiply_lane<1, kStride>(w[1], inputs, kx, sums);
    if constexpr (kInputs > 2) multiply_lane<2, kStride>(w[2], inputs, kx, sums);
  }

  // Columns of fewer than four inputs, reading nothing else.
  template <int kInputs>
  static DGC_INLINE void load_rest(const TileJob& job, const float* from, float32x4_t (&inputs)[kColumns]) {
    DGC_UNROLL for (int column = 0; column < kColumns; column++, from += job.input_pixel_stride) {
      const bool outside = column < job.column_begin || column >= job.column_end;
      inputs[column] = outside ? vdupq_n_f32(0.0f) : (float32x4_t)load_partial(from, kInputs);
    }
  }

  template <int kVectors>
  static DGC_INLINE void store_exactly(const TileJob& job, int32_t lanes, const BlockCursor& at,
                                       const float32x4_t (&sums)[kVectors][kPixels]) {
    float32x4_t kept[kPixels][kVectors];
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) kept[pixel][v] = sums[v][pixel];
    }
    asm("" : "+m"(kept));  // not in registers: a loop
    DGC_ROLLED for (int pixel = job.pixel_begin; pixel < job.pixel_end; pixel++) {
      DGC_ROLLED for (int v = 0; v * 4 < lanes; v++) {
        const int32_t count = lanes - v * 4 < 4 ? lanes - v * 4 : 4;
        V sum = (V)kept[pixel][v];
        if (at.residual) sum = sum + load_partial(at.residual + pixel * job.residual_pixel_stride + v * 4, count);
        sum = at_most(at_least(sum, splat(job.low)), splat(job.high));
        store_partial(at.output + pixel * job.output_pixel_stride + v * 4, sum, count);
      }
    }
  }
};

#endif

}  // namespace
}  // namespace dgc
