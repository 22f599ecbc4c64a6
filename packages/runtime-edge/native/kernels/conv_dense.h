// Convolution as a matrix product: output pixels by output channels over taps and inputs, group after group. 1x1 kernels at
// stride 1 read the input where it lies; all others gather the taps of a block of pixels first (with zero padding, input
// index and pre-activation), which costs little beside the products with many output channels.
#pragma once

#include "conv_reference.h"
#include "gather.h"
#include "gemm_tile.h"

namespace dgc {
namespace {

inline void affine_relu(float* x, const float* scale, const float* shift, int32_t count) {
  const V zero = splat(0.0f);
  int32_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(x + i, at_least(multiply_add(load(x + i), load(scale + i), load(shift + i)), zero));
  }
  if (i == count) return;
  const int32_t rest = count - i;
  const V last = multiply_add(load_partial(x + i, rest), load_partial(scale + i, rest), load_partial(shift + i, rest));
  store_partial(x + i, at_least(last, zero), rest);
}

// All taps of one output pixel of a group, [ky][kx][i]; `pre`: scale and shift of the inputs of each group, [group][i] each.
inline void stage_pixel(const ConvDesc& d, const float* input, const float* pre, int64_t pixel, int32_t g, float* to) {
  const int32_t x = (int32_t)(pixel % d.output_width) * d.stride_width - d.pad_left;
  const int32_t y = (int32_t)(pixel / d.output_width % d.output_height) * d.stride_height - d.pad_top;
  const int64_t image = pixel / d.output_width / d.output_height;
  const int32_t inputs = d.group_inputs;
  const int32_t* index = d.input_index ? d.input_index + (int64_t)g * inputs : nullptr;
  const float* scale = d.pre == PreKind::kNone ? nullptr : pre + (int64_t)g * inputs;
  const float* shift = d.pre == PreKind::kNone ? nullptr : scale + (int64_t)d.groups * inputs;
  for (int32_t ky = 0; ky < d.kernel_height; ky++) {
    const int32_t iy = y + ky * d.dilation_height;
    if (iy < 0 || iy >= d.input_height) {
      fill_floats(to, 0.0f, (int64_t)d.kernel_width * inputs);
      to += (int64_t)d.kernel_width * inputs;
      continue;
    }
    const float* row = input + (image * d.input_height + iy) * d.input_width * d.input_pixel_stride;
    if (d.input_pixel_stride == inputs && d.dilation_width == 1 && !index && !scale) {
      // Neighbouring taps are neighbours in memory: one copy, padded at its ends.
      const int32_t begin = x < 0 ? (-x < d.kernel_width ? -x : d.kernel_width) : 0;
      const int32_t limit = d.input_width - x < d.kernel_width ? d.input_width - x : d.kernel_width;
      const int32_t end = limit < begin ? begin : limit;
      fill_floats(to, 0.0f, (int64_t)begin * inputs);
      copy_floats(to + (int64_t)begin * inputs, row + (int64_t)(x + begin) * inputs, (int64_t)(end - begin) * inputs);
      fill_floats(to + (int64_t)end * inputs, 0.0f, (int64_t)(d.kernel_width - end) * inputs);
      to += (int64_t)d.kernel_width * inputs;
      continue;
    }
    for (int32_t kx = 0; kx < d.kernel_width; kx++, to += inputs) {
      const int32_t ix = x + kx * d.dilation_width;
      if (ix < 0 || ix >= d.input_width) {
        fill_floats(to, 0.0f, inputs);
        continue;
      }
      const float* from = row + ix * d.input_pixel_stride;
      if (index) {
        gather_floats(to, from, d.input_channels, index, inputs);
      } else {
        copy_floats(to, from + (int64_t)g * inputs, inputs);
      }
      if (scale) affine_relu(to, scale, shift, inputs);
    }
  }
}

// Packed: panels of weights [group][panel][ky][kx][i][vectors * kLanes], bias [group][vectors * kLanes], and, with a
// pre-activation, scale and shift of the inputs of each group [group][i]. Work item: a block of pixels of one group by a run
// of panels.
struct ConvDense {
  static constexpr int64_t kFloatsAhead = 65536;

  static bool supports(const ConvDesc&) { return true; }

  static uint64_t packed_bytes(const ConvDesc& d) {
    const Layout l = layout(d);
    const int64_t pre = d.pre == PreKind::kNone ? 0 : 2 * (int64_t)d.groups * d.group_inputs;
    return (uint64_t)(d.groups * (l.depth + 1) * l.lanes + pre) * sizeof(float);
  }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    const Layout l = layout(d);
    const int32_t taps = d.kernel_height * d.kernel_width;
    float* to = (float*)packed;
    for (int32_t g = 0; g < d.groups; g++) {
      for (int32_t v = 0; v < l.vectors; v += kGemmVectors) {
        const int32_t width = (l.vectors - v < kGemmVectors ? l.vectors - v : kGemmVectors) * kLanes;
        pack_panel(d, weights.kernel + (int64_t)g * l.outputs * d.group_inputs * taps, l, v * kLanes, width, to);
        to += l.depth * width;
      }
    }
    for (int32_t g = 0; g < d.groups; g++) {
      for (int32_t o = 0; o < l.lanes; o++) {
        *to++ = o < l.outputs && weights.bias ? weights.bias[(int64_t)g * l.outputs + o] : 0.0f;
      }
    }
    if (d.pre == PreKind::kNone) return;
    for (int part = 0; part < 2; part++) {
      const float* from = part == 0 ? weights.pre_scale : weights.pre_shift;
      for (int32_t i = 0; i < d.groups * d.group_inputs; i++) *to++ = from[d.input_index ? d.input_index[i] : i];
    }
  }

  static uint64_t scratch_bytes(const ConvDesc& d) {
    const Layout l = layout(d);
    return l.staged ? (uint64_t)(l.tiles_of_block * l.rows * l.depth) * sizeof(float) : 0;
  }

  static int64_t work_items(const ConvDesc& d) {
    const Layout l = layout(d);
    return l.blocks * d.groups * l.runs;
  }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void* scratch) {
    const Layout l = layout(d);
    for (int64_t item = begin; item < end; item++) run_block(d, l, args, item, (float*)scratch);
  }

 private:
  struct Layout {
    int32_t outputs, vectors, lanes;  // of a group; lanes = vectors * kLanes
    int64_t depth;
    int64_t pixels;
    int32_t rows;    // of a tile
    int64_t tiles, tiles_of_block, blocks;
    int32_t panels, panels_of_run, runs;
    bool staged;
  };

  static Layout layout(const ConvDesc& d) {
    Layout l;
    l.outputs = d.output_channels / d.groups;
    l.vectors = (l.outputs + kLanes - 1) / kLanes;
    l.lanes = l.vectors * kLanes;
    l.depth = (int64_t)d.kernel_height * d.kernel_width * d.group_inputs;
    l.pixels = (int64_t)d.batch * d.output_height * d.output_width;
    const int32_t preferred = gemm_rows(l.vectors);
    l.rows = l.pixels >= preferred ? preferred : l.pixels >= kGemmRows ? kGemmRows : 1;
    l.tiles = (l.pixels + l.rows - 1) / l.rows;
    l.staged = d.kernel_height != 1 || d.kernel_width != 1 || d.stride_height != 1 || d.stride_width != 1 ||
               d.pad_top != 0 || d.pad_left != 0 || d.output_height != d.input_height ||
               d.output_width != d.input_width || d.input_index || d.pre != PreKind::kNone;
    // The pixels of a block stay in the second-level cache beside a panel.
    const int64_t fitting = 49152 / (l.rows * (l.depth > 0 ? l.depth : 1));
    l.tiles_of_block = fitting < 1 ? 1 : fitting > 8 ? 8 : fitting;
    l.blocks = (l.tiles + l.tiles_of_block - 1) / l.tiles_of_block;
    l.panels = (l.vectors + kGemmVectors - 1) / kGemmVectors;
    l.panels_of_run = l.blocks * d.groups >= 16 ? l.panels : (l.panels + 3) / 4;
    l.runs = (l.panels + l.panels_of_run - 1) / l.panels_of_run;
    return l;
  }

  static void pack_panel(const ConvDesc& d, const float* kernel, const Layout& l, int32_t first, int32_t width, float* to) {
    const int32_t taps = d.kernel_height * d.kernel_width;
    for (int32_t lane = 0; lane < width; lane++) {
      const int32_t o = first + lane;
      const float* from = kernel + (int64_t)o * d.group_inputs * taps;
      for (int32_t tap = 0; tap < taps; tap++) {
        for (int32_t i = 0; i < d.group_inputs; i++) {
          to[((int64_t)tap * d.group_inputs + i) * width + lane] = o < l.outputs ? from[(int64_t)i * taps + tap] : 0.0f;
        }
      }
    }
  }

  static void run_block(const ConvDesc& d, const Layout& l, const ConvArgs& args, int64_t item, float* scratch) {
    const int32_t run = (int32_t)(item % l.runs);
    const int32_t g = (int32_t)(item / l.runs % d.groups);
    const int64_t tile_begin = item / l.runs / d.groups * l.tiles_of_block;
    const int64_t tile_end = tile_begin + l.tiles_of_block < l.tiles ? tile_begin + l.tiles_of_block : l.tiles;
    const int64_t first = first_pixel(l, tile_begin);
    const int64_t last = tile_end * l.rows < l.pixels ? tile_end * l.rows : l.pixels;
    const float* packed = (const float*)args.packed;
    const float* bias = packed + d.groups * l.depth * l.lanes;
    const Clamp clamp = clamp_of(d.activation);

    GemmJob job;
    if (l.staged) {
      const float* pre = bias + (int64_t)d.groups * l.lanes;
      for (int64_t pixel = first; pixel < last; pixel++) stage_pixel(d, args.input, pre, pixel, g, scratch + (pixel - first) * l.depth);
    }
    const float* a = l.staged ? scratch : args.input + first * d.input_pixel_stride + (int64_t)g * d.group_inputs;
    job.a_stride = l.staged ? l.depth : d.input_pixel_stride;
    job.depth = l.depth;
    job.residual_stride = d.residual_pixel_stride;
    job.output_stride = d.output_pixel_stride;
    job.low = clamp.low;
    job.high = clamp.high;
    const int32_t panel_begin = run * l.panels_of_run;
    const int32_t panel_end = panel_begin + l.panels_of_run < l.panels ? panel_begin + l.panels_of_run : l.panels;
    for (int32_t panel = panel_begin; panel < panel_end; panel++) {
      const int32_t vector = panel * kGemmVectors;
      const int32_t vectors = l.vectors - vector < kGemmVectors ? l.vectors - vector : kGemmVectors;
      const int64_t channel = (int64_t)g * l.outputs + vector * kLanes;
      const int32_t rest = l.outputs - (vector + vectors - 1) * kLanes;
      job.last_lanes = rest < kLanes ? rest : kLanes;
      job.b = packed + (g * (int64_t)l.vectors + vector) * l.depth * kLanes;
      job.bias = bias + (int64_t)g * l.lanes + vector * kLanes;
      const float* next = panel + 1 < panel_end ? job.b + l.depth * vectors * kLanes : nullptr;
      for (int64_t tile = tile_begin; tile < tile_end; tile++) {
        const int64_t pixel = first_pixel(l, tile);
        // Each of the first tiles asks for a share of the next panel, as much of it as the second-level cache has room for.
        const int64_t share = (tile - tile_begin) * l.depth * kLanes;
        job.ahead = next && tile - tile_begin < kGemmVectors && share < kFloatsAhead ? next + share : nullptr;
        job.row_begin = (int32_t)(tile * l.rows - pixel);
        job.a = a + (pixel - first) * job.a_stride;
        job.output = args.output + pixel * d.output_pixel_stride + channel;
        job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
        run_gemm_tile(job, vectors, l.rows);
      }
    }
    if (clamp.complete) return;
    const int64_t channel = (int64_t)g * l.outputs + panel_begin * kGemmVectors * kLanes;
    const int64_t limit = (int64_t)panel_end * kGemmVectors * kLanes;
    const int64_t channels = (limit < l.outputs ? limit : l.outputs) - panel_begin * kGemmVectors * kLanes;
    for (int64_t pixel = tile_begin * l.rows; pixel < last; pixel++) {
      float* at = args.output + pixel * d.output_pixel_stride + channel;
      activate_row(d.activation, at, at, channels);
    }
  }

  // The last tile is moved back so that it ends with the pixels.
  static int64_t first_pixel(const Layout& l, int64_t tile) {
    const int64_t first = tile * l.rows;
    return first + l.rows <= l.pixels ? first : l.pixels - l.rows;
  }
};

}  // namespace
}  // namespace dgc
