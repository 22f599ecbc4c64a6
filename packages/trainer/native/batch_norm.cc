#include "batch_norm.h"

#include <math.h>

#include "parallel.h"

namespace dgc {
namespace {

// Rows of one task: a chunk that two passes read from the cache. It depends on the shape only, so that sums do not depend on the threads.
long rowsPerChunk(long channels) {
  const long rows = 32768 / channels;
  return rows < 1 ? 1 : rows;
}
long chunks(const BatchNormParams& p) { return (p.rows + rowsPerChunk(p.channels) - 1) / rowsPerChunk(p.channels); }

template <typename Body>
void forChunks(const BatchNormParams& p, Body body) {
  const long size = rowsPerChunk(p.channels);
  parallelFor(chunks(p), [&](long chunk, int) {
    const long first = chunk * size;
    body(chunk, first, p.rows - first < size ? p.rows - first : size);
  });
}

}  // namespace

void batchNorm(const KernelTable& kernels, const BatchNormParams& p, const float* x, const float* gamma, const float* beta, float* y, float* mean,
               float* variance) {
  const long C = p.channels;
  float* partial = scratch(0, 0, chunks(p) * 2 * C + 2 * C);
  float *scale = partial + chunks(p) * 2 * C, *offset = scale + C;
  forChunks(p, [&](long chunk, long first, long rows) {
    kernels.channelMoments(x + first * C, rows, C, partial + chunk * 2 * C, partial + (chunk * 2 + 1) * C);
  });
  for (long c = 0; c < C; c++) {
    // Moments of chunks join pairwise (Chan et al. 1983), in double.
    double count = 0, average = 0, squares = 0;
    for (long chunk = 0; chunk < chunks(p); chunk++) {
      const long first = chunk * rowsPerChunk(C);
      const double n = p.rows - first < rowsPerChunk(C) ? p.rows - first : rowsPerChunk(C);
      const double delta = partial[chunk * 2 * C + c] - average, total = count + n;
      squares += partial[(chunk * 2 + 1) * C + c] + delta * delta * count * n / total;
      average += delta * n / total;
      count = total;
    }
    const double s = gamma[c] / sqrt(squares / count + p.epsilon);
    mean[c] = static_cast<float>(average);
    variance[c] = static_cast<float>(squares / count);
    scale[c] = static_cast<float>(s);
    offset[c] = static_cast<float>(beta[c] - average * s);
  }
  forChunks(p, [&](long, long first, long rows) { kernels.channelAffine(x + first * C, scale, offset, p.relu != 0, rows, C, y + first * C); });
}

void batchNormGradient(const KernelTable& kernels, const BatchNormParams& p, const float* x, const float* dy, const float* gamma, const float* beta,
                       const float* mean, const float* variance, float* dx, float* dgamma, float* dbeta) {
  const long C = p.channels;
  const bool relu = p.relu != 0;
  float* partial = scratch(0, 0, chunks(p) * 2 * C + 6 * C);
  float *inverse = partial + chunks(p) * 2 * C, *scale = inverse + C, *offset = scale + C, *a = offset + C, *b = a + C, *k = b + C;
  for (long c = 0; c < C; c++) {
    const double s = 1 / sqrt(static_cast<double>(variance[c]) + p.epsilon);
    inverse[c] = static_cast<float>(s);
    scale[c] = static_cast<float>(gamma[c] * s);
    offset[c] = static_cast<float>(beta[c] - mean[c] * gamma[c] * s);
  }
  forChunks(p, [&](long chunk, long first, long rows) {
    kernels.channelGradientSums(x + first * C, dy + first * C, mean, inverse, scale, offset, relu, rows, C, partial + chunk * 2 * C,
                                partial + (chunk * 2 + 1) * C);
  });
  for (long c = 0; c < C; c++) {
    double sumDy = 0, sumDyX = 0;
    for (long chunk = 0; chunk < chunks(p); chunk++) {
      sumDy += partial[chunk * 2 * C + c];
      sumDyX += partial[(chunk * 2 + 1) * C + c];
    }
    dbeta[c] = static_cast<float>(sumDy);
    dgamma[c] = static_cast<float>(sumDyX);
    // dx = γ·inverse·(dy - Σdy/n - x̂·Σ(dy·x̂)/n), written as a·dy + b·x + k.
    const double s = 1 / sqrt(static_cast<double>(variance[c]) + p.epsilon), g = gamma[c] * s;
    const double slope = -g * s * sumDyX / p.rows;
    a[c] = static_cast<float>(g);
    b[c] = static_cast<float>(slope);
    k[c] = static_cast<float>(-g * sumDy / p.rows - slope * mean[c]);
  }
  forChunks(p, [&](long, long first, long rows) {
    kernels.channelGradientApply(x + first * C, dy + first * C, scale, offset, relu, a, b, k, rows, C, dx + first * C);
  });
}

}  // namespace dgc
