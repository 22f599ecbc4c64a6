// Times every convolution kernel that supports a case, interleaved with a loop of multiply-adds in registers that shows the
// core's peak: kernel-bench SHAPES|- [isa] [runs] [all|best|run-only]. Prints GFLOP/s by 2 * multiply-adds (taps on padding counted: nominal) and
// the share of the peak of those executed (taps on padding left out). CPU time of the thread, medians.
//
// A line of SHAPES: name channels_in channels_out height width groups kernel stride; # starts a comment.
#include <time.h>
#ifdef __wasm__
#include <wasi/api.h>
#endif

#include <algorithm>

#include "conv_cases.h"
#include "fma_peak.h"

namespace dgc_test {
namespace {

double cpu_seconds() {
#ifdef __wasm__
  // The clock that WASI has but its libc does not name.
  __wasi_timestamp_t nanoseconds = 0;
  (void)!__wasi_clock_time_get(3, 1, &nanoseconds);
  return 1e-9 * (double)nanoseconds;
#else
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Multiply-adds with both operands inside of the image, for one input and output channel pair.
int64_t executed_taps(int output, int input, int kernel, int stride, int pad) {
  int64_t count = 0;
  for (int o = 0; o < output; o++) {
    for (int k = 0; k < kernel; k++) {
      const int at = o * stride - pad + k;
      count += at >= 0 && at < input;
    }
  }
  return count;
}

struct Measurement {
  const dgc::ConvKernel* kernel;
  Bytes packed, scratch;
  std::vector<double> seconds;
  Measurement(const dgc::ConvKernel& k, const dgc::ConvDesc& d)
      : kernel(&k), packed(k.packed_bytes(d)), scratch(k.scratch_bytes(d)) {}
};

void bench(const char* name, const dgc::KernelTable& table, const dgc::ConvDesc& d, int runs, bool best_only) {
  Buffer input((size_t)d.input_height * d.input_width * d.input_channels), bias((size_t)d.output_channels);
  Buffer weights((size_t)d.output_channels * d.group_inputs * d.kernel_height * d.kernel_width);
  Buffer output((size_t)d.output_height * d.output_width * d.output_channels);
  Random random(1);
  for (Buffer* buffer : {&input, &bias, &weights}) {
    for (size_t i = 0; i < buffer->size(); i++) (*buffer)[i] = random.uniform(-1.0f, 1.0f);
  }
  std::vector<Measurement*> measurements;
  for (int32_t k = 0; k < table.conv2d.count; k++) {
    const dgc::ConvKernel& kernel = table.conv2d.items[k];
    const bool reference = strstr(kernel.name, "_reference_") != nullptr;
    if (!kernel.supports(d) || (reference && !measurements.empty())) continue;
    measurements.push_back(new Measurement(kernel, d));
    kernel.pack(d, {weights.data(), bias.data(), nullptr, nullptr}, measurements.back()->packed.data());
    if (best_only) break;
  }
  std::vector<double> peaks;
  const double nominal = 2.0 * d.output_channels * d.group_inputs * d.kernel_height * d.kernel_width * d.output_height * d.output_width;
  const double executed = 2.0 * d.output_channels * d.group_inputs *
                          (double)executed_taps(d.output_height, d.input_height, d.kernel_height, d.stride_height, d.pad_top) *
                          (double)executed_taps(d.output_width, d.input_width, d.kernel_width, d.stride_width, d.pad_left);
  const int repeats = std::max(1, (int)(2e7 / nominal));
  for (int run = -1; run < runs; run++) {
    for (Measurement* m : measurements) {
      const double peak_start = cpu_seconds();
      const double flops = fma_peak(table.vector_floats, 200000);
      const double peak = flops / (cpu_seconds() - peak_start);
      const dgc::ConvArgs args = {input.data(), nullptr, m->packed.data(), output.data()};
      const int64_t items = m->kernel->work_items(d);
      m->kernel->run(d, args, 0, items, m->scratch.data());  // what others left in the caches is not this kernel's
      const double start = cpu_seconds();
      for (int i = 0; i < repeats; i++) m->kernel->run(d, args, 0, items, m->scratch.data());
      if (run < 0) continue;
      m->seconds.push_back((cpu_seconds() - start) / repeats);
      peaks.push_back(peak);
    }
  }
  const double peak = median(peaks);
  for (Measurement* m : measurements) {
    const double seconds = median(m->seconds);
    printf("%-22s %-52s %7.1f GFLOP/s nominal, %5.1f %% executed of %.1f (fastest run %.1f)\n", name, m->kernel->name, nominal / seconds / 1e9,
           100.0 * executed / seconds / peak, peak / 1e9,
           nominal / *std::min_element(m->seconds.begin(), m->seconds.end()) / 1e9);
    delete m;
  }
  fflush(stdout);
}

// Runs the preferred kernel so often and nothing else, for counters from outside, and prints the executed multiply-adds.
void run_only(const dgc::KernelTable& table, const dgc::ConvDesc& d, int runs) {
  Buffer input((size_t)d.input_height * d.input_width * d.input_channels);
  Buffer weights((size_t)d.output_channels * d.group_inputs * d.kernel_height * d.kernel_width);
  Buffer output((size_t)d.output_height * d.output_width * d.output_channels);
  for (size_t i = 0; i < input.size(); i++) input[i] = 1.0f;
  for (size_t i = 0; i < weights.size(); i++) weights[i] = 1.0f;
  const dgc::ConvKernel* kernel = table.conv2d.items;
  while (!kernel->supports(d)) kernel++;
  Bytes packed(kernel->packed_bytes(d)), scratch(kernel->scratch_bytes(d));
  kernel->pack(d, {weights.data(), nullptr, nullptr, nullptr}, packed.data());
  for (int i = 0; i < runs; i++) {
    kernel->run(d, {input.data(), nullptr, packed.data(), output.data()}, 0, kernel->work_items(d), scratch.data());
  }
  const int64_t taps = executed_taps(d.output_height, d.input_height, d.kernel_height, d.stride_height, d.pad_top) *
                       executed_taps(d.output_width, d.input_width, d.kernel_width, d.stride_width, d.pad_left);
  printf("%s %lld\n", kernel->name, (long long)(taps * d.output_channels * d.group_inputs));
}

}  // namespace
}  // namespace dgc_test

int main(int argc, char** argv) {
  using namespace dgc_test;
  FILE* shapes = argc > 1 && strcmp(argv[1], "-") != 0 ? fopen(argv[1], "r") : stdin;
  if (!shapes) {
    fprintf(stderr, "kernel-bench: cannot read %s\n", argv[1]);
    return 3;
  }
  const std::vector<const dgc::KernelTable*> tables = runnable_tables();
  const dgc::KernelTable* table = tables.back();
  for (const dgc::KernelTable* candidate : tables) {
    if (argc > 2 && strcmp(argv[2], candidate->isa) == 0) table = candidate;
  }
  const int runs = argc > 3 ? atoi(argv[3]) : 15;
  const bool only = argc > 4 && strcmp(argv[4], "run-only") == 0;
  const bool best_only = argc > 4 && strcmp(argv[4], "best") == 0;
  char line[256];
  while (fgets(line, sizeof(line), shapes)) {
    char name[64];
    int in, out, height, width, groups, kernel, stride;
    if (line[0] == '#') continue;
    if (sscanf(line, "%63s %d %d %d %d %d %d %d", name, &in, &out, &height, &width, &groups, &kernel, &stride) != 8) continue;
    ConvCase c = conv_case(1, height, width, groups, in / groups, out / groups, kernel, stride);
    c.desc.activation.kind = dgc::ActivationKind::kRelu;
    if (only) run_only(*table, c.desc, runs);
    else bench(name, *table, c.desc, runs, best_only);
  }
  return 0;
}
