// What one translation unit per instruction set offers; the drivers above it are compiled once and pick a table at run time.
#pragma once
#include <stdint.h>

namespace dgc {

constexpr int kMaxVectors = 4;
constexpr int kMaxRows = 16;
constexpr int kMaxPlaneSteps = 2;  // strides that tiles of planes know
constexpr int kMaxPlaneTaps = 9;

// y[row, 0..width) = Σ over taps and depth of input pixel · weights, for up to kMaxRows output pixels.
struct ConvTile {
  const float* input;            // the image, at the block's first channel
  const int32_t* pixels;         // element offset of each pixel's input, to which each tap adds its own
  const int32_t* tapOffsets;     // [taps]
  long taps;
  long depth;                    // input channels of the block
  const float* weights;          // [taps, depth, vectors·lanes]
  float* output;                 // at the panel's first channel
  const int32_t* outputOffsets;  // element offset of each output pixel
  long width;                    // channels to store, ≤ vectors·lanes
};

// out[i, 0..vectors·lanes) (+)= Σ over images and pixel pairs of x[pixel, i] · dy[pixel, 0..vectors·lanes).
struct FilterTile {
  const float* x;
  const float* dy;
  const int32_t* pairs;  // [count, 2]: element offsets of x and dy in their images
  long count;
  long images;
  long xImageStride;
  long dyImageStride;
  float* output;
  long outputStride;
  bool accumulate;
};

// A plane is one vector of channels of an image with a border of zeros: [rows, columns, lanes].

// y[row] = Σ over taps and planes of plane[pixel] · weights[tap, plane], for pixels side by side; each plane has weights of its own.
struct PlaneTile {
  const float* planes;  // the first plane at the first pixel
  long planeSize;
  long planeCount;
  const int32_t* taps;  // [tapCount]: element offsets in a plane
  long tapCount;
  const float* weights;  // [tapCount, planeCount, lanes]
  float* output;
  long outputStride;
};

// output[tap] += Σ over rows and columns of plane[pixel, tap] · dy[pixel], lane by lane.
struct PlaneFilterTile {
  const float* plane;
  long planeRow, planeStep;  // elements from a row or a pixel to the next
  const int32_t* taps;
  const float* dy;
  long dyRow, dyStep;
  long rows, columns;
  float* output;  // [taps, lanes]
};

using PlaneTileFunction = void (*)(const PlaneTile&);
using PlaneFilterTileFunction = void (*)(const PlaneFilterTile&);
using ConvTileFunction = void (*)(const ConvTile&);
using FilterTileFunction = void (*)(const FilterTile&);

enum BinaryKind { kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum, kBinaryKinds };

struct KernelTable {
  int lanes;
  int convRows[kMaxVectors + 1];    // most rows of a tile that is that many vectors wide
  int filterVectors;              // widest tile of a filter gradient
  int filterRows[kMaxVectors + 1];
  ConvTileFunction conv[kMaxVectors + 1][kMaxRows + 1];
  FilterTileFunction filter[kMaxVectors + 1][kMaxRows + 1];
  int planeRows;  // most pixels of a tile of planes
  PlaneTileFunction plane[kMaxPlaneSteps + 1][kMaxRows + 1];
  PlaneFilterTileFunction planeFilter[kMaxPlaneTaps + 1];
  // Copies one vector of channels of neighbouring pixels, lane l from lane l ^ low.
  void (*copyPermuted)(const float* from, long fromStride, long pixels, int low, float* to);
  // Mean of every channel over the rows, and the sum of squared distances from it.
  void (*channelMoments)(const float* x, long rows, long channels, float* mean, float* squares);
  // y = x·scale + offset, and the larger of it and zero if relu.
  void (*channelAffine)(const float* x, const float* scale, const float* offset, bool relu, long rows, long channels, float* y);
  // sums[0] = Σ dy, sums[1] = Σ dy·(x - mean)·inverse; with relu, dy counts only where x·scale + offset > 0.
  void (*channelGradientSums)(const float* x, const float* dy, const float* mean, const float* inverse, const float* scale, const float* offset, bool relu,
                              long rows, long channels, float* sumDy, float* sumDyX);
  // dx = a·dy + b·x + c.
  void (*channelGradientApply)(const float* x, const float* dy, const float* scale, const float* offset, bool relu, const float* a, const float* b,
                               const float* c, long rows, long channels, float* dx);
  void (*relu)(const float* x, long elements, float* y);
  void (*reluGradient)(const float* x, const float* dy, long elements, float* dx);
  void (*addRelu)(const float* a, const float* b, long elements, float* y);
  void (*step)(const float* x, long elements, float* y);
  void (*addInto)(const float* x, long elements, float* y);
  void (*binary[kBinaryKinds])(const float* a, long strideA, const float* b, long strideB, long elements, float* y);  // strides 0 or 1
  // y = the larger of x and y; y += x·factor.
  void (*maximumInto)(const float* x, long elements, float* y);
  void (*addScaled)(const float* x, float factor, long elements, float* y);
  // Where x is y, what is left of the gradient goes to dx.
  void (*routeMaximum)(const float* x, const float* y, long elements, float* left, float* dx);
  void (*scaleBy)(float factor, long elements, float* y);
  double (*sum)(const float* x, long elements);
  void (*momentum)(const float* parameter, const float* gradient, const float* velocity, long elements, float learningRate, float momentum,
                   float weightDecay, bool nesterov, float* nextParameter, float* nextVelocity);
};

#if defined(__x86_64__)
const KernelTable* kernelsAvx512();
const KernelTable* kernelsAvx2();
#endif
const KernelTable* kernelsBaseline();

}  // namespace dgc
