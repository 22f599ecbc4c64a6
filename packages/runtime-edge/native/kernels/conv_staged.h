// Grouped convolution for small groups of any size, with any kernel, stride, dilation, depth multiplier, input index and
// pre-activation. The inputs of a strip are gathered into the order of the output lanes first: the vector of step j holds, for
// every output channel of the block, the j-th input of its group. Padding becomes zeros there, so the products need no cases.
#pragma once

#include "conv_window.h"
#include "gather.h"

namespace dgc {
namespace {

// Packed: weights [block][ky][kx][j][lane], bias [block][lane], and, with a pre-activation, scale and shift
// [block][j][lane] each. Work item: see Strips, with runs of one block.
struct ConvStaged {
#ifdef DGC_ISA_neon
  static constexpr int kPixels = 7;
#else
  static constexpr int kPixels = kLanes == 4 ? 4 : 7;
#endif
  // Outputs of a group up to which gathering lanes beats a matrix product that leaves lanes empty.
  static constexpr int32_t kMostOutputs = kLanes == 16 ? 8 : 7;
  static constexpr int32_t kMostInputs = 16;
  static constexpr int32_t kStripRows = 8;

  // Larger groups fill the lanes of the dense kernel, and a gathered input has to serve more than one tap.
  static bool supports(const ConvDesc& d) {
    const bool reused = d.kernel_height * d.kernel_width > 1 || d.group_inputs == 1;
    return reused && d.output_channels / d.groups <= kMostOutputs && d.group_inputs <= kMostInputs && strip_floats(d) <= 262144;
  }

  static uint64_t packed_bytes(const ConvDesc& d) {
    const int64_t pre = d.pre == PreKind::kNone ? 0 : 2 * (int64_t)d.group_inputs;
    return (uint64_t)(blocks(d) * (block_taps(d) + kLanes * (1 + pre))) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t block = 0; block < blocks(d); block++) {
      for (int32_t tap = 0; tap < d.kernel_height * d.kernel_width; tap++) {
        for (int32_t j = 0; j < d.group_inputs; j++) {
          for (int32_t lane = 0; lane < kLanes; lane++) {
            const int64_t o = block * kLanes + lane;
            const int64_t row = (o * d.group_inputs + j) * d.kernel_height * d.kernel_width;
            *to++ = o < d.output_channels ? weights.kernel[row + tap] : 0.0f;
          }
        }
      }
    }
    for (int32_t o = 0; o < blocks(d) * kLanes; o++) *to++ = o < d.output_channels && weights.bias ? weights.bias[o] : 0.0f;
    if (d.pre == PreKind::kNone) return;
    for (int part = 0; part < 2; part++) {
      const float* from = part == 0 ? weights.pre_scale : weights.pre_shift;
      for (int32_t block = 0; block < blocks(d); block++) {
        for (int32_t j = 0; j < d.group_inputs; j++) {
          for (int32_t lane = 0; lane < kLanes; lane++) *to++ = from[input_of(d, block * kLanes + lane, j)];
        }
      }
    }
  }

  static uint64_t scratch_bytes(const ConvDesc& d) { return (uint64_t)strip_floats(d) * sizeof(float); }

  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * strips(d) * blocks(d); }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void* scratch) {
    for (int64_t item = begin; item < end; item++) {
      const int32_t block = (int32_t)(item % blocks(d));
      const int32_t row = (int32_t)(item / blocks(d) % strips(d)) * kStripRows;
      const int64_t image = item / blocks(d) / strips(d);
      const int32_t limit = row + kStripRows < d.output_height ? row + kStripRows : d.output_height;
      stage(d, args, image, block, row, limit, (float*)scratch);
      for (int32_t y = row; y < limit; y++) run_row(d, args, image, block, y, y - row, (const float*)scratch);
    }
  }

 private:
  static int32_t blocks(const ConvDesc& d) { return (d.output_channels + kLanes - 1) / kLanes; }
  static int32_t strips(const ConvDesc& d) { return (d.output_height + kStripRows - 1) / kStripRows; }
  static int64_t block_taps(const ConvDesc& d) {
    return (int64_t)d.kernel_height * d.kernel_width * d.group_inputs * kLanes;
  }

  // Columns of a staged row: what the last tile reads, which may pass the end of the output.
  static int32_t columns(const ConvDesc& d) {
    const int32_t pixels = (d.output_width + kPixels - 1) / kPixels * kPixels;
    return (pixels - 1) * d.stride_width + (d.kernel_width - 1) * d.dilation_width + 1;
  }
  static int32_t rows(const ConvDesc& d, int32_t outputs) {
    return (outputs - 1) * d.stride_height + (d.kernel_height - 1) * d.dilation_height + 1;
  }
  static int64_t strip_floats(const ConvDesc& d) {
    const int32_t outputs = d.output_height < kStripRows ? d.output_height : kStripRows;
    return (int64_t)rows(d, outputs) * columns(d) * d.group_inputs * kLanes;
  }

  // The input channel that is the j-th of output channel o's group; of the last channel for lanes that do not exist.
  static int32_t input_of(const ConvDesc& d, int32_t o, int32_t j) {
    const int32_t existing = o < d.output_channels ? o : d.output_channels - 1;
    const int32_t at = existing / (d.output_channels / d.groups) * d.group_inputs + j;
    return d.input_index ? d.input_index[at] : at;
  }

  // Where the staged inputs of a block lie among a pixel's: [j][lane], from the first one on.
  struct Lanes {
    int32_t first, span;
    bool in_order;  // as in memory: depthwise
    int32_t index[kMostInputs * kLanes];
  };

  static Lanes lanes_of(const ConvDesc& d, int32_t block) {
    Lanes lanes;
    const int32_t count = d.group_inputs * kLanes;
    int32_t last = 0;
    lanes.first = d.input_channels;
    for (int32_t i = 0; i < count; i++) {
      const int32_t at = input_of(d, block * kLanes + i % kLanes, i / kLanes);
      lanes.index[i] = at;
      if (at < lanes.first) lanes.first = at;
      if (at > last) last = at;
    }
    lanes.in_order = true;
    for (int32_t i = 0; i < count; i++) {
      lanes.index[i] -= lanes.first;
      lanes.in_order = lanes.in_order && lanes.index[i] == i;
    }
    lanes.span = last - lanes.first + 1;
    return lanes;
  }

  static void stage(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t block, int32_t row_begin,
                    int32_t row_end, float* to) {
    const Lanes lanes = lanes_of(d, block);
    const float* pre = (const float*)args.packed + blocks(d) * (block_taps(d) + kLanes);
    const int64_t inputs = (int64_t)d.group_inputs * kLanes;
    const float* scale = pre + block * inputs;
    const float* shift = scale + blocks(d) * inputs;
    const int32_t count = columns(d);
    for (int32_t r = 0; r < rows(d, row_end - row_begin); r++) {
      const int32_t y = row_begin * d.stride_height - d.pad_top + r;
      for (int32_t c = 0; c < count; c++, to += inputs) {
        const int32_t x = c - d.pad_left;
        if (y < 0 || y >= d.input_height || x < 0 || x >= d.input_width) {
          fill_floats(to, 0.0f, inputs);
          continue;
        }
        const float* from = args.input + ((image * d.input_height + y) * d.input_width + x) * d.input_pixel_stride;
        if (lanes.in_order) copy_floats(to, from + lanes.first, inputs);
        else gather_floats(to, from + lanes.first, lanes.span, lanes.index, inputs);
        if (d.pre == PreKind::kNone) continue;
        for (int64_t i = 0; i < inputs; i += kLanes) {
          const V v = multiply_add(load(to + i), load(scale + i), load(shift + i));
          store(to + i, at_least(v, splat(0.0f)));
        }
      }
    }
  }

  static void run_row(const ConvDesc& d, const ConvArgs& args, int64_t image, int32_t block, int32_t y, int32_t strip_row,
                      const float* staged) {
    const Clamp clamp = clamp_of(d.activation);
    const int32_t channel = block * kLanes;
    const int32_t lanes = d.output_channels - channel < kLanes ? d.output_channels - channel : kLanes;
    const int64_t inputs = (int64_t)d.group_inputs * kLanes;
    const int64_t row_floats = columns(d) * inputs;
    const float* weights = (const float*)args.packed + block * block_taps(d);
    const V bias = load((const float*)args.packed + blocks(d) * block_taps(d) + channel);
    const float* row = staged + strip_row * d.stride_height * row_floats;
    for (int32_t x = 0; x < d.output_width; x += kPixels) {
      V sums[kPixels];
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[pixel] = bias;
      multiply(d, row + x * d.stride_width * inputs, row_floats, weights, sums);
      const int64_t first = (image * d.output_height + y) * d.output_width + x;
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        if (x + pixel >= d.output_width) continue;
        const float* residual =
            d.has_residual ? args.residual + (first + pixel) * d.residual_pixel_stride + channel : nullptr;
        float* to = args.output + (first + pixel) * d.output_pixel_stride + channel;
        V sum = sums[pixel];
        if (lanes == kLanes) {
          if (residual) sum = sum + load(residual);
          store(to, at_most(at_least(sum, splat(clamp.low)), splat(clamp.high)));
        } else {
          if (residual) sum = sum + load_partial(residual, lanes);
          store_partial(to, at_most(at_least(sum, splat(clamp.low)), splat(clamp.high)), lanes);
        }
        if (!clamp.complete) activate_row(d.activation, to, to, lanes);
      }
    }
  }

  static DGC_INLINE void multiply(const ConvDesc& d, const float* row, int64_t row_floats, const float* weights,
                                  V (&sums)[kPixels]) {
    const int64_t inputs = (int64_t)d.group_inputs * kLanes;
    const int64_t pixel_step = d.stride_width * inputs;
    // Without dilation the inputs of neighbouring taps follow each other: one loop.
    const int32_t taps = d.dilation_width == 1 ? 1 : d.kernel_width;
    const int32_t steps = d.dilation_width == 1 ? d.kernel_width * d.group_inputs : d.group_inputs;
    DGC_ROLLED for (int32_t ky = 0; ky < d.kernel_height; ky++, row += d.dilation_height * row_floats) {
      const float* tap = row;
      DGC_ROLLED for (int32_t kx = 0; kx < taps; kx++, tap += d.dilation_width * inputs) {
        const float* step = tap;
        DGC_ROLLED for (int32_t left = steps; left > 0; left--, weights += kLanes, step += kLanes) {
          const V w = load(weights);
          const float* from = step;
          DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
            sums[pixel] = multiply_add(load_and_advance(from, pixel_step), w, sums[pixel]);
          }
        }
      }
    }
  }
};

}  // namespace
}  // namespace dgc
