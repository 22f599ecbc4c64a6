// Convolution through planes, for WebAssembly: the rows of a strip are rearranged first, so that each step of the inner loop
// (one input of the group, one kernel row) reads neighbouring floats at offsets that are constants of the code, with padding as
// zeros. Engines keep few values in registers, and this loop needs few: the sums, the taps of one kernel row and an input. Read
// in place, an input needs a pointer for every pixel, and these no longer fit.
#pragma once

#include "conv_window.h"

namespace dgc {
namespace {

#if defined(__wasm__) && DGC_LANES == 4

// One row of output pixels of a block of output channels.
struct PlaneJob {
  const float* planes;  // of the first step, at the row's first column
  int32_t plane;        // floats from the plane of a step to the next one
  int32_t steps;
  int32_t width;         // in pixels; at least a tile's
  const float* weights;  // [step][kx][lane]
  const float* bias;
  const float* residual;  // null: none
  int32_t residual_pixel_stride;
  float* output;
  int32_t output_pixel_stride;
  float low, high;
};

// V8 unrolls a small loop that lies in another one, and then loads everything for a step before it multiplies: with one
// instruction a multiply-add the step is so small, and has to be a function of its own.
#ifdef DGC_ISA_wasmrelaxed
#define DGC_PLANE_TILE DGC_NOINLINE
#define DGC_PLANE_ROW DGC_INLINE
constexpr bool kPrefersEight = true;  // pixels: with seven, sums would wait for each other
#else
#define DGC_PLANE_TILE DGC_INLINE
#define DGC_PLANE_ROW DGC_NOINLINE
constexpr bool kPrefersEight = false;
#endif

// kGroup 0: any number of inputs a group, outputs that fill vectors, a plane holds floats. kGroup 1, 2: a plane holds vectors,
// output lane o reads lane o ^ j of the block's inputs in step j, exchanged when the plane is made.
template <int kGroup, int kKernel, int kStride>
struct PlaneTiles {
  static constexpr int kUnit = kGroup == 0 ? 1 : kLanes;  // floats of a pixel

  // One loop over tiles: engines unroll deeper nests until the sums no longer fit in registers.
  template <int kPixels>
  static DGC_PLANE_ROW void run(const PlaneJob& shared) {
    const PlaneJob job = shared;  // the compiler thinks that stores may change one that is shared
    const float* x = job.planes;
    const float* residual = job.residual;
    float* output = job.output;
    DGC_ROLLED for (int32_t left = job.width; left > 0;) {
      run_tile<kPixels>(job, x, residual, output);
      // The last tile is moved back to end with the row; it writes the same values again.
      const int32_t by = left >= 2 * kPixels || left == kPixels ? kPixels : left - kPixels;
      x += by * (kStride * kUnit);
      output += by * job.output_pixel_stride;
      residual += residual ? by * job.residual_pixel_stride : 0;
      left -= by;
    }
  }

 private:
  static constexpr int kReach = kUnit == 1 ? 5 : 64;

  template <int kPixels>
  static DGC_PLANE_TILE void run_tile(const PlaneJob& job, const float* x, const float* residual, float* output) {
    constexpr int kColumns = (kPixels - 1) * kStride + kKernel, kPointers = (kColumns + kReach - 1) / kReach;
    V sums[kPixels];
    const V first = load(job.bias);
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[pixel] = first;
    const float* weights = job.weights;
    // V8 keeps a register for each offset from a pointer where it loads a float for all lanes.
    const float* from[kPointers];
    DGC_UNROLL for (int i = 0; i < kPointers; i++) {
      from[i] = x + i * kReach;
      asm("" : "+r"(from[i]));
    }
    DGC_ROLLED for (int32_t left = job.steps; left > 0; left--) {
      V taps[kKernel];
      DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) taps[kx] = load(weights + kx * kLanes);
      DGC_UNROLL for (int column = 0; column < kColumns; column++) {
        const float* at = from[column / kReach] + column % kReach * kUnit;
        const V input = kGroup == 0 ? splat(*at) : load(at);
        DGC_UNROLL for (int kx = 0; kx < kKernel; kx++) {
          const int pixel = (column - kx) / kStride;
          if (column < kx || (column - kx) % kStride != 0 || pixel >= kPixels) continue;
          sums[pixel] = multiply_add(input, taps[kx], sums[pixel]);
        }
      }
      DGC_UNROLL for (int i = 0; i < kPointers; i++) from[i] += job.plane;
      weights += kKernel * kLanes;
    }
    if (residual) {
      DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
        sums[pixel] = sums[pixel] + load(residual);
        residual += job.residual_pixel_stride;
      }
    }
    const V low = splat(job.low), high = splat(job.high);
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      store(output, at_most(at_least(sums[pixel], low), high));
      output += job.output_pixel_stride;
    }
  }
};

// Packed: weights [block][ky][j][kx][lane], bias [block][lane]. Work item: a slab of channels of an image, strip after strip.
template <int kGroup, int kKernel, int kStride>
struct PlaneConv {
  using Tiles = PlaneTiles<kGroup, kKernel, kStride>;

  static bool supports(const ConvDesc& d) {
    if (d.kernel_height != kKernel || d.kernel_width != kKernel || d.stride_height != kStride || d.stride_width != kStride ||
        d.dilation_height != 1 || d.dilation_width != 1 || d.pre != PreKind::kNone || d.input_index) {
      return false;
    }
    const int32_t group_outputs = d.output_channels / d.groups;
    if (kGroup != 0) return d.group_inputs == kGroup && group_outputs == kGroup && d.output_channels % kLanes == 0;
    return group_outputs % kLanes == 0;
  }

  static uint64_t packed_bytes(const ConvDesc& d) { return (uint64_t)(d.output_channels * (taps(d) + 1)) * sizeof(float); }

  static void pack(const ConvDesc& d, const ConvWeights& weights, void* packed) {
    float* to = (float*)packed;
    for (int32_t first = 0; first < d.output_channels; first += kLanes) {
      for (int ky = 0; ky < kKernel; ky++) {
        for (int32_t j = 0; j < d.group_inputs; j++) {
          for (int kx = 0; kx < kKernel; kx++) {
            for (int lane = 0; lane < kLanes; lane++) {
              const int64_t o = first + lane;
              const int64_t i = kGroup == 0 ? j : o % (kGroup == 0 ? 1 : kGroup) ^ j;
              *to++ = weights.kernel[((o * d.group_inputs + i) * kKernel + ky) * kKernel + kx];
            }
          }
        }
      }
    }
    for (int32_t o = 0; o < d.output_channels; o++) *to++ = weights.bias ? weights.bias[o] : 0.0f;
  }

  static uint64_t scratch_bytes(const ConvDesc& d) {
    const Shape s = shape(d);
    return (uint64_t)((int64_t)s.units * s.unit_floats + kTailFloats) * sizeof(float);
  }

  static int64_t work_items(const ConvDesc& d) { return (int64_t)d.batch * shape(d).slabs; }

  static void run(const ConvDesc& d, const ConvArgs& args, int64_t begin, int64_t end, void* scratch) {
    const Shape s = shape(d);
    // For the columns of padding, which no row overwrites.
    fill_floats((float*)scratch + kTailFloats, 0.0f, (int64_t)s.units * s.unit_floats);
    for (int64_t item = begin; item < end; item++) {
      run_slab(d, s, args, item / s.slabs, (int32_t)(item % s.slabs), (float*)scratch);
    }
  }

 private:
  static constexpr int kMaxPixels = 8;
  static constexpr int32_t kTailFloats = kMaxPixels * kLanes;

  // A unit: the inputs of one group, or one vector of them. A slab: units whose planes are made together, so that whole rows
  // of the input are read in the order of memory.
  struct Shape {
    int32_t pixels;         // of a tile
    int32_t in_tiles;       // pixels of a row that tiles compute in place
    int32_t inputs;         // planes of a unit
    int32_t outputs;        // of a unit
    int32_t unit_channels;  // of the input
    int32_t all, units, slabs;
    int32_t input_rows;  // that a strip holds
    int32_t plane, row_floats, unit_floats;
  };

  static int64_t taps(const ConvDesc& d) { return (int64_t)kKernel * kKernel * d.group_inputs; }

  static Shape shape(const ConvDesc& d) {
    Shape s;
    const int32_t by7 = (d.output_width + 6) / 7 * 7, by8 = (d.output_width + 7) / 8 * 8;
    s.pixels = by8 < by7 || (kPrefersEight && by8 == by7) ? 8 : 7;
    // With a residual, which the output may be itself, no pixel may be computed twice.
    const int32_t rest = d.output_width % s.pixels;
    s.in_tiles = d.has_residual || d.output_width < s.pixels ? d.output_width - rest : d.output_width;
    s.inputs = d.group_inputs;
    s.outputs = kGroup == 0 ? d.output_channels / d.groups : kLanes;
    s.unit_channels = kGroup == 0 ? d.group_inputs : kLanes;
    s.all = kGroup == 0 ? d.groups : d.output_channels / kLanes;
    const int32_t pixels = d.output_width > s.pixels ? d.output_width : s.pixels;
    s.plane = ((pixels - 1) * kStride + kKernel) * Tiles::kUnit;
    s.row_floats = s.inputs * s.plane;
    const int32_t all_rows = (d.output_height - 1) * kStride + kKernel;
    // Channels of a slab: as many as fit with the fewest rows, then as many rows as fit with these.
    const int32_t few = kKernel + kFewRows * kStride;
    const int32_t fewest = few < all_rows && all_rows > kAllRows ? few : all_rows;
    const int64_t fitting = kSlabFloats / ((int64_t)fewest * s.row_floats);
    s.units = fitting < 1 ? 1 : fitting < s.all ? (int32_t)fitting : s.all;
    s.slabs = (s.all + s.units - 1) / s.units;
    s.units = (s.all + s.slabs - 1) / s.slabs;
    const int64_t rows = kSlabFloats / ((int64_t)s.units * s.row_floats);
    s.input_rows = rows < kKernel ? kKernel : rows < all_rows ? (int32_t)rows : all_rows;
    // An odd number of cache lines: a power of two would put the same pixel of all units into few sets of the cache.
    s.unit_floats = ((s.input_rows * s.row_floats + 15) / 16 | 1) * 16;
    return s;
  }

  static void run_slab(const ConvDesc& d, const Shape& s, const ConvArgs& args, int64_t image, int32_t slab, float* scratch) {
    const int32_t first = slab * s.units;
    const int32_t units = first + s.units <= s.all ? s.units : s.all - first;
    const Clamp clamp = clamp_of(d.activation);
    float* planes = scratch + kTailFloats;
    PlaneJob job;
    job.plane = s.plane;
    job.width = s.in_tiles;
    job.residual_pixel_stride = (int32_t)d.residual_pixel_stride;
    job.output_pixel_stride = (int32_t)d.output_pixel_stride;
    job.low = clamp.low;
    job.high = clamp.high;
    const int32_t channel = first * s.outputs, blocks_of_unit = s.outputs / kLanes;
    const int32_t block_weights = (int32_t)taps(d) * kLanes;
    const float* weights = (const float*)args.packed + channel * taps(d);
    const float* bias = (const float*)args.packed + d.output_channels * taps(d) + channel;

    const int64_t image_rows = image * d.input_height;
    const float* input = args.input + first * s.unit_channels;
    int32_t base = -d.pad_top;  // the input row that the first staged row holds
    int32_t next = 0;           // the input row to stage next
    for (int32_t y = 0; y < d.output_height; y++) {
      const int32_t row = y * kStride - d.pad_top;
      if (row + kKernel > base + s.input_rows) {
        move_rows(s, units, row - base, next - row, planes);
        base = row;
        if (next < row) next = row;
      }
      if (next < row + kKernel) {
        const int32_t limit = base + s.input_rows < d.input_height ? base + s.input_rows : d.input_height;
        for (; next < limit; next++) {
          const float* from = input + (image_rows + next) * d.input_width * d.input_pixel_stride;
          stage_row(d, s, units, from, planes + (next - base) * s.row_floats);
        }
      }
      const int32_t ky_begin = row < 0 ? (-row < kKernel ? -row : kKernel) : 0;
      const int32_t limit = d.input_height - row < kKernel ? d.input_height - row : kKernel;
      const int32_t ky_end = limit < ky_begin ? ky_begin : limit;
      job.steps = (ky_end - ky_begin) * s.inputs;
      job.planes = planes + (row - base + ky_begin) * s.row_floats;
      job.weights = weights + ky_begin * s.inputs * kKernel * kLanes;
      job.bias = bias;
      const int64_t pixel = (image * d.output_height + y) * d.output_width;
      job.output = args.output + pixel * d.output_pixel_stride + channel;
      job.residual = d.has_residual ? args.residual + pixel * d.residual_pixel_stride + channel : nullptr;
      for (int32_t unit = 0; unit < units; unit++, job.planes += s.unit_floats) {
        for (int32_t block = 0; block < blocks_of_unit; block++) {
          if (s.in_tiles > 0) run_tiles(s, job);
          if (s.in_tiles < d.output_width) run_rest(d, s, job, scratch);
          job.weights += block_weights;
          job.bias += kLanes;
          job.output += kLanes;
          job.residual += job.residual ? kLanes : 0;
        }
      }
    }
    if (clamp.complete) return;
    const Strip strip = {image, 0, d.output_height, 0, 0};
    finish_strip(d, strip, channel, (first + units) * s.outputs, args.output);
  }

  static DGC_INLINE void run_tiles(const Shape& s, const PlaneJob& job) {
    if (s.pixels == 8) Tiles::template run<8>(job);
    else Tiles::template run<7>(job);
  }

  // The last pixels of a row: a whole tile beside the output, of which these are copied.
  static DGC_NOINLINE void run_rest(const ConvDesc& d, const Shape& s, PlaneJob job, float* tail) {
    const int32_t x = s.in_tiles;
    const V low = splat(job.low), high = splat(job.high);
    float* output = job.output + x * d.output_pixel_stride;
    const float* residual = job.residual ? job.residual + x * d.residual_pixel_stride : nullptr;
    job.planes += x * kStride * Tiles::kUnit;
    job.output = tail;
    job.output_pixel_stride = kLanes;
    job.residual = nullptr;
    job.width = s.pixels;
    job.low = -__builtin_inff();
    job.high = __builtin_inff();
    run_tiles(s, job);
    for (int32_t i = 0; i < d.output_width - x; i++) {
      V sum = load(tail + i * kLanes);
      if (residual) sum = sum + load(residual + i * d.residual_pixel_stride);
      store(output + i * d.output_pixel_stride, at_most(at_least(sum, low), high));
    }
  }

  static int32_t staged_columns(const ConvDesc& d, const Shape& s) {
    const int32_t room = s.plane / Tiles::kUnit - d.pad_left;
    return room < 0 ? 0 : room < d.input_width ? room : d.input_width;
  }

  static void move_rows(const Shape& s, int32_t units, int32_t by, int32_t count, float* planes) {
    if (count <= 0) return;
    for (int32_t unit = 0; unit < units; unit++, planes += s.unit_floats) {
      copy_floats(planes, planes + by * s.row_floats, count * s.row_floats);
    }
  }

  // The planes of one input row.
  static void stage_row(const ConvDesc& d, const Shape& s, int32_t units, const float* from, float* to) {
    const int32_t count = staged_columns(d, s);
    const int32_t stride = (int32_t)d.input_pixel_stride;
    to += d.pad_left * Tiles::kUnit;
    if (count == 0) return;
    if constexpr (kGroup != 0) {
      DGC_ROLLED for (int32_t x = 0; x < count; x++, from += stride, to += kLanes) {
        float* at = to;
        DGC_ROLLED for (int32_t unit = 0; unit < units; unit++, at += s.unit_floats) {
          const V input = load(from + unit * kLanes);
          store(at, input);
          if (kGroup == 2) store(at + s.plane, exchange(input, 1));
        }
      }
    } else if (s.inputs % 4 == 0 && count >= 4) {
      // The last four pixels may overlap the four before.
      for (int32_t x = 0; x < count; x += 4) {
        const int32_t at = x + 4 <= count ? x : count - 4;
        transpose_pixels(s, units, from + at * stride, stride, to + at);
      }
    } else {
      for (int32_t x = 0; x < count; x++, from += stride, to++) {
        for (int32_t unit = 0; unit < units; unit++) {
          for (int32_t j = 0; j < s.inputs; j++) to[unit * s.unit_floats + j * s.plane] = from[unit * s.inputs + j];
        }
      }
    }
  }

  // Four pixels of all channels of the slab.
  static DGC_NOINLINE void transpose_pixels(const Shape& s, int32_t units, const float* p0, int32_t stride, float* to) {
    const int32_t plane = s.plane, quads = s.inputs / 4, next_unit = s.unit_floats - s.row_floats;
    const float* p1 = p0 + stride;
    const float* p2 = p1 + stride;
    const float* p3 = p2 + stride;
    DGC_ROLLED for (int32_t unit = 0; unit < units; unit++, to += next_unit) {
      DGC_ROLLED for (int32_t quad = quads; quad > 0; quad--) {
        const V a = load(p0), b = load(p1), c = load(p2), e = load(p3);
        const V ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ce = __builtin_shufflevector(c, e, 0, 4, 1, 5);
        const V ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7), ce2 = __builtin_shufflevector(c, e, 2, 6, 3, 7);
        store(to, __builtin_shufflevector(ab, ce, 0, 1, 4, 5));
        store(to + plane, __builtin_shufflevector(ab, ce, 2, 3, 6, 7));
        store(to + 2 * plane, __builtin_shufflevector(ab2, ce2, 0, 1, 4, 5));
        store(to + 3 * plane, __builtin_shufflevector(ab2, ce2, 2, 3, 6, 7));
        p0 += 4;
        p1 += 4;
        p2 += 4;
        p3 += 4;
        to += 4 * plane;
      }
    }
  }

  static constexpr int64_t kSlabFloats = kGroup == 0 ? 32768 : 16384;
  static constexpr int32_t kFewRows = 2;
  static constexpr int32_t kAllRows = 17;  // images of so few rows are held whole: none has to be moved
};

#endif

}  // namespace
}  // namespace dgc
