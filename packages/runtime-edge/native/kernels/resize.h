// Nearest and linear resizing as ONNX's Resize defines them. Work item: one output row of one image.
#pragma once

#include "simd.h"
#include "kernel_api.h"

namespace dgc {
namespace {

struct Resize {
  static bool supports(const ResizeDesc&) { return true; }
  static uint64_t scratch_bytes(const ResizeDesc&) { return 0; }
  static int64_t work_items(const ResizeDesc& d) { return (int64_t)d.batch * d.output_height; }

  static void run(const ResizeDesc& d, const UnaryArgs& args, int64_t begin, int64_t end, void*) {
    const Ratio ratio_y = ratio(d, d.scale_height, d.input_height, d.output_height);
    const Ratio ratio_x = ratio(d, d.scale_width, d.input_width, d.output_width);
    for (int64_t item = begin; item < end; item++) {
      const float* image = args.input + item / d.output_height * d.input_height * d.input_width * d.channels;
      const double y = source(d, (int32_t)(item % d.output_height), ratio_y, d.output_height);
      for (int32_t i = 0; i < d.output_width; i++) {
        const double x = source(d, i, ratio_x, d.output_width);
        float* to = args.output + (item * d.output_width + i) * d.channels;
        if (d.mode == ResizeMode::kNearest) {
          const int64_t from = (int64_t)nearest(d, y, d.input_height) * d.input_width + nearest(d, x, d.input_width);
          for (int32_t c = 0; c < d.channels; c++) to[c] = image[from * d.channels + c];
        } else {
          linear(d, image, y, x, to);
        }
      }
    }
  }

 private:
  // Input pixels per output pixel. Two numbers, because of a quotient that is rounded first the multiples lie beside the pixels that they mean.
  struct Ratio {
    double numerator, denominator;
  };

  static Ratio ratio(const ResizeDesc& d, float given, int32_t input, int32_t output) {
    if (d.coordinates == ResizeCoordinates::kAlignCorners) return output > 1 ? Ratio{(double)(input - 1), (double)(output - 1)} : Ratio{0.0, 1.0};
    return given > 0.0f ? Ratio{(double)given, 1.0} : Ratio{(double)input, (double)output};
  }

  static double source(const ResizeDesc& d, int32_t at, Ratio ratio, int32_t output) {
    switch (d.coordinates) {
      case ResizeCoordinates::kPytorchHalfPixel:
        if (output == 1) return 0.0;
        [[fallthrough]];
      case ResizeCoordinates::kHalfPixel:
        return (at + 0.5) * ratio.numerator / ratio.denominator - 0.5;
      case ResizeCoordinates::kAlignCorners:
      case ResizeCoordinates::kAsymmetric:
        break;
    }
    return at * ratio.numerator / ratio.denominator;
  }

  static int32_t floor_of(double x) {
    const int32_t whole = (int32_t)x;
    return whole > x ? whole - 1 : whole;
  }

  static int32_t clamp(int32_t at, int32_t size) { return at < 0 ? 0 : at >= size ? size - 1 : at; }

  static int32_t nearest(const ResizeDesc& d, double at, int32_t size) {
    switch (d.rounding) {
      case ResizeRounding::kRoundPreferFloor:
        return clamp(-floor_of(-(at - 0.5)), size);
      case ResizeRounding::kRoundPreferCeil:
        return clamp(floor_of(at + 0.5), size);
      case ResizeRounding::kFloor:
        return clamp(floor_of(at), size);
      case ResizeRounding::kCeil:
        break;
    }
    return clamp(-floor_of(-at), size);
  }

  static void linear(const ResizeDesc& d, const float* image, double y, double x, float* to) {
    const int32_t y0 = floor_of(y), x0 = floor_of(x);
    const float fy = (float)(y - y0), fx = (float)(x - x0);
    const int64_t top = (int64_t)clamp(y0, d.input_height) * d.input_width;
    const int64_t bottom = (int64_t)clamp(y0 + 1, d.input_height) * d.input_width;
    const int32_t left = clamp(x0, d.input_width), right = clamp(x0 + 1, d.input_width);
    const float* corners[4] = {image + (top + left) * d.channels, image + (top + right) * d.channels,
                               image + (bottom + left) * d.channels, image + (bottom + right) * d.channels};
    const float shares[4] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
    for (int32_t c = 0; c < d.channels; c++) {
      float sum = 0.0f;
      for (int i = 0; i < 4; i++) sum += corners[i][c] * shares[i];
      to[c] = sum;
    }
  }
};

}  // namespace
}  // namespace dgc
