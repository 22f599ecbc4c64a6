#include "elementwise.h"

#include <string.h>

#include "parallel.h"

namespace dgc {
namespace {

constexpr long kChunk = 16384;  // elements of one task

template <typename Body>
void forElements(long elements, Body body) {
  parallelFor((elements + kChunk - 1) / kChunk, [&](long task, int) {
    const long first = task * kChunk;
    body(first, elements - first < kChunk ? elements - first : kChunk);
  });
}

}  // namespace

void relu(const KernelTable& kernels, const ElementsParams& p, const float* x, float* y) {
  forElements(p.elements, [&](long first, long count) { kernels.relu(x + first, count, y + first); });
}

void reluGradient(const KernelTable& kernels, const ElementsParams& p, const float* x, const float* dy, float* dx) {
  forElements(p.elements, [&](long first, long count) { kernels.reluGradient(x + first, dy + first, count, dx + first); });
}

void addRelu(const KernelTable& kernels, const ElementsParams& p, const float* a, const float* b, float* y) {
  forElements(p.elements, [&](long first, long count) { kernels.addRelu(a + first, b + first, count, y + first); });
}

void step(const KernelTable& kernels, const ElementsParams& p, const float* x, float* y) {
  forElements(p.elements, [&](long first, long count) { kernels.step(x + first, count, y + first); });
}

void addMany(const KernelTable& kernels, const ElementsParams& p, float* y, const Buffer* terms, int count) {
  forElements(p.elements, [&](long first, long elements) {
    if (count == 1)
      memcpy(y + first, terms[0].floats() + first, sizeof(float) * elements);
    else
      kernels.binary[kAdd](terms[0].floats() + first, 1, terms[1].floats() + first, 1, elements, y + first);
    for (int i = 2; i < count; i++) kernels.addInto(terms[i].floats() + first, elements, y + first);
  });
}

void binary(const KernelTable& kernels, const BinaryParams& p, const float* a, const float* b, float* y) {
  const auto function = kernels.binary[p.kind];
  const long rows = p.size0 * p.size1 * p.size2;
  if (rows == 1) {
    forElements(p.size3, [&](long first, long count) {
      function(a + first * p.strideA3, p.strideA3, b + first * p.strideB3, p.strideB3, count, y + first);
    });
    return;
  }
  const long perTask = kChunk / (p.size3 + 1) + 1;
  parallelFor((rows + perTask - 1) / perTask, [&](long task, int) {
    const long end = (task + 1) * perTask < rows ? (task + 1) * perTask : rows;
    for (long row = task * perTask; row < end; row++) {
      const long i2 = row % p.size2, i1 = row / p.size2 % p.size1, i0 = row / p.size2 / p.size1;
      function(a + i0 * p.strideA0 + i1 * p.strideA1 + i2 * p.strideA2, p.strideA3, b + i0 * p.strideB0 + i1 * p.strideB1 + i2 * p.strideB2,
               p.strideB3, p.size3, y + row * p.size3);
    }
  });
}

void sum(const KernelTable& kernels, const ReduceParams& p, const float* x, float* y) {
  const float scale = static_cast<float>(p.scale);
  if (p.inner == 1) {
    parallelFor(p.outer, [&](long outer, int) { y[outer] = static_cast<float>(p.scale * kernels.sum(x + outer * p.reduced, p.reduced)); });
    return;
  }
  parallelFor(p.outer, [&](long outer, int) {
    float* to = y + outer * p.inner;
    memset(to, 0, sizeof(float) * p.inner);
    for (long r = 0; r < p.reduced; r++) kernels.addInto(x + (outer * p.reduced + r) * p.inner, p.inner, to);
    kernels.scaleBy(scale, p.inner, to);
  });
}

void momentum(const KernelTable& kernels, const MomentumParams& p, const float* parameter, const float* gradient, const float* velocity,
              float* nextParameter, float* nextVelocity) {
  forElements(p.elements, [&](long first, long count) {
    kernels.momentum(parameter + first, gradient + first, velocity + first, count, static_cast<float>(p.learningRate), static_cast<float>(p.momentum),
                     static_cast<float>(p.weightDecay), p.nesterov != 0, nextParameter + first, nextVelocity + first);
  });
}

namespace {

struct Window {
  long firstY, endY, firstX, endX;
};

Window windowAt(const PoolParams& p, long oy, long ox) {
  const long y = oy * p.strideHeight - p.padTop, x = ox * p.strideWidth - p.padLeft;
  return {y < 0 ? 0 : y, y + p.filterHeight < p.inputHeight ? y + p.filterHeight : p.inputHeight, x < 0 ? 0 : x,
          x + p.filterWidth < p.inputWidth ? x + p.filterWidth : p.inputWidth};
}

// Padding counts neither in an average nor in a maximum.
float averageScale(const Window& w) { return 1.0f / ((w.endY - w.firstY) * (w.endX - w.firstX)); }

}  // namespace

void pool(const KernelTable& kernels, const PoolParams& p, const float* x, float* y) {
  const long C = p.channels;
  parallelFor(p.batch * p.outputHeight, [&](long task, int) {
    const long n = task / p.outputHeight, oy = task % p.outputHeight;
    for (long ox = 0; ox < p.outputWidth; ox++) {
      const Window w = windowAt(p, oy, ox);
      float* to = y + (task * p.outputWidth + ox) * C;
      bool first = true;
      for (long iy = w.firstY; iy < w.endY; iy++)
        for (long ix = w.firstX; ix < w.endX; ix++, first = false) {
          const float* from = x + ((n * p.inputHeight + iy) * p.inputWidth + ix) * C;
          if (first)
            memcpy(to, from, sizeof(float) * C);
          else
            (p.maximum ? kernels.maximumInto : kernels.addInto)(from, C, to);
        }
      if (!p.maximum) kernels.scaleBy(averageScale(w), C, to);
    }
  });
}

void poolGradient(const KernelTable& kernels, const PoolParams& p, const float* x, const float* y, const float* dy, float* dx) {
  const long C = p.channels;
  parallelFor(p.batch, [&](long n, int thread) {
    const long imageSize = p.inputHeight * p.inputWidth * C;
    const float* image = x + n * imageSize;
    float* gradient = dx + n * imageSize;
    float* left = scratch(thread, 2, C);
    memset(gradient, 0, sizeof(float) * imageSize);
    for (long oy = 0; oy < p.outputHeight; oy++)
      for (long ox = 0; ox < p.outputWidth; ox++) {
        const Window w = windowAt(p, oy, ox);
        const long at = ((n * p.outputHeight + oy) * p.outputWidth + ox) * C;
        if (p.maximum) memcpy(left, dy + at, sizeof(float) * C);
        for (long iy = w.firstY; iy < w.endY; iy++)
          for (long ix = w.firstX; ix < w.endX; ix++) {
            const long i = (iy * p.inputWidth + ix) * C;
            if (p.maximum)
              kernels.routeMaximum(image + i, y + at, C, left, gradient + i);
            else
              kernels.addScaled(dy + at, averageScale(w), C, gradient + i);
          }
      }
  });
}

}  // namespace dgc
