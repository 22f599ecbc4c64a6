// Transposed convolution as matrix products. Output pixels that agree on (position + padding) modulo the strides, a phase,
// read the same taps: each phase is an ordinary product over those taps only, and no zeros are multiplied.
#pragma once

#include "conv_reference.h"
#include "gemm_tile.h"

namespace dgc {
namespace {

// Packed: [phase y][phase x][group][panel][tap y][tap x][i][lane], then the bias [group][vectors * kLanes]. Work item: some
// output rows of one image, all phases of x, one group.
struct ConvTransposePhases {
  static bool supports(const ConvDesc&) { return true; }

  static uint64_t packed_bytes(const ConvDesc& d) {
    return (uint64_t)(d.groups * lanes(d) * ((int64_t)d.kernel_height * d.kernel_width * d.group_inputs + 1)) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t py = 0; py < d.stride_height; py++) {
      for (int32_t px = 0; px < d.stride_width; px++) {
        for (int32_t g = 0; g < d.groups; g++) to = pack_group(d, weights.kernel, py, px, g, to);
      }
    }
    for (int32_t g = 0; g < d.groups; g++) {
      for (int32_t o = 0; o < lanes(d); o++) {
        *to++ = o < outputs(d) && weights.bias ? weights.bias[(int64_t)g * outputs(d) + o] : 0.0f;
      }
    }
  }

  static uint64_t scratch_bytes(const ConvDesc& d) {
    const int64_t taps = (int64_t)d.kernel_height * d.kernel_width;  // of a phase, at most
    return (uint64_t)(kGemmRows * (taps * d.group_inputs + lanes(d))) * sizeof(float);
  }

  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * d.output_height * d.groups; }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void* scratch) {
    for (int64_t item = begin; item < end; item++) {
      const int32_t g = (int32_t)(item % d.groups);
      const int32_t y = (int32_t)(item / d.groups % d.output_height);
      const int64_t image = item / d.groups / d.output_height;
      for (int32_t px = 0; px < d.stride_width; px++) run_row(d, args, image, y, px, g, (float*)scratch);
    }
  }

 private:
  static int32_t outputs(const ConvDesc& d) { return d.output_channels / d.groups; }
  static int32_t lanes(const ConvDesc& d) { return (outputs(d) + kLanes - 1) / kLanes * kLanes; }

  static bool in_phase(int32_t k, int32_t dilation, int32_t stride, int32_t phase) { return k * dilation % stride == phase; }

  static int64_t taps_in_phase(int32_t kernel, int32_t dilation, int32_t stride, int32_t phase) {
    int64_t count = 0;
    for (int32_t k = 0; k < kernel; k++) count += in_phase(k, dilation, stride, phase);
    return count;
  }

  // Kernel [C_in, C_out / groups, kh, kw].
  static float* pack_group(const ConvDesc& d, const float* kernel, int32_t py, int32_t px, int32_t g, float* to) {
    const int32_t taps = d.kernel_height * d.kernel_width;
    for (int32_t first = 0; first < lanes(d); first += kGemmVectors * kLanes) {
      const int32_t width = lanes(d) - first < kGemmVectors * kLanes ? lanes(d) - first : kGemmVectors * kLanes;
      for (int32_t ky = 0; ky < d.kernel_height; ky++) {
        if (!in_phase(ky, d.dilation_height, d.stride_height, py)) continue;
        for (int32_t kx = 0; kx < d.kernel_width; kx++) {
          if (!in_phase(kx, d.dilation_width, d.stride_width, px)) continue;
          for (int32_t i = 0; i < d.group_inputs; i++) {
            const float* from = kernel + ((int64_t)g * d.group_inputs + i) * outputs(d) * taps + ky * d.kernel_width + kx;
            for (int32_t lane = 0; lane < width; lane++) {
              *to++ = first + lane < outputs(d) ? from[(int64_t)(first + lane) * taps] : 0.0f;
            }
          }
        }
      }
    }
    return to;
  }

  // The output pixels of phase px in one row.
  static void run_row(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t y, int32_t px, int32_t g, float* scratch) {
    const int32_t py = (y + d.pad_top) % d.stride_height;
    const int64_t rows = taps_in_phase(d.kernel_height, d.dilation_height, d.stride_height, py);
    const int64_t columns = taps_in_phase(d.kernel_width, d.dilation_width, d.stride_width, px);
    const int64_t depth = rows * columns * d.group_inputs;
    const float* packed = (const float*)args.packed;
    const float* panels = packed + phase_offset(d, py, px) + (int64_t)g * lanes(d) * depth;
    const float* bias = packed + (int64_t)d.groups * lanes(d) * d.kernel_height * d.kernel_width * d.group_inputs + g * lanes(d);
    float* sums = scratch + kGemmRows * depth;
    // The first x with (x + pad_left) % stride == px.
    const int32_t first = ((px - d.pad_left) % d.stride_width + d.stride_width) % d.stride_width;
    for (int32_t x = first; x < d.output_width; x += kGemmRows * d.stride_width) {
      const int32_t left = (d.output_width - x + d.stride_width - 1) / d.stride_width;
      const int32_t count = left < kGemmRows ? left : kGemmRows;
      for (int32_t m = 0; m < count; m++) stage_pixel(d, args.input, image, y, x + m * d.stride_width, px, g, scratch + m * depth);
      multiply(d, scratch, panels, bias, depth, count, sums);
      for (int32_t m = 0; m < count; m++) {
        const int64_t pixel = (image * d.output_height + y) * d.output_width + x + m * d.stride_width;
        write_pixel(d, args, pixel, g, sums + (int64_t)m * lanes(d));
      }
    }
  }

  static int64_t phase_offset(const ConvDesc& d, int32_t py, int32_t px) {
    int64_t taps = 0;
    for (int32_t y = 0; y < d.stride_height; y++) {
      for (int32_t x = 0; x < d.stride_width; x++) {
        if (y == py && x == px) return taps * d.groups * d.group_inputs * lanes(d);
        taps += taps_in_phase(d.kernel_height, d.dilation_height, d.stride_height, y) *
                taps_in_phase(d.kernel_width, d.dilation_width, d.stride_width, x);
      }
    }
    return 0;
  }

  static void stage_pixel(const ConvDesc& d, const float* input, int64_t image, int32_t y, int32_t x, int32_t px, int32_t g,
                          float* to) {
    const int32_t py = (y + d.pad_top) % d.stride_height;
    for (int32_t ky = 0; ky < d.kernel_height; ky++) {
      if (!in_phase(ky, d.dilation_height, d.stride_height, py)) continue;
      const int32_t sy = y + d.pad_top - ky * d.dilation_height;
      for (int32_t kx = 0; kx < d.kernel_width; kx++) {
        if (!in_phase(kx, d.dilation_width, d.stride_width, px)) continue;
        const int32_t sx = x + d.pad_left - kx * d.dilation_width;
        const int32_t iy = sy / d.stride_height, ix = sx / d.stride_width;
        if (sy < 0 || sx < 0 || iy >= d.input_height || ix >= d.input_width) {
          fill_floats(to, 0.0f, d.group_inputs);
        } else {
          const int64_t pixel = (image * d.input_height + iy) * d.input_width + ix;
          copy_floats(to, input + pixel * d.input_pixel_stride + (int64_t)g * d.group_inputs, d.group_inputs);
        }
        to += d.group_inputs;
      }
    }
  }

  // sums[m][lane] = bias + a[m] * panels; rows of `a` behind `count` are computed and never read.
  static void multiply(const ConvDesc& d, const float* a, const float* panels, const float* bias, int64_t depth, int32_t count,
                       float* sums) {
    GemmJob job = {};
    job.depth = depth;
    job.a_stride = depth;
    job.output_stride = lanes(d);
    job.last_lanes = kLanes;
    job.low = -__builtin_inff();
    job.high = __builtin_inff();
    const int32_t vectors = lanes(d) / kLanes;
    for (int32_t v = 0; v < vectors; v += kGemmVectors) {
      const int32_t width = vectors - v < kGemmVectors ? vectors - v : kGemmVectors;
      job.b = panels + (int64_t)v * kLanes * depth;
      job.bias = bias + v * kLanes;
      job.a = a;
      job.output = sums + v * kLanes;
      run_gemm_tile(job, width, count == 1 ? 1 : kGemmRows);
    }
  }

  static void write_pixel(const ConvDesc& d, const ConvArgs& args, int64_t pixel, int32_t g, const float* sums) {
    const int64_t channel = (int64_t)g * outputs(d);
    float* to = args.output + pixel * d.output_pixel_stride + channel;
    const float* residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
    for (int32_t o = 0; o < outputs(d); o++) to[o] = residual ? sums[o] + residual[o] : sums[o];
    activate_row(d.activation, to, to, outputs(d));
  }
};

}  // namespace
}  // namespace dgc
