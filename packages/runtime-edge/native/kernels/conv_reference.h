// Convolutions as their definition says, for any shape: the reference of the tests, the last candidate of every registry,
// and all that the scalar instruction set has. Work item: one output row of one image.
#pragma once

#include "activation.h"

namespace dgc {
namespace {

// By vectors: most runs are too short for a call of memcpy, which compilers make out of a plain loop.
inline void copy_floats(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  DGC_ROLLED for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  DGC_ROLLED for (; i < count; i++) to[i] = from[i];
}

inline void fill_floats(float* to, float value, int64_t count) {
  const V filled = splat(value);
  int64_t i = 0;
  DGC_ROLLED for (; i + kLanes <= count; i += kLanes) store(to + i, filled);
  DGC_ROLLED for (; i < count; i++) to[i] = value;
}

inline int64_t kernel_floats(const ConvDesc& d) {
  return (int64_t)d.output_channels * d.group_inputs * d.kernel_height * d.kernel_width;
}

// Packed: the canonical kernel, bias (zeros if absent), pre scale, pre shift.
struct ConvReference {
  static bool supports(const ConvDesc&) { return true; }

  static uint64_t packed_bytes(const ConvDesc& d) {
    const int64_t pre = d.pre == PreKind::kNone ? 0 : 2 * (int64_t)d.input_channels;
    return (uint64_t)(kernel_floats(d) + d.output_channels + pre) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    copy_floats(to, weights.kernel, kernel_floats(d));
    to += kernel_floats(d);
    if (weights.bias) copy_floats(to, weights.bias, d.output_channels);
    else fill_floats(to, 0.0f, d.output_channels);
    to += d.output_channels;
    if (d.pre == PreKind::kNone) return;
    copy_floats(to, weights.pre_scale, d.input_channels);
    copy_floats(to + d.input_channels, weights.pre_shift, d.input_channels);
  }

  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }
  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * d.output_height; }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) {
      for (int32_t x = 0; x < d.output_width; x++) {
        const int64_t pixel = item * d.output_width + x;
        float* to = args.output + pixel * d.output_pixel_stride;
        const float* residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride : nullptr;
        write_pixel(d, args, item / d.output_height, (int32_t)(item % d.output_height), x, residual, to);
        activate_row(d.activation, to, to, d.output_channels);
      }
    }
  }

  static void write_pixel(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t y, int32_t x,
                          const float* residual, float* to) {
    const float* kernel = (const float*)args.packed;
    const float* bias = kernel + kernel_floats(d);
    const float* pre_scale = bias + d.output_channels;
    const float* pre_shift = pre_scale + d.input_channels;
    const int32_t taps = d.kernel_height * d.kernel_width;
    const int32_t group_outputs = d.output_channels / d.groups;
    for (int32_t o = 0; o < d.output_channels; o++) {
      const int32_t first = o / group_outputs * d.group_inputs;
      const float* row = kernel + (int64_t)o * d.group_inputs * taps;
      float sum = bias[o];
      for (int32_t ky = 0; ky < d.kernel_height; ky++) {
        const int32_t iy = y * d.stride_height - d.pad_top + ky * d.dilation_height;
        if (iy < 0 || iy >= d.input_height) continue;
        for (int32_t kx = 0; kx < d.kernel_width; kx++) {
          const int32_t ix = x * d.stride_width - d.pad_left + kx * d.dilation_width;
          if (ix < 0 || ix >= d.input_width) continue;
          const float* from =
              args.input + ((image * d.input_height + iy) * d.input_width + ix) * d.input_pixel_stride;
          for (int32_t i = 0; i < d.group_inputs; i++) {
            const int32_t c = d.input_index ? d.input_index[first + i] : first + i;
            float value = from[c];
            if (d.pre == PreKind::kAffineRelu) {
              value = value * pre_scale[c] + pre_shift[c];
              value = value < 0.0f ? 0.0f : value;
            }
            sum += value * row[i * taps + ky * d.kernel_width + kx];
          }
        }
      }
      to[o] = residual ? sum + residual[o] : sum;
    }
  }
};

// Kernel [C_in, C_out / groups, kh, kw]. Packed as above, without pre.
struct ConvTransposeReference {
  static bool supports(const ConvDesc&) { return true; }

  static int64_t weight_floats(const ConvDesc& d) {
    return (int64_t)d.input_channels * (d.output_channels / d.groups) * d.kernel_height * d.kernel_width;
  }

  static uint64_t packed_bytes(const ConvDesc& d) { return (uint64_t)(weight_floats(d) + d.output_channels) * sizeof(float); }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    copy_floats(to, weights.kernel, weight_floats(d));
    to += weight_floats(d);
    if (weights.bias) copy_floats(to, weights.bias, d.output_channels);
    else fill_floats(to, 0.0f, d.output_channels);
  }

  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }
  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * d.output_height; }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    for (int64_t item = begin; item < end; item++) {
      for (int32_t x = 0; x < d.output_width; x++) {
        const int64_t pixel = item * d.output_width + x;
        float* to = args.output + pixel * d.output_pixel_stride;
        const float* residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride : nullptr;
        write_pixel(d, args, item / d.output_height, (int32_t)(item % d.output_height), x, residual, to);
        activate_row(d.activation, to, to, d.output_channels);
      }
    }
  }

  static void write_pixel(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t y, int32_t x,
                          const float* residual, float* to) {
    const float* kernel = (const float*)args.packed;
    const float* bias = kernel + weight_floats(d);
    const int32_t taps = d.kernel_height * d.kernel_width;
    const int32_t group_outputs = d.output_channels / d.groups;
    for (int32_t o = 0; o < d.output_channels; o++) {
      const int32_t first = o / group_outputs * d.group_inputs;
      float sum = bias[o];
      for (int32_t ky = 0; ky < d.kernel_height; ky++) {
        const int32_t sy = y + d.pad_top - ky * d.dilation_height;
        if (sy < 0 || sy % d.stride_height != 0 || sy / d.stride_height >= d.input_height) continue;
        for (int32_t kx = 0; kx < d.kernel_width; kx++) {
          const int32_t sx = x + d.pad_left - kx * d.dilation_width;
          if (sx < 0 || sx % d.stride_width != 0 || sx / d.stride_width >= d.input_width) continue;
          const int64_t pixel = (image * d.input_height + sy / d.stride_height) * d.input_width + sx / d.stride_width;
          const float* from = args.input + pixel * d.input_pixel_stride + first;
          for (int32_t i = 0; i < d.group_inputs; i++) {
            const float* row = kernel + ((int64_t)(first + i) * group_outputs + o % group_outputs) * taps;
            sum += from[i] * row[ky * d.kernel_width + kx];
          }
        }
      }
      to[o] = residual ? sum + residual[o] : sum;
    }
  }
};

}  // namespace
}  // namespace dgc
