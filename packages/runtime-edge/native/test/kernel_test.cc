// kernel-test [n [isa]]: runs every kernel of every table that this CPU can execute, or of one instruction set, on every small
// and every n-th large convolution (default 1). Small integers have to agree with the scalar reference to the
// bit, whatever the order of the sums; seeded floats within the stated tolerance; and no item of work may depend on how the
// others are distributed.
#include <math.h>

#include "conv_cases.h"
#include "op_tests.h"

namespace dgc_test {
namespace {

struct ConvData {
  Buffer input, kernel, bias, scale, shift, residual;

  ConvData(const dgc::ConvDesc& d, size_t kernel_count, bool whole, uint32_t seed)
      : input(span(d.batch, d.input_height, d.input_width, d.input_pixel_stride, d.input_channels), seed % 3),
        kernel(kernel_count),
        bias((size_t)d.output_channels),
        scale((size_t)d.input_channels),
        shift((size_t)d.input_channels),
        residual(span(d.batch, d.output_height, d.output_width, d.residual_pixel_stride, d.output_channels), seed % 2) {
    Random random(seed);
    for (Buffer* buffer : {&input, &kernel, &bias, &scale, &shift, &residual}) {
      for (size_t i = 0; i < buffer->size(); i++) (*buffer)[i] = whole ? random.whole(4) : random.uniform(-1.0f, 1.0f);
    }
  }

  static size_t span(int n, int h, int w, int64_t stride, int channels) {
    const int64_t pixels = (int64_t)n * h * w;
    return pixels == 0 ? 0 : (size_t)((pixels - 1) * stride + channels);
  }
};

// Runs a kernel; `backwards` hands out single items from the last to the first, with a scratch of their own.
bool run_conv(const dgc::ConvKernel& kernel, const dgc::ConvDesc& d, const ConvData& data, bool backwards, Buffer& output) {
  for (size_t i = 0; i < output.size(); i++) output[i] = -12345.0f;
  Bytes packed(kernel.packed_bytes(d));
  Bytes scratch(kernel.scratch_bytes(d));
  kernel.pack(d, {data.kernel.data(), data.bias.data(), data.scale.data(), data.shift.data()}, packed.data());
  const dgc::ConvArgs args = {data.input.data(), data.residual.data(), packed.data(), output.data()};
  const int64_t items = kernel.work_items(d);
  if (backwards) {
    for (int64_t i = items - 1; i >= 0; i--) kernel.run(d, args, i, i + 1, scratch.data());
  } else {
    kernel.run(d, args, 0, items, scratch.data());
  }
  return output.intact() && packed.intact() && scratch.intact();
}

double largest_difference(const Buffer& a, const Buffer& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); i++) {
    const double difference = fabs((double)a[i] - (double)b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

// A dot product of n terms of magnitude up to 1 may differ by its order of summation; the activations have slope <= 1.5.
double float_tolerance(const dgc::ConvDesc& d) {
  const double terms = (double)d.group_inputs * d.kernel_height * d.kernel_width;
  return 2e-7 * (4.0 + terms) + 1e-6;
}

void test_convs(Report& report, const dgc::KernelTable& table, const dgc::KernelList<dgc::ConvKernel>& kernels,
                const dgc::ConvKernel& reference, const std::vector<ConvCase>& cases, bool transposed, bool sampled) {
  std::vector<int> used((size_t)kernels.count);
  for (size_t at = 0; at < cases.size(); at++) {
    const dgc::ConvDesc& d = cases[at].desc;
    const size_t taps = (size_t)(d.kernel_height * d.kernel_width);
    const size_t weights = transposed ? (size_t)d.input_channels * (size_t)(d.output_channels / d.groups) * taps
                                      : (size_t)d.output_channels * (size_t)d.group_inputs * taps;
    const size_t outputs =
        ConvData::span(d.batch, d.output_height, d.output_width, d.output_pixel_stride, d.output_channels);
    for (bool whole : {true, false}) {
      const ConvData data(d, weights, whole, (uint32_t)(at * 2 + whole));
      Buffer expected(outputs), got(outputs), again(outputs);
      run_conv(reference, d, data, false, expected);
      // x / 6 of hard-swish rounds, and may do so differently from the reference.
      const bool exact = whole && d.activation.kind != dgc::ActivationKind::kHardSwish;
      const double tolerance = exact ? 0.0 : whole ? 1e-5 : float_tolerance(d);
      for (int32_t k = 0; k < kernels.count; k++) {
        const dgc::ConvKernel& kernel = kernels.items[k];
        if (!kernel.supports(d)) continue;
        used[(size_t)k]++;
        const std::string name = std::string(kernel.name) + " on " + describe(d);
        report.check(run_conv(kernel, d, data, false, got), name + ": wrote outside of its buffers");
        run_conv(kernel, d, data, true, again);
        report.check(memcmp(got.data(), again.data(), outputs * sizeof(float)) == 0,
                     name + ": the result depends on the distribution of work");
        const double difference = largest_difference(got, expected);
        report.check(difference <= tolerance, name + (whole ? ": integers" : ": floats") + " differ by " +
                                                  std::to_string(difference) + ", allowed " + std::to_string(tolerance));
      }
    }
  }
  for (int32_t k = 0; k < kernels.count; k++) {
    report.check(used[(size_t)k] > 0 || sampled,
                 std::string(kernels.items[k].name) + " of " + table.isa + ": no case reaches this kernel");
  }
}

}  // namespace
}  // namespace dgc_test

int main(int argc, char** argv) {
  using namespace dgc_test;
  Report report;
  const std::vector<const dgc::KernelTable*> tables = runnable_tables();
  const std::vector<ConvCase> cases = conv_cases(argc > 1 ? (size_t)atoi(argv[1]) : 1);
  const std::vector<ConvCase> transposed = transposed_cases();
  const dgc::KernelTable& scalar = *tables[0];
  for (const dgc::KernelTable* table : tables) {
    if (argc > 2 && strcmp(argv[2], table->isa) != 0) continue;
    test_convs(report, *table, table->conv2d, scalar.conv2d.items[scalar.conv2d.count - 1], cases, false, argc > 1);
    test_convs(report, *table, table->conv2d_transpose,
               scalar.conv2d_transpose.items[scalar.conv2d_transpose.count - 1], transposed, true, argc > 1);
    test_ops(report, *table);
    printf("%s done\n", table->isa);
  }
  return report.finish();
}
