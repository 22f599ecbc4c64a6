// Forward product and input gradient. Both are one sum: every result pixel adds up filter taps of pixels of the other image, which is copied with a border
// of zeros where taps reach past it. The gradient with strides splits its pixels by their remainder: each class has its own taps.
#include "conv.h"

#include <stdlib.h>
#include <string.h>

#include "parallel.h"
#include "xor_conv.h"

namespace dgc {
namespace {

long panelVectors(long vectorsLeft) { return vectorsLeft < kMaxVectors ? vectorsLeft : kMaxVectors; }

// Weights of one class: [block][panel][tap][depth][vectors·lanes], zero where input and output channel belong to different groups.
struct PackedFilter {
  float* data;
  long blocks, depth, width, panels;
  long blockSize;
};

PackedFilter packFilter(const ConvProblem& p, const PixelClass& c) {
  const int lanes = p.kernels.lanes;
  const long groupIn = p.input.channels / p.groups, groupOut = p.output.channels / p.groups;
  const long merged = groupsPerBlock(p.groups, groupOut, lanes);
  PackedFilter packed{nullptr, p.groups / merged, merged * groupIn, merged * groupOut, 0, 0};
  const long vectors = ceilDivide(packed.width, lanes);
  packed.panels = ceilDivide(vectors, kMaxVectors);
  packed.blockSize = c.taps * packed.depth * vectors * lanes;
  packed.data = scratch(0, 0, packed.blocks * packed.blockSize);
  parallelFor(packed.blocks * packed.panels, [&](long task, int) {
    const long block = task / packed.panels, panel = task % packed.panels;
    const long firstVector = panel * kMaxVectors, panelWidth = panelVectors(vectors - firstVector) * lanes;
    float* to = packed.data + block * packed.blockSize + c.taps * packed.depth * firstVector * lanes;
    if (merged > 1 || packed.width < (firstVector * lanes + panelWidth)) memset(to, 0, sizeof(float) * c.taps * packed.depth * panelWidth);
    for (long t = 0; t < c.taps; t++)
      for (long k = 0; k < packed.depth; k++, to += panelWidth) {
        const long group = k / groupIn;
        const float* from = p.filter + c.tapIndex[t] * p.strides.tap + (block * merged + group) * p.strides.group + k % groupIn * p.strides.in;
        const long start = firstVector * lanes, from0 = group * groupOut > start ? group * groupOut : start;
        const long end = start + panelWidth < (group + 1) * groupOut ? start + panelWidth : (group + 1) * groupOut;
        if (p.strides.out == 1) {
          if (end > from0) memcpy(to + from0 - start, from + (from0 - group * groupOut), sizeof(float) * (end - from0));
        } else {
          for (long n = from0; n < end; n++) to[n - start] = from[(n - group * groupOut) * p.strides.out];
        }
      }
  });
  return packed;
}

// Scatters [pixels, channels] by position to their places: to[order[c]] = from[c], for the pixels at the given offsets.
void scatterChannels(const float* from, const int32_t* offsets, long pixels, long channels, const int32_t* order, float* to) {
  for (long i = 0; i < pixels; i++)
    for (long c = 0; c < channels; c++) to[offsets[i] + order[c]] = from[offsets[i] + c];
}

// An image as the taps of a class want it: channels gathered by an order, zeros around it.
struct Staging {
  Border border;
  long width;  // pixels of a row with its border
  long size;   // elements of an image
  bool copies;
};

Staging stagingOf(const ConvProblem& p, const PixelClass& c) {
  const Border b = borderOf(p, c);
  const long width = p.input.width + b.left + b.right;
  return {b, width, (p.input.height + b.top + b.bottom) * width * p.input.channels, !b.none() || p.inputOrder != nullptr};
}

void stage(const ConvProblem& p, const Staging& s, const float* from, float* to) {
  const long C = p.input.channels, row = s.width * C, inner = p.input.width * C;
  memset(to, 0, sizeof(float) * s.border.top * row);
  to += s.border.top * row;
  for (long y = 0; y < p.input.height; y++, from += inner, to += row) {
    memset(to, 0, sizeof(float) * s.border.left * C);
    gatherChannels(from, p.input.width, C, p.inputOrder, to + s.border.left * C, C);
    memset(to + s.border.left * C + inner, 0, sizeof(float) * s.border.right * C);
  }
  memset(to, 0, sizeof(float) * s.border.bottom * row);
}

void runClass(const ConvProblem& p, const XorStructure* structure, const PixelClass& c, const float* input, float* output) {
  const long rows = classRows(p, c), columns = classColumns(p, c), pixels = rows * columns;
  if (pixels <= 0) return;
  if (structure) return runXorClass(p, *structure, c, input, output);
  const PackedFilter packed = packFilter(p, c);
  const Staging staging = stagingOf(p, c);
  int32_t* const tapOffsets = reinterpret_cast<int32_t*>(scratch(0, 1, c.taps + 2 * pixels));
  int32_t* const inputOffsets = tapOffsets + c.taps;
  int32_t* const outputOffsets = inputOffsets + pixels;
  for (long t = 0; t < c.taps; t++)
    tapOffsets[t] = static_cast<int32_t>(((c.tapY[t] + staging.border.top) * staging.width + c.tapX[t] + staging.border.left) * p.input.channels);
  for (long y = 0, i = 0; y < rows; y++)
    for (long x = 0; x < columns; x++, i++) {
      inputOffsets[i] = static_cast<int32_t>((y * c.stepY * staging.width + x * c.stepX) * p.input.channels);
      outputOffsets[i] = static_cast<int32_t>(((c.firstY + y * c.strideY) * p.output.width + c.firstX + x * c.strideX) * p.output.channels);
    }
  // A task is a few images, whose input stays in the cache while every panel of weights passes over it.
  const int threads = threadCount();
  const long perTask = imagesPerTask(p);
  const long splits = p.batch < threads && !p.outputOrder ? ceilDivide(2 * threads, p.batch) : 1;
  const long chunk = ceilDivide(pixels, splits);
  const long vectors = ceilDivide(packed.width, p.kernels.lanes);
  parallelFor(ceilDivide(p.batch, perTask) * splits, [&](long task, int thread) {
    const long firstImage = task / splits * perTask;
    const long images = p.batch - firstImage < perTask ? p.batch - firstImage : perTask;
    const long firstPixel = task % splits * chunk, endPixel = firstPixel + chunk < pixels ? firstPixel + chunk : pixels;
    const float* in = input + firstImage * p.input.size();
    float* out = output + firstImage * p.output.size();
    if (staging.copies) {
      float* copy = scratch(thread, 2, images * staging.size);
      for (long n = 0; n < images; n++) stage(p, staging, in + n * p.input.size(), copy + n * staging.size);
      in = copy;
    }
    if (p.outputOrder) out = scratch(thread, 3, images * p.output.size());
    for (long block = 0; block < packed.blocks; block++)
      for (long panel = 0; panel < packed.panels; panel++) {
        const long firstVector = panel * kMaxVectors, panelSize = panelVectors(vectors - firstVector);
        const long firstChannel = firstVector * p.kernels.lanes, left = packed.width - firstChannel;
        ConvTile tile;
        tile.tapOffsets = tapOffsets;
        tile.taps = c.taps;
        tile.depth = packed.depth;
        tile.weights = packed.data + block * packed.blockSize + c.taps * packed.depth * firstChannel;
        tile.width = left < panelSize * p.kernels.lanes ? left : panelSize * p.kernels.lanes;
        const long most = p.kernels.convRows[panelSize], count = endPixel - firstPixel;
        const long tiles = ceilDivide(count, most);
        for (long n = 0; n < images; n++) {
          tile.input = in + n * staging.size + block * packed.depth;
          tile.output = out + n * p.output.size() + block * packed.width + firstChannel;
          for (long i = 0; i < tiles; i++) {
            const long from = firstPixel + count * i / tiles, to = firstPixel + count * (i + 1) / tiles;
            tile.pixels = inputOffsets + from;
            tile.outputOffsets = outputOffsets + from;
            p.kernels.conv[panelSize][to - from](tile);
          }
        }
      }
    if (p.outputOrder)
      for (long n = 0; n < images; n++)
        scatterChannels(out + n * p.output.size(), outputOffsets, pixels, p.output.channels, p.outputOrder,
                        output + (firstImage + n) * p.output.size());
  });
}

}  // namespace

long classRows(const ConvProblem& p, const PixelClass& c) {
  return p.output.height <= c.firstY ? 0 : ceilDivide(p.output.height - c.firstY, c.strideY);
}

long classColumns(const ConvProblem& p, const PixelClass& c) {
  return p.output.width <= c.firstX ? 0 : ceilDivide(p.output.width - c.firstX, c.strideX);
}

Border borderOf(const ConvProblem& p, const PixelClass& c) {
  Border b{0, 0, 0, 0};
  const long lastY = (classRows(p, c) - 1) * c.stepY - p.input.height + 1, lastX = (classColumns(p, c) - 1) * c.stepX - p.input.width + 1;
  for (long t = 0; t < c.taps; t++) {
    if (-c.tapY[t] > b.top) b.top = -c.tapY[t];
    if (-c.tapX[t] > b.left) b.left = -c.tapX[t];
    if (lastY + c.tapY[t] > b.bottom) b.bottom = lastY + c.tapY[t];
    if (lastX + c.tapX[t] > b.right) b.right = lastX + c.tapX[t];
  }
  return b;
}

long imagesPerTask(const ConvProblem& problem) {
  long images = 65536 / (problem.input.size() + 1) + 1;
  while (images > 1 && ceilDivide(problem.batch, images) < 4 * threadCount()) images--;
  return images;
}

long groupsPerBlock(long groups, long channelsPerGroup, int lanes) {
  long merged = 1;
  for (long m = 2; m <= groups && merged * channelsPerGroup < lanes; m++)
    if (groups % m == 0 && m * channelsPerGroup <= lanes) merged = m;
  return merged;
}

void gatherChannels(const float* from, long pixels, long channels, const int32_t* order, float* to, long stride) {
  for (long i = 0; i < pixels; i++, from += channels, to += stride) {
    if (order)
      for (long c = 0; c < channels; c++) to[c] = from[order[c]];
    else
      memcpy(to, from, sizeof(float) * channels);
    for (long c = channels; c < stride; c++) to[c] = 0;
  }
}

void convForward(const KernelTable& kernels, const ConvParams& p, const float* x, const float* filter, float* y, const int32_t* inputOrder,
                 const int32_t* outputOrder) {
  const long taps = p.filterHeight * p.filterWidth, groupIn = p.inputChannels / p.groups;
  long* tapY = static_cast<long*>(malloc(sizeof(long) * taps * 3));
  long *tapX = tapY + taps, *tapIndex = tapX + taps;
  for (long t = 0; t < taps; t++) {
    tapY[t] = t / p.filterWidth * p.dilationHeight - p.padTop;
    tapX[t] = t % p.filterWidth * p.dilationWidth - p.padLeft;
    tapIndex[t] = t;
  }
  const ConvProblem problem{kernels,
                        p.batch,
                        p.groups,
                        {p.inputHeight, p.inputWidth, p.inputChannels},
                        {p.outputHeight, p.outputWidth, p.outputChannels},
                        inputOrder,
                        outputOrder,
                        filter,
                        {groupIn * p.outputChannels, p.outputChannels / p.groups, p.outputChannels, 1}};
  XorStructure found;
  const XorStructure* structure =
      findXorStructure(kernels, p, inputOrder, outputOrder, &found) ? &found : nullptr;
  runClass(problem, structure, {0, 0, 1, 1, p.strideHeight, p.strideWidth, taps, tapY, tapX, tapIndex}, x, y);
  free(tapY);
}

void convInputGradient(const KernelTable& kernels, const ConvParams& p, const float* dy, const float* filter, float* dx, const int32_t* inputOrder,
                       const int32_t* outputOrder) {
  const long taps = p.filterHeight * p.filterWidth, groupIn = p.inputChannels / p.groups;
  long* tapY = static_cast<long*>(malloc(sizeof(long) * taps * 3));
  long *tapX = tapY + taps, *tapIndex = tapX + taps;
  // The roles swap: the sum runs over dy, and its result is dx.
  const ConvProblem problem{kernels,
                        p.batch,
                        p.groups,
                        {p.outputHeight, p.outputWidth, p.outputChannels},
                        {p.inputHeight, p.inputWidth, p.inputChannels},
                        outputOrder,
                        inputOrder,
                        filter,
                        {groupIn * p.outputChannels, p.outputChannels / p.groups, 1, p.outputChannels}};
  XorStructure found;
  const XorStructure* structure =
      findXorStructure(kernels, p, inputOrder, outputOrder, &found) ? &found : nullptr;
  for (long remainderY = 0; remainderY < p.strideHeight; remainderY++)
    for (long remainderX = 0; remainderX < p.strideWidth; remainderX++) {
      long count = 0;
      for (long t = 0; t < taps; t++) {
        // x pixel y met y pixel (y + pad - tap·dilation) / stride, where that is whole.
        const long fromY = remainderY + p.padTop - t / p.filterWidth * p.dilationHeight;
        const long fromX = remainderX + p.padLeft - t % p.filterWidth * p.dilationWidth;
        if (fromY % p.strideHeight != 0 || fromX % p.strideWidth != 0) continue;
        tapY[count] = fromY / p.strideHeight;
        tapX[count] = fromX / p.strideWidth;
        tapIndex[count++] = t;
      }
      runClass(problem, structure, {remainderY, remainderX, p.strideHeight, p.strideWidth, 1, 1, count, tapY, tapX, tapIndex}, dy, dx);
    }
  free(tapY);
}

}  // namespace dgc
