// The inner loops, compiled once for every instruction set (DGC_TABLE names the table, DGC_LANES the floats in a vector). Nothing of the C++ library is
// included here: the linker could keep one set's copy of an inline function for all of them.
#include "kernel_table.h"

#if DGC_LANES >= 8
#include <immintrin.h>
#endif

namespace dgc {
namespace {

constexpr int L = DGC_LANES;
typedef float Vector __attribute__((vector_size(L * 4), aligned(4), may_alias));

#define DGC_INLINE __attribute__((always_inline)) inline
#if defined(__clang__)
#define DGC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DGC_UNROLL _Pragma("GCC unroll 64")
#endif

DGC_INLINE Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
DGC_INLINE void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }

// Rows of a tile that is V vectors wide: as many accumulators as the register file holds beside the operands.
constexpr int convRows(int v) { return L == 16 ? (v == 1 ? 14 : v == 2 ? 14 : v == 3 ? 9 : 7) : (v == 1 ? 8 : v == 2 ? (L == 8 ? 6 : 4) : v == 3 ? 4 : 3); }
constexpr int filterRows(int v) { return L == 16 ? (v == 1 ? 16 : v == 2 ? 14 : v == 3 ? 9 : 7) : (v == 1 ? 12 : v == 2 ? 6 : v == 3 ? 4 : 3); }

template <int R, int V>
DGC_INLINE void storeTile(const Vector (&sum)[R][V], float* const (&rows)[R], long width) {
  if (width == V * L) {
    DGC_UNROLL for (int r = 0; r < R; r++) DGC_UNROLL for (int v = 0; v < V; v++) store(rows[r] + v * L, sum[r][v]);
    return;
  }
  for (int r = 0; r < R; r++) {
    float copy[V * L];
    DGC_UNROLL for (int v = 0; v < V; v++) store(copy + v * L, sum[r][v]);
    for (long i = 0; i < width; i++) rows[r][i] = copy[i];
  }
}

template <int R, int V>
void convTile(const ConvTile& t) {
  Vector sum[R][V];
  DGC_UNROLL for (int r = 0; r < R; r++) DGC_UNROLL for (int v = 0; v < V; v++) sum[r][v] = Vector{};
  // The lines that will be written arrive while the sums are made.
  DGC_UNROLL for (int r = 0; r < R; r++)
    DGC_UNROLL for (int v = 0; v < V; v++) __builtin_prefetch(t.output + t.outputOffsets[r] + v * L, 1);
  const float* w = t.weights;
  const float* pixel[R];
  DGC_UNROLL for (int r = 0; r < R; r++) pixel[r] = t.input + t.pixels[r];
  for (long tap = 0; tap < t.taps; tap++) {
    const long first = t.tapOffsets[tap];
#pragma GCC unroll 1
    for (long k = first; k < first + t.depth; k++, w += V * L) {
      Vector b[V];
      DGC_UNROLL for (int v = 0; v < V; v++) b[v] = load(w + v * L);
      DGC_UNROLL for (int r = 0; r < R; r++) {
        const float a = pixel[r][k];
        DGC_UNROLL for (int v = 0; v < V; v++) sum[r][v] += a * b[v];
      }
    }
  }
  float* rows[R];
  DGC_UNROLL for (int r = 0; r < R; r++) rows[r] = t.output + t.outputOffsets[r];
  storeTile<R, V>(sum, rows, t.width);
}

template <int R, int V>
void filterTile(const FilterTile& t) {
  Vector sum[R][V];
  DGC_UNROLL for (int r = 0; r < R; r++) DGC_UNROLL for (int v = 0; v < V; v++) sum[r][v] = Vector{};
  const float* xImage = t.x;
  const float* dyImage = t.dy;
  for (long n = 0; n < t.images; n++, xImage += t.xImageStride, dyImage += t.dyImageStride) {
    const int32_t* pair = t.pairs;
#pragma GCC unroll 1
    for (long p = 0; p < t.count; p++, pair += 2) {
      const float* x = xImage + pair[0];
      const float* dy = dyImage + pair[1];
      Vector b[V];
      DGC_UNROLL for (int v = 0; v < V; v++) b[v] = load(dy + v * L);
      DGC_UNROLL for (int r = 0; r < R; r++) {
        const float a = x[r];
        DGC_UNROLL for (int v = 0; v < V; v++) sum[r][v] += a * b[v];
      }
    }
  }
  DGC_UNROLL for (int r = 0; r < R; r++)
    DGC_UNROLL for (int v = 0; v < V; v++) {
      float* out = t.output + r * t.outputStride + v * L;
      store(out, t.accumulate ? load(out) + sum[r][v] : sum[r][v]);
    }
}

constexpr int planeRows() { return L == 16 ? 14 : 7; }

template <int S, int R>
void planeTile(const PlaneTile& t) {
  DGC_UNROLL for (int r = 0; r < R; r++) __builtin_prefetch(t.output + r * t.outputStride, 1);
  Vector sum[R];
  DGC_UNROLL for (int r = 0; r < R; r++) sum[r] = Vector{};
  const float* w = t.weights;
  for (long tap = 0; tap < t.tapCount; tap++) {
    const float* x = t.planes + t.taps[tap];
#pragma GCC unroll 1
    for (long p = 0; p < t.planeCount; p++, w += L, x += t.planeSize) {
      const Vector b = load(w);
      DGC_UNROLL for (int r = 0; r < R; r++) sum[r] += load(x + r * S * L) * b;
    }
  }
  DGC_UNROLL for (int r = 0; r < R; r++) store(t.output + r * t.outputStride, sum[r]);
}

template <int T>
void planeFilterTile(const PlaneFilterTile& t) {
  Vector sum[T];
  long tap[T];
  DGC_UNROLL for (int i = 0; i < T; i++) {
    sum[i] = load(t.output + i * L);
    tap[i] = t.taps[i];
  }
  for (long row = 0; row < t.rows; row++) {
    const float* x = t.plane + row * t.planeRow;
    const float* dy = t.dy + row * t.dyRow;
#pragma GCC unroll 1
    for (long column = 0; column < t.columns; column++, x += t.planeStep, dy += t.dyStep) {
      const Vector d = load(dy);
      DGC_UNROLL for (int i = 0; i < T; i++) sum[i] += load(x + tap[i]) * d;
    }
  }
  DGC_UNROLL for (int i = 0; i < T; i++) store(t.output + i * L, sum[i]);
}

#if DGC_LANES == 16
DGC_INLINE void copyWith(const float* from, long fromStride, long pixels, int low, float* to) {
  const __m512i lanes = _mm512_xor_si512(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(low));
  for (long i = 0; i < pixels; i++) store(to + i * L, (Vector)_mm512_permutexvar_ps(lanes, (__m512)load(from + i * fromStride)));
}
#elif DGC_LANES == 8
DGC_INLINE void copyWith(const float* from, long fromStride, long pixels, int low, float* to) {
  const __m256i lanes = _mm256_xor_si256(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(low));
  for (long i = 0; i < pixels; i++) store(to + i * L, (Vector)_mm256_permutevar8x32_ps((__m256)load(from + i * fromStride), lanes));
}
#else
template <int Low>
DGC_INLINE void copyWithLow(const float* from, long fromStride, long pixels, float* to) {
  for (long i = 0; i < pixels; i++) {
    const Vector v = load(from + i * fromStride);
    store(to + i * L, __builtin_shufflevector(v, v, Low, 1 ^ Low, 2 ^ Low, 3 ^ Low));
  }
}
DGC_INLINE void copyWith(const float* from, long fromStride, long pixels, int low, float* to) {
  if (low == 1) copyWithLow<1>(from, fromStride, pixels, to);
  if (low == 2) copyWithLow<2>(from, fromStride, pixels, to);
  if (low == 3) copyWithLow<3>(from, fromStride, pixels, to);
}
#endif

void copyPermuted(const float* from, long fromStride, long pixels, int low, float* to) {
  if (low == 0)
    for (long i = 0; i < pixels; i++) store(to + i * L, load(from + i * fromStride));
  else
    copyWith(from, fromStride, pixels, low, to);
}

// Calls body(c) for the channels in whole vectors and tail(c) for those left over.
template <typename Body, typename Tail>
DGC_INLINE void forChannels(long channels, Body body, Tail tail) {
  long c = 0;
  for (; c + L <= channels; c += L) body(c);
  for (; c < channels; c++) tail(c);
}

void channelMoments(const float* x, long rows, long channels, float* mean, float* squares) {
  const float scale = 1.0f / rows;
  forChannels(
      channels,
      [&](long c) {
        Vector s{}, q{};
        const float* p = x + c;
        for (long r = 0; r < rows; r++, p += channels) s += load(p);
        const Vector m = s * scale;
        p = x + c;
        for (long r = 0; r < rows; r++, p += channels) {
          const Vector d = load(p) - m;
          q += d * d;
        }
        store(mean + c, m);
        store(squares + c, q);
      },
      [&](long c) {
        float s = 0, q = 0;
        for (long r = 0; r < rows; r++) s += x[r * channels + c];
        const float m = s * scale;
        for (long r = 0; r < rows; r++) q += (x[r * channels + c] - m) * (x[r * channels + c] - m);
        mean[c] = m;
        squares[c] = q;
      });
}

DGC_INLINE Vector positive(Vector v) { return v > Vector{} ? v : Vector{}; }

template <bool Relu>
DGC_INLINE void affine(const float* x, const float* scale, const float* offset, long rows, long channels, float* y) {
  for (long r = 0; r < rows; r++, x += channels, y += channels)
    forChannels(
        channels,
        [&](long c) {
          const Vector v = load(x + c) * load(scale + c) + load(offset + c);
          store(y + c, Relu ? positive(v) : v);
        },
        [&](long c) {
          const float v = x[c] * scale[c] + offset[c];
          y[c] = Relu && !(v > 0) ? 0 : v;
        });
}

void channelAffine(const float* x, const float* scale, const float* offset, bool relu, long rows, long channels, float* y) {
  if (relu)
    affine<true>(x, scale, offset, rows, channels, y);
  else
    affine<false>(x, scale, offset, rows, channels, y);
}

template <bool Relu>
DGC_INLINE void gradientSums(const float* x, const float* dy, const float* mean, const float* inverse, const float* scale, const float* offset, long rows,
                             long channels, float* sumDy, float* sumDyX) {
  forChannels(
      channels,
      [&](long c) {
        const Vector m = load(mean + c), i = load(inverse + c), w = load(scale + c), b = load(offset + c);
        Vector s{}, q{};
        const float *p = x + c, *d = dy + c;
        for (long r = 0; r < rows; r++, p += channels, d += channels) {
          const Vector v = load(p);
          Vector g = load(d);
          if (Relu) g = v * w + b > Vector{} ? g : Vector{};
          s += g;
          q += g * ((v - m) * i);
        }
        store(sumDy + c, s);
        store(sumDyX + c, q);
      },
      [&](long c) {
        float s = 0, q = 0;
        for (long r = 0; r < rows; r++) {
          const float v = x[r * channels + c];
          const float g = Relu && !(v * scale[c] + offset[c] > 0) ? 0 : dy[r * channels + c];
          s += g;
          q += g * ((v - mean[c]) * inverse[c]);
        }
        sumDy[c] = s;
        sumDyX[c] = q;
      });
}

void channelGradientSums(const float* x, const float* dy, const float* mean, const float* inverse, const float* scale, const float* offset, bool relu,
                         long rows, long channels, float* sumDy, float* sumDyX) {
  if (relu)
    gradientSums<true>(x, dy, mean, inverse, scale, offset, rows, channels, sumDy, sumDyX);
  else
    gradientSums<false>(x, dy, mean, inverse, scale, offset, rows, channels, sumDy, sumDyX);
}

template <bool Relu>
DGC_INLINE void gradientApply(const float* x, const float* dy, const float* scale, const float* offset, const float* a, const float* b, const float* k,
                              long rows, long channels, float* dx) {
  for (long r = 0; r < rows; r++, x += channels, dy += channels, dx += channels)
    forChannels(
        channels,
        [&](long c) {
          const Vector v = load(x + c);
          Vector g = load(dy + c);
          if (Relu) g = v * load(scale + c) + load(offset + c) > Vector{} ? g : Vector{};
          store(dx + c, load(a + c) * g + load(b + c) * v + load(k + c));
        },
        [&](long c) {
          const float g = Relu && !(x[c] * scale[c] + offset[c] > 0) ? 0 : dy[c];
          dx[c] = a[c] * g + b[c] * x[c] + k[c];
        });
}

void channelGradientApply(const float* x, const float* dy, const float* scale, const float* offset, bool relu, const float* a, const float* b,
                          const float* k, long rows, long channels, float* dx) {
  if (relu)
    gradientApply<true>(x, dy, scale, offset, a, b, k, rows, channels, dx);
  else
    gradientApply<false>(x, dy, scale, offset, a, b, k, rows, channels, dx);
}

void relu(const float* x, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] = x[i] > 0 || x[i] != x[i] ? x[i] : 0;  // NaN stays NaN, -0 becomes 0
}
void reluGradient(const float* x, const float* dy, long elements, float* dx) {
  for (long i = 0; i < elements; i++) dx[i] = x[i] > 0 ? dy[i] : 0;
}
void addRelu(const float* a, const float* b, long elements, float* y) {
  for (long i = 0; i < elements; i++) {
    const float sum = a[i] + b[i];
    y[i] = sum > 0 || sum != sum ? sum : 0;
  }
}
void step(const float* x, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] = x[i] != x[i] ? x[i] : x[i] > 0 ? 1 : 0;
}
void addInto(const float* x, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] += x[i];
}
void maximumInto(const float* x, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] = x[i] > y[i] ? x[i] : y[i];
}
void addScaled(const float* x, float factor, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] += x[i] * factor;
}
void routeMaximum(const float* x, const float* y, long elements, float* left, float* dx) {
  for (long i = 0; i < elements; i++) {
    const bool attains = x[i] == y[i];
    dx[i] += attains ? left[i] : 0;
    left[i] = attains ? 0 : left[i];
  }
}
void scaleBy(float factor, long elements, float* y) {
  for (long i = 0; i < elements; i++) y[i] *= factor;
}
double sum(const float* x, long elements) {
  double s[8] = {};
  long i = 0;
  for (; i + 8 <= elements; i += 8)
    for (int j = 0; j < 8; j++) s[j] += x[i + j];
  for (; i < elements; i++) s[0] += x[i];
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

struct Add { static float of(float a, float b) { return a + b; } };
struct Subtract { static float of(float a, float b) { return a - b; } };
struct Multiply { static float of(float a, float b) { return a * b; } };
struct Divide { static float of(float a, float b) { return a / b; } };
struct Maximum { static float of(float a, float b) { return a != a || a > b ? a : b; } };
struct Minimum { static float of(float a, float b) { return a != a || a < b ? a : b; } };

template <typename Op>
void binary(const float* a, long strideA, const float* b, long strideB, long elements, float* y) {
  if (strideA && strideB) {
    for (long i = 0; i < elements; i++) y[i] = Op::of(a[i], b[i]);
  } else if (strideA) {
    const float s = b[0];
    for (long i = 0; i < elements; i++) y[i] = Op::of(a[i], s);
  } else if (strideB) {
    const float s = a[0];
    for (long i = 0; i < elements; i++) y[i] = Op::of(s, b[i]);
  } else {
    const float s = Op::of(a[0], b[0]);
    for (long i = 0; i < elements; i++) y[i] = s;
  }
}

void momentum(const float* parameter, const float* gradient, const float* velocity, long elements, float learningRate, float momentum,
              float weightDecay, bool nesterov, float* nextParameter, float* nextVelocity) {
  for (long i = 0; i < elements; i++) {
    const float g = gradient[i] + weightDecay * parameter[i];
    const float v = momentum * velocity[i] + g;
    nextVelocity[i] = v;
    nextParameter[i] = parameter[i] - learningRate * (nesterov ? g + momentum * v : v);
  }
}

template <int V, int R = 1>
DGC_INLINE void fill(KernelTable& table) {
  if constexpr (R <= convRows(V)) table.conv[V][R] = convTile<R, V>;
  if constexpr (R <= filterRows(V)) table.filter[V][R] = filterTile<R, V>;
  if constexpr (R < kMaxRows) fill<V, R + 1>(table);
}

template <int R = 1>
DGC_INLINE void fillPlanes(KernelTable& table) {
  if constexpr (R <= planeRows()) {
    table.plane[1][R] = planeTile<1, R>;
    table.plane[2][R] = planeTile<2, R>;
  }
  if constexpr (R <= kMaxPlaneTaps) table.planeFilter[R] = planeFilterTile<R>;
  if constexpr (R < kMaxRows) fillPlanes<R + 1>(table);
}

KernelTable make() {
  KernelTable table{};
  table.lanes = L;
  table.filterVectors = L == 16 ? 4 : 2;
  for (int v = 1; v <= kMaxVectors; v++) {
    table.convRows[v] = convRows(v);
    table.filterRows[v] = filterRows(v);
  }
  fill<1>(table);
  fill<2>(table);
  fill<3>(table);
  fill<4>(table);
  table.planeRows = planeRows();
  fillPlanes(table);
  table.copyPermuted = copyPermuted;
  table.channelMoments = channelMoments;
  table.channelAffine = channelAffine;
  table.channelGradientSums = channelGradientSums;
  table.channelGradientApply = channelGradientApply;
  table.relu = relu;
  table.reluGradient = reluGradient;
  table.addRelu = addRelu;
  table.step = step;
  table.addInto = addInto;
  table.binary[kAdd] = binary<Add>;
  table.binary[kSubtract] = binary<Subtract>;
  table.binary[kMultiply] = binary<Multiply>;
  table.binary[kDivide] = binary<Divide>;
  table.binary[kMaximum] = binary<Maximum>;
  table.binary[kMinimum] = binary<Minimum>;
  table.maximumInto = maximumInto;
  table.addScaled = addScaled;
  table.routeMaximum = routeMaximum;
  table.scaleBy = scaleBy;
  table.sum = sum;
  table.momentum = momentum;
  return table;
}

}  // namespace

const KernelTable* DGC_TABLE() {
  static KernelTable table;
  if (table.lanes == 0) table = make();
  return &table;
}

}  // namespace dgc
