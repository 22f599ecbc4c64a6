// 1x1 convolution for WebAssembly: products with the matrix of each group, inputs straight from NHWC.
#pragma once

#include "conv_reference.h"

namespace dgc {
namespace {

#if defined(__wasm__) && DGC_LANES == 4

// Tiles of kRows pixels by kVectors vectors: all tiles of a chunk of pixels for one panel of weights after the other.
template <int kVectors>
struct PointTiles {
  struct Job {
    const float* input;  // of the chunk's first pixel and the first panel's group
    int32_t input_pixel_stride;
    int32_t inputs;  // of a group
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

  template <int kRows>
  static DGC_NOINLINE void run(const Job& shared) {
    const Job job = shared;  // the compiler thinks that stores may change one that is shared
    const float* weights = job.weights;
    const float* bias = job.bias;
    int64_t channel = 0, group = 0;
    int32_t pixel = 0, left_of_group = job.panels_of_group;
    // One loop over panels and tiles: engines unroll deeper nests until the sums no longer fit in registers.
    DGC_ROLLED for (int32_t left = job.panels; left > 0;) {
      run_tile<kRows>(job, job.input + group + pixel * job.input_pixel_stride, weights, bias,
                      job.residual ? job.residual + channel + pixel * job.residual_pixel_stride : nullptr,
                      job.output + channel + pixel * job.output_pixel_stride);
      const bool is_last = pixel + kRows == job.pixels;
      pixel = is_last ? 0 : pixel + kRows;
      weights += is_last ? job.inputs * kVectors * kLanes : 0;
      bias += is_last ? kVectors * kLanes : 0;
      channel += is_last ? kVectors * kLanes : 0;
      left -= is_last;
      left_of_group -= is_last;
      group += left_of_group == 0 ? job.inputs : 0;
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
        input += job.input_pixel_stride;
        output += job.output_pixel_stride;
      }
    }
  }

 private:
  template <int kRows>
  static DGC_INLINE void run_tile(const Job& job, const float* input, const float* weights, const float* bias,
                                  const float* residual, float* output) {
    V sums[kRows][kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) {
      const V first = load(bias + v * kLanes);
      DGC_UNROLL for (int row = 0; row < kRows; row++) sums[row][v] = first;
    }
    const float* x[kRows];
    DGC_UNROLL for (int row = 0; row < kRows; row++) x[row] = input + row * job.input_pixel_stride;
    int32_t left = job.inputs;
    DGC_ROLLED for (; left > 0; left--) {
      step<kRows>(x, 0, weights, sums);
      DGC_UNROLL for (int row = 0; row < kRows; row++) x[row]++;
      weights += kVectors * kLanes;
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

  template <int kRows>
  static DGC_INLINE void step(const float* const (&x)[kRows], int k, const float* weights, V (&sums)[kRows][kVectors]) {
    V w[kVectors];
    DGC_UNROLL for (int v = 0; v < kVectors; v++) w[v] = load(weights + v * kLanes);
    DGC_UNROLL for (int row = 0; row < kRows; row++) {
      const V input = splat(x[row][k]);
      DGC_UNROLL for (int v = 0; v < kVectors; v++) sums[row][v] = multiply_add(input, w[v], sums[row][v]);
    }
  }
};

// Packed: weights [panel][input][vector][lane], bias. Work item: a chunk of pixels, for all channels.
template <int kVectors>
struct PointConv {
  using Tiles = PointTiles<kVectors>;
  static constexpr int32_t kPanel = kVectors * kLanes;
  static constexpr int32_t kRows = 4, kChunk = 16 * kRows;

  static bool supports(const ConvDesc& d) {
    return d.kernel_height == 1 && d.kernel_width == 1 && d.stride_height == 1 && d.stride_width == 1 && d.pad_top == 0 &&
           d.pad_left == 0 && d.output_height == d.input_height && d.output_width == d.input_width &&
           d.pre == PreKind::kNone && !d.input_index && d.output_channels / d.groups % kPanel == 0;
  }

  static size_t packed_bytes(const ConvDesc& d) {
    return (size_t)(d.output_channels * ((int64_t)d.group_inputs + 1)) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t first = 0; first < d.output_channels; first += kPanel) {
      for (int32_t i = 0; i < d.group_inputs; i++) {
        for (int32_t lane = 0; lane < kPanel; lane++) *to++ = weights.kernel[(int64_t)(first + lane) * d.group_inputs + i];
      }
    }
    for (int32_t o = 0; o < d.output_channels; o++) *to++ = weights.bias ? weights.bias[o] : 0.0f;
  }

  static size_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) { return (pixels(d) + kChunk - 1) / kChunk; }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    const Clamp clamp = clamp_of(d.activation);
    typename Tiles::Job job;
    job.input_pixel_stride = (int32_t)d.input_pixel_stride;
    job.inputs = d.group_inputs;
    job.weights = (const float*)args.packed;
    job.bias = job.weights + (int64_t)d.output_channels * d.group_inputs;
    job.panels = d.output_channels / kPanel;
    job.panels_of_group = job.panels / d.groups;
    job.residual_pixel_stride = (int32_t)d.residual_pixel_stride;
    job.output_pixel_stride = (int32_t)d.output_pixel_stride;
    job.low = clamp.low;
    job.high = clamp.high;
    for (int64_t item = begin; item < end; item++) {
      const int64_t first = item * kChunk, left = pixels(d) - first;
      const int32_t count = left < kChunk ? (int32_t)left : kChunk;
      if (kVectors == 1 && d.group_inputs == 4 && d.output_channels == 4 * d.groups) {
        // Few pixels at a time: they are as many streams of memory.
        for (int32_t pixel = 0; pixel < count; pixel += job.pixels) {
          place(d, args, first + pixel, job);
          job.pixels = count - pixel < 8 ? count - pixel : 8;
          Tiles::run_fours(job);
        }
      } else {
        place(d, args, first, job);
        job.pixels = count / kRows * kRows;
        if (job.pixels > 0) Tiles::template run<kRows>(job);
        place(d, args, first + job.pixels, job);
        job.pixels = count % kRows;
        if (job.pixels > 0) Tiles::template run<1>(job);
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

  static void place(const ConvDesc& d, const ConvArgs& args, int64_t pixel, typename Tiles::Job& job) {
    job.input = args.input + pixel * d.input_pixel_stride;
    job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride : nullptr;
    job.output = args.output + pixel * d.output_pixel_stride;
  }
};

#endif

}  // namespace
}  // namespace dgc
