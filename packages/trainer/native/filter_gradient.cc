// Filter gradient: for every tap a product of x and dy over all pixels. Each thread owns some tiles of the result and walks all images for them, a block of
// images at a time, so that the sums are in image order whatever the number of threads.
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "parallel.h"
#include "xor_conv.h"

namespace dgc {
namespace {

// A product between a block of input channels and a block of output channels; several groups may read their part of it.
struct Product {
  long inputBlock, outputBlock;
};

struct Tile {
  long product, tap, firstIn, rows, firstVector, vectors;
};

void filterGradient(const KernelTable& kernels, const ConvParams& p, const float* x, const float* dy, const int32_t* inputOrder,
                    const int32_t* outputOrder, const int32_t* inputGroups, float* dfilter) {
  const int lanes = kernels.lanes;
  const long groupIn = p.inputChannels / p.groups, groupOut = p.outputChannels / p.groups;
  const long merged = groupsPerBlock(p.groups, groupOut, lanes);
  const long blocks = p.groups / merged, blockIn = merged * groupIn, blockOut = merged * groupOut;
  const long vectors = ceilDivide(blockOut, lanes), taps = p.filterHeight * p.filterWidth;
  const long xPixels = p.inputHeight * p.inputWidth, dyPixels = p.outputHeight * p.outputWidth;

  // dy is copied, a block of images at a time, where channels must move or the last vector of a block would read past it.
  const bool copyX = inputOrder != nullptr, copyDy = outputOrder != nullptr || blockOut % lanes != 0;
  const long dyStride = copyDy && blocks == 1 ? vectors * lanes : p.outputChannels;

  // Which products are needed: pairOf[inputBlock·blocks + outputBlock] is its number + 1.
  long* pairOf = static_cast<long*>(calloc(blocks * blocks, sizeof(long)));
  Product* products = static_cast<Product*>(malloc(sizeof(Product) * p.groups));
  long productCount = 0;
  for (long g = 0; g < p.groups; g++) {
    const long from = inputGroups[g] / merged, to = g / merged;
    long& number = pairOf[from * blocks + to];
    if (number) continue;
    products[productCount] = {from, to};
    number = ++productCount;
  }

  // The result, [product][tap][blockIn][vectors·lanes], and its tiles. Rows are split evenly: a short last tile would waste its latency.
  const long productSize = taps * blockIn * vectors * lanes;
  float* sums = scratch(0, 0, productCount * productSize);
  long tileCount = 0;
  const long mostVectors = kernels.filterVectors, panels = ceilDivide(vectors, mostVectors);
  Tile* tiles = static_cast<Tile*>(malloc(sizeof(Tile) * productCount * taps * panels * blockIn));
  for (long product = 0; product < productCount; product++)
    for (long tap = 0; tap < taps; tap++)
      for (long panel = 0; panel < panels; panel++) {
        const long firstVector = panel * mostVectors, left = vectors - firstVector, width = left < mostVectors ? left : mostVectors;
        const long count = ceilDivide(blockIn, kernels.filterRows[width]);
        for (long i = 0; i < count; i++)
          tiles[tileCount++] = {product, tap, blockIn * i / count, blockIn * (i + 1) / count - blockIn * i / count, firstVector, width};
      }

  // Pixels that meet at each tap: offsets into x and dy.
  int32_t* pairs = reinterpret_cast<int32_t*>(scratch(0, 1, taps * dyPixels * 2));
  long* pairCount = static_cast<long*>(malloc(sizeof(long) * taps));
  for (long t = 0; t < taps; t++) {
    int32_t* pair = pairs + t * dyPixels * 2;
    for (long oy = 0; oy < p.outputHeight; oy++)
      for (long ox = 0; ox < p.outputWidth; ox++) {
        const long iy = oy * p.strideHeight - p.padTop + t / p.filterWidth * p.dilationHeight;
        const long ix = ox * p.strideWidth - p.padLeft + t % p.filterWidth * p.dilationWidth;
        if (iy < 0 || iy >= p.inputHeight || ix < 0 || ix >= p.inputWidth) continue;
        *pair++ = static_cast<int32_t>((iy * p.inputWidth + ix) * p.inputChannels);
        *pair++ = static_cast<int32_t>((oy * p.outputWidth + ox) * dyStride);
      }
    pairCount[t] = (pair - (pairs + t * dyPixels * 2)) / 2;
  }

  const long imageSize = xPixels * p.inputChannels + dyPixels * p.outputChannels;
  // The tiles of wide vectors are large enough to read from the second cache; others take few pixels at a time, which stay in the first.
  const long pixelSize = p.inputChannels + p.outputChannels;
  const long chunks = lanes == 16 || dyPixels < 48 ? 1 : ceilDivide(dyPixels, 6144 / pixelSize < 24 ? 24 : 6144 / pixelSize);
  const long imagesPerBlock = chunks > 1 ? 1 : 98304 / imageSize + 1;
  const int threads = threadCount();
  parallelFor(threads, [&](long share, int thread) {
    const long firstTile = tileCount * share / threads, endTile = tileCount * (share + 1) / threads;
    if (firstTile == endTile) return;
    for (long n = 0; n < p.batch; n += imagesPerBlock) {
      const long images = p.batch - n < imagesPerBlock ? p.batch - n : imagesPerBlock;
      const float* xBlock = x + n * xPixels * p.inputChannels;
      const float* dyBlock = dy + n * dyPixels * p.outputChannels;
      if (copyX) {
        float* copy = scratch(thread, 2, images * xPixels * p.inputChannels);
        gatherChannels(xBlock, images * xPixels, p.inputChannels, inputOrder, copy, p.inputChannels);
        xBlock = copy;
      }
      if (copyDy) {
        float* copy = scratch(thread, 3, images * dyPixels * dyStride + lanes);
        gatherChannels(dyBlock, images * dyPixels, p.outputChannels, outputOrder, copy, dyStride);
        memset(copy + images * dyPixels * dyStride, 0, sizeof(float) * lanes);
        dyBlock = copy;
      }
      for (long chunk = 0; chunk < chunks; chunk++)
        for (long i = firstTile; i < endTile; i++) {
          const Tile& tile = tiles[i];
          const long firstPair = pairCount[tile.tap] * chunk / chunks;
          const Product& product = products[tile.product];
          FilterTile t;
          t.x = xBlock + product.inputBlock * blockIn + tile.firstIn;
          t.dy = dyBlock + product.outputBlock * blockOut + tile.firstVector * lanes;
          t.pairs = pairs + (tile.tap * dyPixels + firstPair) * 2;
          t.count = pairCount[tile.tap] * (chunk + 1) / chunks - firstPair;
          t.images = images;
          t.xImageStride = xPixels * p.inputChannels;
          t.dyImageStride = dyPixels * dyStride;
          t.outputStride = vectors * lanes;
          t.output = sums + tile.product * productSize + (tile.tap * blockIn + tile.firstIn) * t.outputStride + tile.firstVector * lanes;
          t.accumulate = n > 0 || chunk > 0;
          kernels.filter[tile.vectors][tile.rows](t);
        }
    }
  });

  // Each group takes its part of its product.
  for (long g = 0; g < p.groups; g++) {
    const long inputGroup = inputGroups[g];
    const long product = pairOf[inputGroup / merged * blocks + g / merged] - 1;
    const float* from = sums + product * productSize + inputGroup % merged * groupIn * vectors * lanes + g % merged * groupOut;
    for (long tap = 0; tap < taps; tap++)
      for (long i = 0; i < groupIn; i++)
        memcpy(dfilter + (tap * groupIn + i) * p.outputChannels + g * groupOut, from + (tap * blockIn + i) * vectors * lanes, sizeof(float) * groupOut);
  }
  free(pairCount);
  free(tiles);
  free(products);
  free(pairOf);
}

}  // namespace

void convFilterGradients(const KernelTable& kernels, const ConvParams& p, const float* x, const float* dy, const int32_t* inputOrder,
                         const int32_t* outputOrder, long products, const int32_t* pairings, const Buffer* results) {
  const long size = p.filterHeight * p.filterWidth * (p.inputChannels / p.groups) * p.outputChannels;
  if (p.batch == 0) {
    for (long i = 0; i < products; i++) memset(results[i].data, 0, sizeof(float) * size);
    return;
  }
  XorStructure structure;
  if (findXorStructure(kernels, p, inputOrder, outputOrder, &structure) &&
      xorFilterGradient(kernels, p, structure, x, dy, products, pairings, results))
    return;
  for (long i = 0; i < products; i++) filterGradient(kernels, p, x, dy, inputOrder, outputOrder, pairings + i * p.groups, results[i].floats());
}

}  // namespace dgc
