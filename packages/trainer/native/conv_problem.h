// Forward product and input gradient as one sum: every result pixel adds up filter taps of pixels of the other image.
#pragma once
#include "kernel_table.h"

namespace dgc {

struct Image {
  long height, width, channels;
  long pixels() const { return height * width; }
  long size() const { return pixels() * channels; }
};

// Where a filter's value is: [tap, group, channel that is summed over, result's channel].
struct FilterStrides {
  long tap, group, in, out;
};

struct ConvProblem {
  const KernelTable& kernels;
  long batch, groups;
  Image input, output;
  const int32_t* inputOrder;  // null: the identity
  const int32_t* outputOrder;
  const float* filter;
  FilterStrides strides;
};

// Result pixels that share their taps: pixel (y, x) of the class reads, at tap t, pixel (y·stepY + tapY[t], x·stepX + tapX[t]).
struct PixelClass {
  long firstY, firstX, strideY, strideX;  // the class's pixels in the output
  long stepY, stepX;                      // and in the input
  long taps;
  const long *tapY, *tapX, *tapIndex;
};

// The rows and columns of zeros around the input that a class's taps reach.
struct Border {
  long top, bottom, left, right;
  bool none() const { return (top | bottom | left | right) == 0; }
};

Border borderOf(const ConvProblem& problem, const PixelClass& pixelClass);

// Rows and columns of a class.
long classRows(const ConvProblem& problem, const PixelClass& pixelClass);
long classColumns(const ConvProblem& problem, const PixelClass& pixelClass);

inline long ceilDivide(long a, long b) { return (a + b - 1) / b; }

// Images whose input stays in the cache together, but not so many that threads go idle.
long imagesPerTask(const ConvProblem& problem);

}  // namespace dgc
