#include "op_tests.h"

#include <float.h>
#include <math.h>

namespace dgc_test {
namespace {

using dgc::ActivationKind;

// Runs all items, then again one by one from the last, and wants the same bytes.
template <typename Desc, typename Args>
bool run_simple(const dgc::SimpleKernel<Desc, Args>& kernel, const Desc& d, const Args& args, Buffer& output) {
  Bytes scratch(kernel.scratch_bytes(d));
  const int64_t items = kernel.work_items(d);
  for (int64_t i = items - 1; i >= 0; i--) kernel.run(d, args, i, i + 1, scratch.data());
  std::vector<float> first(output.data(), output.data() + output.size());
  kernel.run(d, args, 0, items, scratch.data());
  return kernel.supports(d) && output.intact() && scratch.intact() &&
         (first.empty() || memcmp(first.data(), output.data(), first.size() * sizeof(float)) == 0);
}

void fill(Buffer& buffer, Random& random, float low, float high) {
  for (size_t i = 0; i < buffer.size(); i++) buffer[i] = random.uniform(low, high);
}

// Equal to a relative and an absolute tolerance; NaN and infinities have to agree.
bool close(float got, double expected, double relative, double absolute) {
  if (expected != expected || got != got) return expected != expected && got != got;
  const double rounded = (float)expected;
  if (isinf(rounded) || isinf(got)) return (double)got == rounded;
  return fabs(got - expected) <= relative * fabs(expected) + absolute;
}

double expected_activation(const dgc::Activation& a, double x) {
  switch (a.kind) {
    case ActivationKind::kIdentity: return x;
    case ActivationKind::kRelu: return x < 0 ? 0 : x;
    case ActivationKind::kRelu6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case ActivationKind::kSigmoid: return 1 / (1 + exp(-x));
    case ActivationKind::kHardSwish: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case ActivationKind::kSwish: return x / (1 + exp(-x));
    case ActivationKind::kTanh: return tanh(x);
    case ActivationKind::kExp: return exp(x);
    case ActivationKind::kSqrt: return sqrt(x);
    case ActivationKind::kAbs: return fabs(x);
    case ActivationKind::kNegate: return -x;
    case ActivationKind::kGelu: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case ActivationKind::kSoftplus: return x > 50 ? x : log1p(exp(x));
    case ActivationKind::kErf: return erf(x);
    case ActivationKind::kLog: return log(x);
    case ActivationKind::kFloor: return floor(x);
    case ActivationKind::kCeil: return ceil(x);
    case ActivationKind::kReciprocal: return 1 / x;
    case ActivationKind::kLeakyRelu: return x < 0 ? a.alpha * x : x;
    case ActivationKind::kElu: return x < 0 ? a.alpha * expm1(x) : x;
    case ActivationKind::kClip: return fmin(fmax(x, a.alpha), a.beta);
    case ActivationKind::kHardSigmoid: return fmin(fmax(a.alpha * x + a.beta, 0), 1);
  }
  return 0;
}

void test_activations(Report& report, const dgc::KernelList<dgc::ActivationKernel>& kernels, bool flushes) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int kind = 0; kind <= (int)ActivationKind::kHardSigmoid; kind++) {
      for (int64_t channels : {1, 5, 16, 33}) {
        const int64_t rows = 41;
        const dgc::ActivationDesc d = {{(ActivationKind)kind, 0.2f, 0.6f}, rows, channels, channels + 2, channels + 1};
        Buffer input((size_t)(rows * (channels + 2)), 1), output((size_t)(rows * (channels + 1)));
        Random random((uint32_t)(kind * 100 + channels));
        fill(input, random, -8.0f, 8.0f);
        for (size_t i = 0; i < input.size(); i += 3) input[i] *= 0.01f;
        if (kind == (int)ActivationKind::kExp || kind == (int)ActivationKind::kLog) {
          for (size_t i = 0; i < input.size(); i += 2) input[i] *= 11.0f;
        }
        input[0] = 0.0f;
        bool ok = run_simple(kernels.items[k], d, {input.data(), output.data()}, output);
        for (int64_t i = 0; i < rows * channels; i++) {
          const float x = input[(size_t)(i / channels * (channels + 2) + i % channels)];
          const float got = output[(size_t)(i / channels * (channels + 1) + i % channels)];
          ok = ok && close(got, expected_activation(d.activation, x), 1e-6, 3e-7);
        }
        report.check(ok, std::string(kernels.items[k].name) + " activation " + std::to_string(kind) + " on rows of " +
                             std::to_string(channels));
      }
      // NaN comes out as NaN, and the ends of the range do what libm does.
      const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, 1e-40f, 100.0f, -100.0f, 88.7f, -87.5f, -103.0f};
      const int64_t count = sizeof(special) / sizeof(*special);
      const dgc::ActivationDesc d = {{(ActivationKind)kind, 0.2f, 0.6f}, 1, count, count, count};
      Buffer input(count), output(count);
      for (int64_t i = 0; i < count; i++) input[(size_t)i] = special[i];
      run_simple(kernels.items[k], d, {input.data(), output.data()}, output);
      for (int64_t i = 0; i < count; i++) {
        const ActivationKind activation = (ActivationKind)kind;
        const bool clamps_nan = i == 0 && (activation == ActivationKind::kClip || activation == ActivationKind::kHardSigmoid);
        // The limits of 0 * infinity are not defined by these formulas, and 1 / (1 + e^100) is 0 in float32.
        const bool undefined = i <= 2 && i > 0 &&
                               (activation == ActivationKind::kHardSwish || activation == ActivationKind::kSwish ||
                                activation == ActivationKind::kGelu || activation == ActivationKind::kErf);
        if (undefined || clamps_nan) continue;
        const double x = special[i], tiny = flushes ? 128 * FLT_MIN : 1e-41;  // x * sigmoid(x) enlarges what was lost
        report.check(close(output[(size_t)i], expected_activation(d.activation, x), 2e-6, tiny) ||
                         (flushes && fabs(x) < FLT_MIN && close(output[(size_t)i], expected_activation(d.activation, 0), 2e-6, 0)),
                     std::string(kernels.items[k].name) + " activation " + std::to_string(kind) + " of " +
                         std::to_string(special[i]) + " is " + std::to_string(output[(size_t)i]));
      }
    }
  }
}

double expected_binary(dgc::BinaryKind kind, double a, double b) {
  switch (kind) {
    case dgc::BinaryKind::kAdd: return a + b;
    case dgc::BinaryKind::kSubtract: return a - b;
    case dgc::BinaryKind::kMultiply: return a * b;
    case dgc::BinaryKind::kDivide: return a / b;
    case dgc::BinaryKind::kMaximum: return fmax(a, b);
    case dgc::BinaryKind::kMinimum: return fmin(a, b);
    case dgc::BinaryKind::kPower: return pow(a, b);
  }
  return 0;
}

void test_binaries(Report& report, const dgc::KernelList<dgc::BinaryKernel>& kernels) {
  // Which of four dimensions each operand has (bit 0 the outermost); the others broadcast.
  const int masks[][2] = {{15, 15}, {15, 8}, {15, 0}, {8, 15}, {9, 15}, {15, 6}, {3, 12}, {0, 15}, {7, 15}};
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int kind = 0; kind <= (int)dgc::BinaryKind::kPower; kind++) {
      for (const auto& mask : masks) {
        for (int64_t channels : {1, 7, 32}) {
          dgc::BinaryDesc d = {};
          d.kind = (dgc::BinaryKind)kind;
          d.activation.kind = channels == 7 ? ActivationKind::kRelu : ActivationKind::kIdentity;
          d.rank = 4;
          const int64_t dims[] = {2, 3, 5, channels};
          int64_t sizes[2] = {1, 1};
          for (int i = 3; i >= 0; i--) {
            d.dims[i] = dims[i];
            d.a_strides[i] = mask[0] >> i & 1 ? sizes[0] : 0;
            d.b_strides[i] = mask[1] >> i & 1 ? sizes[1] : 0;
            if (mask[0] >> i & 1) sizes[0] *= dims[i];
            if (mask[1] >> i & 1) sizes[1] *= dims[i];
          }
          Buffer a((size_t)sizes[0]), b((size_t)sizes[1], 1), output((size_t)(30 * channels));
          Random random((uint32_t)(kind * 31 + channels));
          for (Buffer* buffer : {&a, &b}) {
            for (size_t i = 0; i < buffer->size(); i++) (*buffer)[i] = random.whole(5);
          }
          bool ok = run_simple(kernels.items[k], d, {a.data(), b.data(), output.data()}, output);
          for (int64_t n = 0; n < 30 * channels; n++) {
            int64_t rest = n, at_a = 0, at_b = 0;
            for (int i = 3; i >= 0; i--) {
              at_a += rest % dims[i] * d.a_strides[i];
              at_b += rest % dims[i] * d.b_strides[i];
              rest /= dims[i];
            }
            const double x = expected_binary(d.kind, a[(size_t)at_a], b[(size_t)at_b]);
            ok = ok && close(output[(size_t)n], expected_activation(d.activation, x), 1e-7, 0);
          }
          report.check(ok, std::string(kernels.items[k].name) + " kind " + std::to_string(kind) + " broadcast " +
                               std::to_string(mask[0]) + "," + std::to_string(mask[1]) + " channels " +
                               std::to_string(channels));
        }
      }
    }
  }
}

void test_channelwise(Report& report, const dgc::KernelList<dgc::ChannelwiseKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (auto kind : {dgc::ChannelwiseKind::kAffine, dgc::ChannelwiseKind::kAffineRelu, dgc::ChannelwiseKind::kPrelu}) {
      for (int64_t channels : {1, 3, 16, 50}) {
        const dgc::ChannelwiseDesc d = {kind, 700, channels, channels, channels + 3};
        Buffer input((size_t)(700 * channels)), first((size_t)channels), second((size_t)channels, 1);
        Buffer output((size_t)(700 * (channels + 3)));
        Random random(3);
        for (Buffer* buffer : {&input, &first, &second}) {
          for (size_t i = 0; i < buffer->size(); i++) (*buffer)[i] = random.whole(9);
        }
        const dgc::ChannelwiseArgs args = {input.data(), first.data(), second.data(), output.data()};
        bool ok = run_simple(kernels.items[k], d, args, output);
        for (size_t i = 0; i < input.size(); i++) {
          const size_t row = i / (size_t)channels, c = i % (size_t)channels;
          const float x = input[i];
          const float affine = x * first[c] + second[c], prelu = x < 0 ? x * first[c] : x;
          const float expected = kind == dgc::ChannelwiseKind::kAffine       ? affine
                                 : kind == dgc::ChannelwiseKind::kAffineRelu ? std::max(affine, 0.0f)
                                                                             : prelu;
          ok = ok && output[row * (size_t)(channels + 3) + c] == expected;
        }
        report.check(ok, std::string(kernels.items[k].name) + " channels " + std::to_string(channels));
      }
    }
  }
}

void test_matmuls(Report& report, const dgc::KernelList<dgc::MatmulKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int rows : {1, 7, 13, 230}) {
      for (int depth : {1, 19, 520}) {
        for (int columns : {1, 37, 70}) {
          for (int variant = 0; variant < (rows > 100 ? 1 : 4); variant++) {
            const bool ta = variant & 1, tb = variant & 2;
            const dgc::MatmulDesc d = {2, rows, depth, columns,
                                       (int64_t)rows * depth, ta ? 1 : depth, ta ? rows : 1,
                                       rows == 7 ? 0 : (int64_t)depth * columns, tb ? 1 : columns, tb ? depth : 1};
            Buffer a((size_t)(2 * rows * depth), 1), b((size_t)(2 * depth * columns)), output((size_t)(2 * rows * columns));
            Random random((uint32_t)(rows + depth + columns));
            for (Buffer* buffer : {&a, &b}) {
              for (size_t i = 0; i < buffer->size(); i++) (*buffer)[i] = random.whole(9);
            }
            bool ok = run_simple(kernels.items[k], d, {a.data(), b.data(), output.data()}, output);
            for (int n = 0; n < 2 * rows * columns; n++) {
              const int64_t batch = n / (rows * columns), row = n / columns % rows, column = n % columns;
              double sum = 0;
              for (int i = 0; i < depth; i++) {
                sum += (double)a[(size_t)(batch * d.a_batch_stride + row * d.a_row_stride + i * d.a_depth_stride)] *
                       b[(size_t)(batch * d.b_batch_stride + column * d.b_column_stride + i * d.b_depth_stride)];
              }
              ok = ok && output[(size_t)n] == sum;
            }
            report.check(ok, std::string(kernels.items[k].name) + " " + std::to_string(rows) + "x" +
                                 std::to_string(depth) + "x" + std::to_string(columns) + " variant " +
                                 std::to_string(variant));
          }
        }
      }
    }
  }
}

void test_pools(Report& report, const dgc::KernelList<dgc::PoolKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int n = 0; n < 72; n++) {
      dgc::PoolDesc d = {};
      d.kind = n % 2 ? dgc::PoolKind::kMax : dgc::PoolKind::kAverage;
      d.count_padding = n % 4 == 0;
      d.batch = 2;
      const int channels[] = {1, 4, 16, 21, 40, 64};
      d.channels = channels[n % 6];
      d.input_height = 7 + n % 3;
      d.input_width = 5 + n % 5;
      d.kernel_height = 1 + n % 3;
      d.kernel_width = 1 + n / 3 % 4;
      d.stride_height = 1 + n % 2;
      d.stride_width = 1 + n / 2 % 3;
      d.dilation_height = 1 + n / 8 % 2;
      d.dilation_width = 1 + n / 16 % 2;
      d.pad_top = d.kernel_height / 2;
      d.pad_left = d.kernel_width / 2;
      d.output_height = (d.input_height + 2 * d.pad_top - (d.kernel_height - 1) * d.dilation_height - 1) / d.stride_height + 1;
      d.output_width = (d.input_width + 2 * d.pad_left - (d.kernel_width - 1) * d.dilation_width - 1) / d.stride_width + 1;
      if (d.output_height < 1 || d.output_width < 1) continue;
      d.input_pixel_stride = d.channels + n % 3;
      d.output_pixel_stride = d.channels + n % 2;
      Buffer input((size_t)(2 * d.input_height * d.input_width * d.input_pixel_stride), 1);
      Buffer output((size_t)(2 * d.output_height * d.output_width * d.output_pixel_stride));
      Random random((uint32_t)n);
      for (size_t i = 0; i < input.size(); i++) input[i] = random.whole(20);
      bool ok = run_simple(kernels.items[k], d, {input.data(), output.data()}, output);
      for (int at = 0; at < 2 * d.output_height * d.output_width * d.channels; at++) {
        const int c = at % d.channels, pixel = at / d.channels;
        const int x = pixel % d.output_width, y = pixel / d.output_width % d.output_height;
        const int image = pixel / d.output_width / d.output_height;
        double sum = 0, largest = -INFINITY, inside = 0;
        for (int ky = 0; ky < d.kernel_height; ky++) {
          for (int kx = 0; kx < d.kernel_width; kx++) {
            const int iy = y * d.stride_height - d.pad_top + ky * d.dilation_height;
            const int ix = x * d.stride_width - d.pad_left + kx * d.dilation_width;
            if (iy < 0 || ix < 0 || iy >= d.input_height || ix >= d.input_width) continue;
            const double v = input[(size_t)(((image * d.input_height + iy) * d.input_width + ix) * d.input_pixel_stride + c)];
            sum += v;
            largest = fmax(largest, v);
            inside++;
          }
        }
        const double divisor = d.count_padding ? d.kernel_height * d.kernel_width : fmax(inside, 1);
        const double expected = d.kind == dgc::PoolKind::kMax ? largest : sum / divisor;
        ok = ok && close(output[(size_t)(pixel * d.output_pixel_stride + c)], expected, 1e-6, 0);
      }
      report.check(ok, std::string(kernels.items[k].name) + " case " + std::to_string(n));
    }
  }
}

void test_softmax(Report& report, const dgc::KernelList<dgc::SoftmaxKernel>& kernels, bool flushes) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int64_t size : {1, 2, 10, 16, 100, 1000}) {
      for (int64_t inner : {1, 3, 16, 18}) {
        const dgc::SoftmaxDesc d = {3, size, inner};
        Buffer input((size_t)(3 * size * inner), 1), output((size_t)(3 * size * inner));
        Random random((uint32_t)(size + inner));
        fill(input, random, -20.0f, 120.0f);
        bool ok = run_simple(kernels.items[k], d, {input.data(), output.data()}, output);
        for (int64_t row = 0; row < 3 * inner; row++) {
          const size_t start = (size_t)(row / inner * size * inner + row % inner);
          double largest = -INFINITY, sum = 0;
          for (int64_t i = 0; i < size; i++) largest = fmax(largest, input[start + (size_t)(i * inner)]);
          for (int64_t i = 0; i < size; i++) sum += exp(input[start + (size_t)(i * inner)] - largest);
          for (int64_t i = 0; i < size; i++) {
            const size_t at = start + (size_t)(i * inner);
            // x - max is rounded to float: up to 4e-6 at magnitude 100.
            ok = ok && close(output[at], exp(input[at] - largest) / sum, 1e-5, flushes ? FLT_MIN : 1e-40);
          }
        }
        report.check(ok, std::string(kernels.items[k].name) + " " + std::to_string(size) + "x" + std::to_string(inner));
      }
    }
  }
}

}  // namespace

void test_movement_ops(Report& report, const dgc::KernelTable& table);

void test_ops(Report& report, const dgc::KernelTable& table) {
  // NEON of 32-bit ARM takes what is smaller than a normal number for zero.
  const bool flushes = strcmp(table.isa, "neon32") == 0;
  test_activations(report, table.activation, flushes);
  test_binaries(report, table.binary);
  test_channelwise(report, table.channelwise);
  test_matmuls(report, table.matmul);
  test_pools(report, table.pool);
  test_softmax(report, table.softmax, flushes);
  test_movement_ops(report, table);
}

}  // namespace dgc_test
