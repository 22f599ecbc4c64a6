#include "xor_conv.h"

#include <string.h>

#include "parallel.h"

namespace dgc {
namespace {

// Adds a value to a list of distinct ones.
void include(int32_t value, int32_t* list, long* count) {
  for (long i = 0; i < *count; i++)
    if (list[i] == value) return;
  list[(*count)++] = value;
}

// Size of a plane in pixels.
struct PlaneShape {
  long top, left, rows, columns;
};

PlaneShape planeShape(const Image& image, const Border& border) {
  return {border.top, border.left, image.height + border.top + border.bottom, image.width + border.left + border.right};
}

// One vector of channels of an image as a plane, its lanes permuted.
void makePlane(const KernelTable& kernels, const Image& image, const PlaneShape& shape, const float* from, int low, float* plane) {
  const long lanes = kernels.lanes, row = shape.columns * lanes;
  const long right = (shape.columns - shape.left - image.width) * lanes, below = shape.rows - shape.top - image.height;
  memset(plane, 0, sizeof(float) * shape.top * row);
  plane += shape.top * row;
  for (long y = 0; y < image.height; y++, plane += row) {
    memset(plane, 0, sizeof(float) * shape.left * lanes);
    kernels.copyPermuted(from + y * image.width * image.channels, image.channels, image.width, low, plane + shape.left * lanes);
    memset(plane + row - right, 0, sizeof(float) * right);
  }
  memset(plane, 0, sizeof(float) * below * row);
}

}  // namespace

bool findXorStructure(const KernelTable& kernels, const ConvParams& params, const int32_t* inputOrder, const int32_t* outputOrder, XorStructure* s) {
  const long C = params.inputChannels, c = C / params.groups, lanes = kernels.lanes;
  if (params.outputChannels != C || C % lanes != 0 || c > kMaxXorChannels || (c >= lanes && !inputOrder && !outputOrder)) return false;
  if (params.strideHeight > kMaxPlaneSteps || params.strideWidth > kMaxPlaneSteps || params.filterHeight * params.filterWidth == 1) return false;
  int32_t* groupOf = reinterpret_cast<int32_t*>(scratch(0, 4, 2 * C));
  int32_t* placeOf = groupOf + C;
  for (long i = 0; i < C; i++) groupOf[i] = -1;
  for (long i = 0; i < C; i++) {
    const int32_t channel = inputOrder ? inputOrder[i] : static_cast<int32_t>(i);
    if (channel != (outputOrder ? outputOrder[i] : i)) return false;
    groupOf[channel] = static_cast<int32_t>(i / c);
    placeOf[channel] = static_cast<int32_t>(i % c);
  }
  s->highCount = s->lowCount = 0;
  int32_t set[kMaxXorChannels];
  for (long k = 0; k < c; k++) {
    set[k] = inputOrder ? inputOrder[k] ^ inputOrder[0] : static_cast<int32_t>(k);
    include(set[k] & ~static_cast<int32_t>(lanes - 1), s->highs, &s->highCount);
    include(set[k] & static_cast<int32_t>(lanes - 1), s->lows, &s->lowCount);
  }
  if (s->highCount * s->lowCount != c) return false;
  for (long channel = 0; channel < C; channel++)
    for (long k = 0; k < c; k++) {
      const long other = channel ^ set[k];
      if (other >= C || groupOf[channel] < 0 || groupOf[other] != groupOf[channel]) return false;
    }
  s->channels = C;
  s->groupChannels = c;
  s->order = inputOrder;
  s->groupOf = groupOf;
  s->placeOf = placeOf;
  return true;
}

void runXorClass(const ConvProblem& p, const XorStructure& s, const PixelClass& c, const float* input, float* output) {
  const long lanes = p.kernels.lanes, blocks = s.channels / lanes, planeCount = s.highCount * s.lowCount;
  const long blockSize = c.taps * planeCount * lanes;
  // Weights [block][tap][plane][lane].
  float* packed = scratch(0, 0, blocks * blockSize);
  parallelFor(blocks, [&](long block, int) {
    float* to = packed + block * blockSize;
    for (long t = 0; t < c.taps; t++)
      for (long plane = 0; plane < planeCount; plane++)
        for (long lane = 0; lane < lanes; lane++) {
          const long result = block * lanes + lane, summed = result ^ (s.highs[plane / s.lowCount] | s.lows[plane % s.lowCount]);
          *to++ = p.filter[c.tapIndex[t] * p.strides.tap + s.groupOf[result] * p.strides.group + s.placeOf[summed] * p.strides.in +
                           s.placeOf[result] * p.strides.out];
        }
  });
  const PlaneShape shape = planeShape(p.input, borderOf(p, c));
  const long row = shape.columns * lanes, planeSize = shape.rows * row;
  int32_t* taps = reinterpret_cast<int32_t*>(scratch(0, 1, c.taps));
  for (long t = 0; t < c.taps; t++) taps[t] = static_cast<int32_t>((c.tapY[t] + shape.top) * row + (c.tapX[t] + shape.left) * lanes);
  const long rows = classRows(p, c), columns = classColumns(p, c), tiles = ceilDivide(columns, p.kernels.planeRows);
  parallelFor(p.batch, [&](long n, int thread) {
    float* planes = scratch(thread, 2, planeCount * planeSize);
    PlaneTile tile;
    tile.planeSize = planeSize;
    tile.planeCount = planeCount;
    tile.taps = taps;
    tile.tapCount = c.taps;
    tile.outputStride = c.strideX * p.output.channels;
    for (long block = 0; block < blocks; block++) {
      for (long plane = 0; plane < planeCount; plane++)
        makePlane(p.kernels, p.input, shape, input + n * p.input.size() + ((block * lanes) ^ s.highs[plane / s.lowCount]), s.lows[plane % s.lowCount],
                  planes + plane * planeSize);
      tile.weights = packed + block * blockSize;
      for (long y = 0; y < rows; y++)
        for (long i = 0; i < tiles; i++) {
          const long from = columns * i / tiles, to = columns * (i + 1) / tiles;
          tile.planes = planes + y * c.stepY * row + from * c.stepX * lanes;
          tile.output = output + n * p.output.size() + block * lanes +
                        ((c.firstY + y * c.strideY) * p.output.width + c.firstX + from * c.strideX) * p.output.channels;
          p.kernels.plane[c.stepX][to - from](tile);
        }
    }
  });
}

bool xorFilterGradient(const KernelTable& kernels, const ConvParams& p, const XorStructure& s, const float* x, const float* dy, long products,
                       const int32_t* pairings, const Buffer* results) {
  const long C = s.channels, c = s.groupChannels, lanes = kernels.lanes, blocks = C / lanes, taps = p.filterHeight * p.filterWidth;
  // Which m any product needs, and the place of its sums; every product must shift all groups alike.
  int32_t* placeOfM = reinterpret_cast<int32_t*>(scratch(0, 1, 2 * C + taps));
  int32_t* ms = placeOfM + C;
  int32_t* tapOffsets = ms + C;
  for (long m = 0; m < C; m++) placeOfM[m] = -1;
  long count = 0;
  for (long product = 0; product < products; product++) {
    const int32_t* pairing = pairings + product * p.groups;
    const long shift = s.channelAt(pairing[0] * c) ^ s.channelAt(0);
    for (long g = 0; g < p.groups; g++)
      if ((s.channelAt(pairing[g] * c) ^ s.channelAt(g * c)) != shift) return false;
    for (long h = 0; h < s.highCount; h++)
      for (long l = 0; l < s.lowCount; l++) {
        const long m = shift ^ (s.highs[h] | s.lows[l]);
        if (placeOfM[m] >= 0) continue;
        placeOfM[m] = static_cast<int32_t>(count);
        ms[count++] = static_cast<int32_t>(m);
      }
  }
  const Image input{p.inputHeight, p.inputWidth, C};
  const long reachY = (p.outputHeight - 1) * p.strideHeight + (p.filterHeight - 1) * p.dilationHeight - p.padTop;
  const long reachX = (p.outputWidth - 1) * p.strideWidth + (p.filterWidth - 1) * p.dilationWidth - p.padLeft;
  const Border border{p.padTop, reachY < p.inputHeight ? 0 : reachY - p.inputHeight + 1, p.padLeft, reachX < p.inputWidth ? 0 : reachX - p.inputWidth + 1};
  const PlaneShape shape = planeShape(input, border);
  const long row = shape.columns * lanes;
  for (long t = 0; t < taps; t++)
    tapOffsets[t] = static_cast<int32_t>(t / p.filterWidth * p.dilationHeight * row + t % p.filterWidth * p.dilationWidth * lanes);

  // Sums [m][block][tap][lane]. Each thread has some of them and walks all images for them, so that the sums are in image order for any number of threads.
  const long sumCount = count * blocks;
  float* sums = scratch(0, 0, sumCount * taps * lanes);
  memset(sums, 0, sizeof(float) * sumCount * taps * lanes);
  const int threads = threadCount();
  parallelFor(threads, [&](long share, int thread) {
    const long firstSum = sumCount * share / threads, endSum = sumCount * (share + 1) / threads;
    float* plane = scratch(thread, 2, shape.rows * row);
    PlaneFilterTile tile;
    tile.plane = plane;
    tile.planeRow = p.strideHeight * row;
    tile.planeStep = p.strideWidth * lanes;
    tile.dyRow = p.outputWidth * C;
    tile.dyStep = C;
    tile.rows = p.outputHeight;
    tile.columns = p.outputWidth;
    for (long n = 0; n < p.batch; n++)
      for (long i = firstSum; i < endSum; i++) {
        const long m = ms[i / blocks], block = i % blocks, high = m & ~(lanes - 1), low = m & (lanes - 1);
        makePlane(kernels, input, shape, x + n * input.size() + ((block * lanes) ^ high), static_cast<int>(low), plane);
        tile.dy = dy + n * p.outputHeight * p.outputWidth * C + block * lanes;
        for (long first = 0; first < taps; first += kMaxPlaneTaps) {
          tile.taps = tapOffsets + first;
          tile.output = sums + (i * taps + first) * lanes;
          kernels.planeFilter[taps - first < kMaxPlaneTaps ? taps - first : kMaxPlaneTaps](tile);
        }
      }
  });

  for (long product = 0; product < products; product++) {
    const int32_t* pairing = pairings + product * p.groups;
    for (long t = 0; t < taps; t++)
      for (long place = 0; place < c; place++) {
        float* to = results[product].floats() + (t * c + place) * C;
        for (long position = 0; position < C; position++) {
          const long o = s.channelAt(position), m = o ^ s.channelAt(pairing[position / c] * c + place);
          to[position] = sums[((placeOfM[m] * blocks + o / lanes) * taps + t) * lanes + o % lanes];
        }
      }
  }
  return true;
}

}  // namespace dgc
