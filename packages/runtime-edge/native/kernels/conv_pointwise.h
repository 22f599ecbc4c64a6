// 1x1 convolution in groups of one, two or four on NEON: the weights of two vectors of channels stay in registers while pixels pass.
#pragma once

#include "neon_tile.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_neon

// Packed, for each block of eight channels: weights [step][vector][lane], bias [vector][lane]. With four channels a group step
// j multiplies lane j of the inputs; with fewer, lane o reads input lane o ^ j. Channels that are no multiple of eight end in a
// block that overlaps the one before. Work item: a run of pixels.
template <int kGroup>
struct PointwiseConv {
  static constexpr int kBlock = 2 * kLanes, kPixels = 4;

  static bool supports(const ConvDesc& d) {
    return d.kernel_height == 1 && d.kernel_width == 1 && d.stride_height == 1 && d.stride_width == 1 && d.pad_top == 0 &&
           d.pad_left == 0 && d.output_height == d.input_height && d.output_width == d.input_width &&
           d.pre == PreKind::kNone && !d.input_index && d.group_inputs == kGroup &&
           d.output_channels == kGroup * d.groups && d.output_channels >= kBlock;
  }

  static uint64_t packed_bytes(const ConvDesc& d) { return (uint64_t)(blocks(d) * kFloats) * sizeof(float); }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t block = 0; block < blocks(d); block++) {
      const int32_t first = first_channel(d, block);
      for (int step = 0; step < kGroup; step++) {
        for (int lane = 0; lane < kBlock; lane++) {
          const int64_t o = first + lane;
          *to++ = weights.kernel[o * kGroup + (kGroup == 2 ? o % 2 ^ step : step)];
        }
      }
      for (int lane = 0; lane < kBlock; lane++) *to++ = weights.bias ? weights.bias[first + lane] : 0.0f;
    }
  }

  static uint64_t scratch_bytes(const ConvDesc&) { return 0; }

  static int64_t work_items(const ConvDesc& d) { return (pixels(d) + run_of_pixels(d) - 1) / run_of_pixels(d); }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void*) {
    const Clamp clamp = clamp_of(d.activation);
    for (int64_t item = begin; item < end; item++) {
      const int64_t first = item * run_of_pixels(d);
      const int64_t left = pixels(d) - first;
      const int64_t count = left < run_of_pixels(d) ? left : run_of_pixels(d);
      for (int32_t block = 0; block < blocks(d); block++) run_block(d, args, clamp, block, first, count);
      if (clamp.complete) continue;
      for (int64_t pixel = first; pixel < first + count; pixel++) {
        float* at = args.output + pixel * d.output_pixel_stride;
        activate_row(d.activation, at, at, d.output_channels);
      }
    }
  }

 private:
  static constexpr int64_t kFloats = (kGroup + 1) * kBlock;  // of a block

  static int32_t blocks(const ConvDesc& d) { return (d.output_channels + kBlock - 1) / kBlock; }
  static int32_t first_channel(const ConvDesc& d, int32_t block) {
    const int32_t first = block * kBlock;
    return first + kBlock <= d.output_channels ? first : d.output_channels - kBlock;
  }
  static int64_t pixels(const ConvDesc& d) { return (int64_t)d.batch * d.output_height * d.output_width; }

  // Long runs, so that loading the weights costs little, but eight of them where there are pixels enough.
  static int64_t run_of_pixels(const ConvDesc& d) {
    const int64_t share = pixels(d) / 8 / kPixels * kPixels;
    return share < 2 * kPixels ? 2 * kPixels : share > 64 ? 64 : share;
  }

  struct Block {
    float32x4_t weights[kGroup][2];
    const float* bias;
    int64_t input_stride, residual_stride, output_stride;
    float32x4_t low, high;
    int limited;
    int lane_begin;  // lanes below were stored by the block before
  };

  static DGC_NOINLINE void run_block(const ConvDesc& d, const ConvArgs& args, const Clamp& clamp, int32_t index, int64_t first,
                                     int64_t count) {
    const float* packed = (const float*)args.packed + index * kFloats;
    Block block;
    DGC_UNROLL for (int step = 0; step < kGroup; step++) {
      block.weights[step][0] = vld1q_f32(packed + step * kBlock);
      block.weights[step][1] = vld1q_f32(packed + step * kBlock + kLanes);
    }
    block.bias = packed + kGroup * kBlock;
    block.input_stride = d.input_pixel_stride;
    block.residual_stride = d.residual_pixel_stride;
    block.output_stride = d.output_pixel_stride;
    block.low = vdupq_n_f32(clamp.low);
    block.high = vdupq_n_f32(clamp.high);
    block.limited = clamp.high < __builtin_inff();
    const int32_t channel = first_channel(d, index);
    block.lane_begin = index * kBlock - channel;
    const float* x = args.input + first * d.input_pixel_stride + channel;
    const float* residual = d.has_residual ? args.residual + first * d.residual_pixel_stride + channel : nullptr;
    float* to = args.output + first * d.output_pixel_stride + channel;
    if (block.lane_begin > 0) {
      DGC_ROLLED for (int64_t left = count; left > 0; left--) tile<1, true>(block, x, residual, to);
      return;
    }
    DGC_ROLLED for (; count >= kPixels; count -= kPixels) tile<kPixels, false>(block, x, residual, to);
    DGC_ROLLED for (; count > 0; count--) tile<1, false>(block, x, residual, to);
  }

  template <int kCount, bool kOverlaps>
  static DGC_INLINE void tile(const Block& block, const float*& x, const float*& residual, float*& to) {
    float32x4x2_t inputs[kCount];
    float32x4_t sums[2][kCount];
    DGC_UNROLL for (int pixel = 0; pixel < kCount; pixel++) inputs[pixel] = load_two_and_advance(x, block.input_stride);
    start_sums(block.bias, sums);
    DGC_UNROLL for (int step = 0; step < kGroup; step++) {
      DGC_UNROLL for (int pixel = 0; pixel < kCount; pixel++) {
        DGC_UNROLL for (int v = 0; v < 2; v++) {
          sums[v][pixel] = multiply(sums[v][pixel], block.weights[step][v], inputs[pixel].val[v], step);
        }
      }
    }
    if (residual) {
      DGC_UNROLL for (int pixel = 0; pixel < kCount; pixel++) {
        const float32x4x2_t more = load_two_and_advance(residual, block.residual_stride);
        DGC_UNROLL for (int v = 0; v < 2; v++) sums[v][pixel] = vaddq_f32(sums[v][pixel], more.val[v]);
      }
    }
    if (block.limited) {
      DGC_UNROLL for (int pixel = 0; pixel < kCount; pixel++) {
        DGC_UNROLL for (int v = 0; v < 2; v++) sums[v][pixel] = vminq_f32(sums[v][pixel], block.high);
      }
    }
    DGC_UNROLL for (int pixel = 0; pixel < kCount; pixel++) {
      const float32x4_t a = vmaxq_f32(sums[0][pixel], block.low), b = vmaxq_f32(sums[1][pixel], block.low);
      if (kOverlaps) {
        float lanes[kBlock];
        vst1q_f32(lanes, a);
        vst1q_f32(lanes + kLanes, b);
        for (int lane = block.lane_begin; lane < kBlock; lane++) to[lane] = lanes[lane];
        to += block.output_stride;
      } else {
        store_and_advance(to, block.output_stride * 4, a, b);
      }
    }
  }

  static DGC_INLINE float32x4_t multiply(float32x4_t sum, float32x4_t w, float32x4_t x, int step) {
    if (kGroup <= 2) return vfmaq_f32(sum, w, step == 0 ? x : vrev64q_f32(x));
    switch (step) {
      case 0:
        return vfmaq_laneq_f32(sum, w, x, 0);
      case 1:
        return vfmaq_laneq_f32(sum, w, x, 1);
      case 2:
        return vfmaq_laneq_f32(sum, w, x, 2);
      default:
        return vfmaq_laneq_f32(sum, w, x, 3);
    }
  }
};

#endif

}  // namespace
}  // namespace dgc
