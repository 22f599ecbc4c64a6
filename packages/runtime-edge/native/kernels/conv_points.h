// Convolution for WebAssembly as products with the matrix of each group. Where few outputs need them, the inputs of 1x1 kernels
// are read straight from NHWC; where many do, those of four pixels, all taps of any kernel, are brought together first, so that
// one pointer reaches them all.
#pragma once

#include "conv_dense.h"

namespace dgc {
namespace {

#if defined(__wasm__) && DGC_LANES == 4

// Tiles of kRows pixels by kVectors vectors: all tiles of a chunk of pixels for one panel of weights after the other.
template <int kVectors>
struct PointTiles {
  struct Job {
    const float* input;   // of the chunk's first pixel and the first panel's group
    int32_t pixel_step;   // floats from a pixel's inputs to the next one's; of a tile's four together: a quarter
    int32_t group_step;   // floats from a group's inputs to the next one's
    int32_t inputs;       // of a group, for all taps
    const float* weights;  // [panel][input][vector][lane]
    const float* bias;
    int32_t panels, panels_of_group;
    int32_t pixels;  // a multiple of a tile's
    const float* residual;  // null: none
    int32_t residual_pixel_stride;
    float* output;
    int32_t output_pixel_stride;
    float low, high;
  };

  // kTogether: the inputs are [group][tile][input][row].
  template <int kRows, bool kTogether>
  static DGC_NOINLINE void run(const Job& shared) {
    const Job job = shared;  // the compiler thinks that stores may change one that is shared
    const float* weights = job.weights;
    const float* bias = job.bias;
    int64_t channel = 0, group = 0;
    int32_t pixel = 0, left_of_group = job.panels_of_group;
    // One loop over panels and tiles: engines unroll deeper nests until the sums no longer fit in registers.
    DGC_ROLLED for (int32_t left = job.panels; left > 0;) {
      run_tile<kRows, kTogether>(job, job.input + group + pixel * job.pixel_step, weights, bias,
                      job.residual ? job.residual + channel + pixel * job.residual_pixel_stride : nullptr,
                      job.output + channel + pixel * job.output_pixel_stride);
      const bool is_last = pixel + kRows == job.pixels;
      pixel = is_last ? 0 : pixel + kRows;
      weights += is_last ? job.inputs * kVectors * kLanes : 0;
      bias += is_last ? kVectors * kLanes : 0;
      channel += is_last ? kVectors * kLanes : 0;
      left -= is_last;
      left_of_group -= is_last;
      group += left_of_group == 0 ? job.group_step : 0;
      left_of_group = left_of_group == 0 ? job.panels_of_group : left_of_group;
    }
  }

  // Four inputs and outputs a group: their weights stay in registers for all pixels.
  static DGC_NOINLINE void run_fours(const Job& shared) {
    const Job job = shared;
    const V low = splat(job.low), high = splat(job.high);
    DGC_ROLLED for (int32_t channel = 0; channel < job.panels * kLanes; channel += kLanes) {
      const float* weights = job.weights + channel * 4;
      const V first = load(job.bias + channel);
      const V w0 = load(weights), w1 = load(weights + kLanes), w2 = load(weights + 2 * kLanes), w3 = load(weights + 3 * kLanes);
      const float* input = job.input + channel;
      const float* residual = job.residual ? job.residual + channel : nullptr;
      float* output = job.output + channel;
      DGC_ROLLED for (int32_t left = job.pixels; left > 0; left--) {
        V sum = multiply_add(splat(input[0]), w0, first);
        sum = multiply_add(splat(input[1]), w1, sum);
        sum = multiply_add(splat(input[2]), w2, sum);
        sum = multiply_add(splat(input[3]), w3, sum);
        if (residual) {
          sum = sum + load(residual);
          residual += job.residual_pixel_stride;
        }
        store(output, at_most(at_least(sum, low), high));
        input += job.pixel_step;
        output += job.output_pixel_stride;
      }
    }
  }

 private:
  template <int kRows, bool kTogether>
  static DGC_INLINE void run_tile(const Job& job, const float* input, const float* weights, const float* bias,
                                  const float* residual, float* output) {
    V sums[kRows][kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const V first = load(bias + v * kLanes);
      DGC_UNROLL for (int row = 0; row < kRows; row++) sums[row][v] = first;
    }
    const float* end = weights + job.inputs * (kVectors * kLanes);
    if constexpr (kTogether) {
      DGC_ROLLED while (weights != end) {
        step<kRows>([&](int row) { return input[row]; }, weights, sums);
        input += kRows;
        weights += kVectors * kLanes;
      }
    } else {
      const float* x[kRows];
      DGC_UNROLL for (int row = 0; row < kRows; row++) x[row] = input + row * job.pixel_step;
      DGC_ROLLED while (weights != end) {
        step<kRows>([&](int row) { return *x[row]; }, weights, sums);
        DGC_UNROLL for (int row = 0; row < kRows; row++) x[row]++;
        weights += kVectors * kLanes;
      }
    }
    if (residual) {
      DGC_UNROLL for (int row = 0; row < kRows; row++) {
        DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[row][v] = sums[row][v] + load(residual + v * kLanes);
        residual += job.residual_pixel_stride;
      }
    }
    const V low = splat(job.low), high = splat(job.high);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      DGC_UNROLL for (int v = 0; v < kVectors; v++) store(output + v * kLanes, at_most(at_least(sums[row][v], low), high));
      output += job.output_pixel_stride;
    }
  }

  template <int kRows, typename Input>
  static DGC_INLINE void step(const Input& input_of, const float* weights, V (&sums)[kRows][kVectors]) {
    V w[kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) w[v] = load(weights + v * kLanes);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      const V input = splat(input_of(row));
      DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[row][v] = multiply_add(input, w[v], sums[row][v]);
    }
  }
};

// Packed: weights [panel][ky][kx][input][vector][lane], bias, and, with a pre-activation, scale and shift of the inputs of each
// group [group][input]. Work item: a chunk of pixels, for all channels.
template <int kVectors>
struct PointConv {
  using Tiles = PointTiles<kVectors>;
  static constexpr int32_t kPanel = kVectors * kLanes;
  static constexpr int32_t kRows = 4, kMostPixels = 16 * kRows;

  static bool supports(const ConvDesc& d) {
    const int32_t outputs = d.output_channels / d.groups;
    if (outputs % kPanel != 0) return false;
    // Many outputs that fill no panel of two vectors are faster as the dense kernel has them: with the rest of a panel.
    return brings_together(d) || (outputs < kFewestOutputs && lies_in_place(d) && is_whole(d));
  }

  static uint64_t packed_bytes(const ConvDesc& d) {
    const int64_t pre = d.pre == PreKind::kNone ? 0 : 2 * (int64_t)d.groups * d.group_inputs;
    return (uint64_t)(d.output_channels * (depth(d) + 1) + pre) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    const int32_t taps = d.kernel_height * d.kernel_width;
    for (int32_t first = 0; first < d.output_channels; first += kPanel) {
      for (int32_t tap = 0; tap < taps; tap++) {
        for (int32_t i = 0; i < d.group_inputs; i++) {
          for (int32_t o = first; o < first + kPanel; o++) *to++ = weights.kernel[((int64_t)o * d.group_inputs + i) * taps + tap];
        }
      }
    }
    for (int32_t o = 0; o < d.output_channels; o++) *to++ = weights.bias ? weights.bias[o] : 0.0f;
    if (d.pre == PreKind::kNone) return;
    for (int part = 0; part < 2; part++) {
      const float* from = part == 0 ? weights.pre_scale : weights.pre_shift;
      for (int32_t i = 0; i < d.groups * d.group_inputs; i++) *to++ = from[d.input_index ? d.input_index[i] : i];
    }
  }

  static uint64_t scratch_bytes(const ConvDesc& d) {
    if (!brings_together(d)) return 0;
    return (uint64_t)(chunk(d) * d.groups * depth(d) + rows_floats(d)) * sizeof(float);
  }

  static int64_t work_items(const ConvDesc& d) { return (pixels(d) + chunk(d) - 1) / chunk(d); }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void* scratch) {
    const Clamp clamp = clamp_of(d.activation);
    const int32_t pixels_of_chunk = chunk(d);
    float* rows = (float*)scratch;
    float* together = rows + rows_floats(d);
    typename Tiles::Job job;
    job.inputs = (int32_t)depth(d);
    job.weights = (const float*)args.packed;
    job.bias = job.weights + d.output_channels * depth(d);
    job.panels = d.output_channels / kPanel;
    job.panels_of_group = job.panels / d.groups;
    job.residual_pixel_stride = (int32_t)d.residual_pixel_stride;
    job.output_pixel_stride = (int32_t)d.output_pixel_stride;
    job.low = clamp.low;
    job.high = clamp.high;
    for (int64_t item = begin; item < end; item++) {
      const int64_t first = item * pixels_of_chunk, left = pixels(d) - first;
      const int32_t count = left < pixels_of_chunk ? (int32_t)left : pixels_of_chunk;
      if (kVectors == 1 && d.group_inputs == 4 && d.output_channels == 4 * d.groups) {
        // Few pixels at a time: they are as many streams of memory.
        for (int32_t pixel = 0; pixel < count; pixel += job.pixels) {
          place(d, args, first + pixel, count - pixel < 8 ? count - pixel : 8, job);
          read_in_place(d, args.input, first + pixel, job);
          Tiles::run_fours(job);
        }
      } else {
        const int32_t whole = count / kRows * kRows;
        place(d, args, first, whole, job);
        if (whole > 0 && brings_together(d)) {
          bring_together(d, args, first, whole, rows, together);
          job.input = together;
          job.pixel_step = job.inputs;
          job.group_step = whole * job.inputs;
          Tiles::template run<kRows, true>(job);
        } else if (whole > 0) {
          read_in_place(d, args.input, first, job);
          Tiles::template run<kRows, false>(job);
        }
        for (int32_t pixel = whole; pixel < count; pixel++) {
          place(d, args, first + pixel, 1, job);
          if (lies_in_place(d)) {
            read_in_place(d, args.input, first + pixel, job);
          } else {
            for (int32_t g = 0; g < d.groups; g++) stage_pixel(d, args.input, pre_of(d, args), first + pixel, g, rows + g * depth(d));
            job.input = rows;
            job.group_step = job.inputs;
          }
          Tiles::template run<1, false>(job);
        }
      }
      if (clamp.complete) continue;
      for (int64_t pixel = first; pixel < first + count; pixel++) {
        float* at = args.output + pixel * d.output_pixel_stride;
        activate_row(d.activation, at, at, d.output_channels);
      }
    }
  }

 private:
  static int64_t pixels(const ConvDesc& d) { return (int64_t)d.batch * d.output_height * d.output_width; }
  static int64_t depth(const ConvDesc& d) { return (int64_t)d.kernel_height * d.kernel_width * d.group_inputs; }

  // Whether a pixel's inputs are those of one pixel, as they are.
  static bool lies_in_place(const ConvDesc& d) {
    return d.kernel_height == 1 && d.kernel_width == 1 && d.pad_top == 0 && d.pad_left == 0 && d.pre == PreKind::kNone &&
           !d.input_index && (d.output_height - 1) * d.stride_height < d.input_height &&
           (d.output_width - 1) * d.stride_width < d.input_width;
  }

  // Whether the outputs' pixels follow each other in the input, too.
  static bool is_whole(const ConvDesc& d) {
    return d.output_height == d.input_height && d.output_width == d.input_width && d.stride_height == 1 && d.stride_width == 1;
  }

  static bool brings_together(const ConvDesc& d) { return kVectors == 2 && d.output_channels / d.groups >= kFewestOutputs; }

  // Of a work item, a multiple of a tile's: so many that what is brought together stays in the second-level cache.
  static int32_t chunk(const ConvDesc& d) {
    const int64_t all = d.groups * depth(d), fitting = kChunkFloats / (all > 0 ? all : 1) / kRows * kRows;
    return fitting < kRows ? kRows : fitting < kMostPixels ? (int32_t)fitting : kMostPixels;
  }

  // Of the taps of a tile's pixels for one group, or of one pixel for all groups.
  static int64_t rows_floats(const ConvDesc& d) {
    if (lies_in_place(d)) return 0;
    return depth(d) * (d.groups > kRows ? d.groups : kRows);
  }

  static const float* pre_of(const ConvDesc& d, const ConvArgs& args) {
    return (const float*)args.packed + d.output_channels * (depth(d) + 1);
  }

  static const float* input_of(const ConvDesc& d, const float* input, int64_t pixel) {
    if (is_whole(d)) return input + pixel * d.input_pixel_stride;
    const int64_t x = pixel % d.output_width * d.stride_width;
    const int64_t y = pixel / d.output_width % d.output_height * d.stride_height;
    const int64_t image = pixel / d.output_width / d.output_height;
    return input + ((image * d.input_height + y) * d.input_width + x) * d.input_pixel_stride;
  }

  static void place(const ConvDesc& d, const ConvArgs& args, int64_t pixel, int32_t count, typename Tiles::Job& job) {
    job.pixels = count;
    job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride : nullptr;
    job.output = args.output + pixel * d.output_pixel_stride;
  }

  static void read_in_place(const ConvDesc& d, const float* input, int64_t pixel, typename Tiles::Job& job) {
    job.input = input_of(d, input, pixel);
    job.pixel_step = (int32_t)d.input_pixel_stride;
    job.group_step = d.group_inputs;
  }

  // [group][tile][input][row]
  static void bring_together(const ConvDesc& d, const ConvArgs& args, int64_t first, int32_t count, float* staged, float* to) {
    const int32_t inputs = (int32_t)depth(d);
    const bool in_place = lies_in_place(d);
    for (int32_t pixel = 0; pixel < count; pixel += kRows) {
      for (int32_t g = 0; g < d.groups; g++) {
        const float* rows[kRows];
        for (int32_t row = 0; row < kRows; row++) {
          if (in_place) {
            rows[row] = input_of(d, args.input, first + pixel + row) + g * inputs;
          } else {
            stage_pixel(d, args.input, pre_of(d, args), first + pixel + row, g, staged + row * inputs);
            rows[row] = staged + row * inputs;
          }
        }
        interleave(rows, inputs, to + ((int64_t)g * count + pixel) * inputs);
      }
    }
  }

  static DGC_NOINLINE void interleave(const float* const (&rows)[kRows], int32_t count, float* to) {
    const float *p0 = rows[0], *p1 = rows[1], *p2 = rows[2], *p3 = rows[3];
    DGC_ROLLED for (; count >= 4; count -= 4) {
      const V a = load(p0), b = load(p1), c = load(p2), e = load(p3);
      const V ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ce = __builtin_shufflevector(c, e, 0, 4, 1, 5);
      const V ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7), ce2 = __builtin_shufflevector(c, e, 2, 6, 3, 7);
      store(to, __builtin_shufflevector(ab, ce, 0, 1, 4, 5));
      store(to + 4, __builtin_shufflevector(ab, ce, 2, 3, 6, 7));
      store(to + 8, __builtin_shufflevector(ab2, ce2, 0, 1, 4, 5));
      store(to + 12, __builtin_shufflevector(ab2, ce2, 2, 3, 6, 7));
      p0 += 4;
      p1 += 4;
      p2 += 4;
      p3 += 4;
      to += 16;
    }
    DGC_ROLLED for (; count > 0; count--) {
      to[0] = *p0++;
      to[1] = *p1++;
      to[2] = *p2++;
      to[3] = *p3++;
      to += 4;
    }
  }

  static constexpr int32_t kFewestOutputs = 24;
  static constexpr int64_t kChunkFloats = 131072;
};

#endif

}  // namespace
}  // namespace dgc
