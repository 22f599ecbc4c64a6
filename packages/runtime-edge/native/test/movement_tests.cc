// Reduce, resize, copy, pad and take, against plain loops.
#include <math.h>

#include "op_tests.h"

namespace dgc_test {
namespace {

template <typename Desc>
bool run_unary(const dgc::SimpleKernel<Desc, dgc::UnaryArgs>& kernel, const Desc& d, const Buffer& input, Buffer& output) {
  Bytes scratch(kernel.scratch_bytes(d));
  const dgc::UnaryArgs args = {input.data(), output.data()};
  const int64_t items = kernel.work_items(d);
  for (int64_t i = items - 1; i >= 0; i--) kernel.run(d, args, i, i + 1, scratch.data());
  std::vector<float> first(output.data(), output.data() + output.size());
  kernel.run(d, args, 0, items, scratch.data());
  return kernel.supports(d) && output.intact() && memcmp(first.data(), output.data(), first.size() * sizeof(float)) == 0;
}

void count_up(Buffer& buffer) {
  for (size_t i = 0; i < buffer.size(); i++) buffer[i] = (float)(i * 7 % 1013);
}

void test_reduce(Report& report, const dgc::KernelList<dgc::ReduceKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int kind = 0; kind < 4; kind++) {
      for (int mask = 0; mask < 16; mask++) {
        for (int64_t channels : {1, 5, 32}) {
          dgc::ReduceDesc d = {};
          d.kind = (dgc::ReduceKind)kind;
          d.rank = 4;
          const int64_t dims[] = {2, 3, 4, channels};
          int64_t outputs = 1, strides[4];
          for (int i = 3; i >= 0; i--) {
            d.dims[i] = dims[i];
            d.reduced[i] = mask >> i & 1;
            strides[i] = d.reduced[i] ? 0 : outputs;
            if (!d.reduced[i]) outputs *= dims[i];
          }
          Buffer input((size_t)(24 * channels), 1), output((size_t)outputs);
          count_up(input);
          bool ok = run_unary(kernels.items[k], d, input, output);
          std::vector<double> sums((size_t)outputs), largest((size_t)outputs, -INFINITY), smallest((size_t)outputs, INFINITY);
          for (int64_t n = 0; n < 24 * channels; n++) {
            int64_t rest = n, at = 0;
            for (int i = 3; i >= 0; i--) {
              at += rest % dims[i] * strides[i];
              rest /= dims[i];
            }
            sums[(size_t)at] += input[(size_t)n];
            largest[(size_t)at] = fmax(largest[(size_t)at], input[(size_t)n]);
            smallest[(size_t)at] = fmin(smallest[(size_t)at], input[(size_t)n]);
          }
          const double count = (double)(24 * channels) / (double)outputs;
          for (size_t i = 0; i < (size_t)outputs; i++) {
            const double expected = kind == 0 ? sums[i] / count : kind == 1 ? sums[i] : kind == 2 ? largest[i] : smallest[i];
            ok = ok && fabs(output[i] - expected) <= 1e-6 * fabs(expected);
          }
          report.check(ok, std::string(kernels.items[k].name) + " kind " + std::to_string(kind) + " axes " +
                               std::to_string(mask) + " channels " + std::to_string(channels));
        }
      }
    }
  }
}

void test_resize(Report& report, const dgc::KernelList<dgc::ResizeKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    // A ramp in x and y is reproduced by linear resizing wherever no border is involved.
    dgc::ResizeDesc d = {dgc::ResizeMode::kLinear, dgc::ResizeCoordinates::kHalfPixel, dgc::ResizeRounding::kFloor,
                         2, 5, 6, 8, 12, 16, 0.0f, 0.0f};
    Buffer input(2 * 6 * 8 * 5), output(2 * 12 * 16 * 5);
    for (int i = 0; i < 2 * 6 * 8; i++) {
      for (int c = 0; c < 5; c++) input[(size_t)(i * 5 + c)] = (float)(i / 8 % 6 * 16 + i % 8 * 4 + c);
    }
    bool ok = run_unary(kernels.items[k], d, input, output);
    for (int y = 1; y < 11; y++) {
      for (int x = 1; x < 15; x++) {
        const double expected = ((y + 0.5) / 2 - 0.5) * 16 + ((x + 0.5) / 2 - 0.5) * 4;
        ok = ok && output[(size_t)((y * 16 + x) * 5)] == expected;
      }
    }
    report.check(ok, std::string(kernels.items[k].name) + " linear on a ramp");
    d.coordinates = dgc::ResizeCoordinates::kAlignCorners;
    run_unary(kernels.items[k], d, input, output);
    report.check(output[0] == input[0] && output[(12 * 16 - 1) * 5] == input[(6 * 8 - 1) * 5],
                 std::string(kernels.items[k].name) + " aligned corners keep the corners");
    d.mode = dgc::ResizeMode::kNearest;
    d.coordinates = dgc::ResizeCoordinates::kAsymmetric;
    ok = run_unary(kernels.items[k], d, input, output);
    for (int y = 0; y < 12; y++) {
      for (int x = 0; x < 16; x++) ok = ok && output[(size_t)((y * 16 + x) * 5 + 2)] == input[(size_t)((y / 2 * 8 + x / 2) * 5 + 2)];
    }
    report.check(ok, std::string(kernels.items[k].name) + " nearest doubles");
  }
}

void test_copy(Report& report, const dgc::KernelList<dgc::CopyKernel>& kernels) {
  for (int32_t k = 0; k < kernels.count; k++) {
    for (int64_t channels : {1, 3, 8}) {
      // All orders of three dimensions, forwards and with one of them reversed.
      const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
      for (const auto& order : orders) {
        for (int reversed = 0; reversed < 2; reversed++) {
          const int64_t dims[] = {4, 5, channels}, strides[] = {5 * channels, channels, 1};
          dgc::CopyDesc d = {};
          d.rank = 3;
          int64_t stride = 1, offset = 0;
          for (int i = 2; i >= 0; i--) {
            d.dims[i] = dims[order[i]];
            d.input_strides[i] = strides[order[i]];
            d.output_strides[i] = stride;
            stride *= d.dims[i];
          }
          if (reversed) {
            offset = (d.dims[1] - 1) * d.input_strides[1];
            d.input_strides[1] = -d.input_strides[1];
          }
          Buffer input((size_t)stride), output((size_t)stride);
          count_up(input);
          Bytes scratch(kernels.items[k].scratch_bytes(d));
          kernels.items[k].run(d, {input.data() + offset, output.data()}, 0, kernels.items[k].work_items(d), scratch.data());
          bool ok = output.intact() && kernels.items[k].supports(d);
          for (int64_t n = 0; n < stride; n++) {
            const int64_t at[3] = {n / (d.dims[1] * d.dims[2]), n / d.dims[2] % d.dims[1], n % d.dims[2]};
            int64_t from = offset;
            for (int i = 0; i < 3; i++) from += at[i] * d.input_strides[i];
            ok = ok && output[(size_t)n] == input[(size_t)from];
          }
          report.check(ok, std::string(kernels.items[k].name) + " channels " + std::to_string(channels));
        }
      }
    }
  }
}

void test_pad_and_take(Report& report, const dgc::KernelTable& table) {
  for (int32_t k = 0; k < table.pad.count; k++) {
    for (int mode = 0; mode < 3; mode++) {
      dgc::PadDesc d = {};
      d.mode = (dgc::PadMode)mode;
      d.value = 42.0f;
      d.rank = 3;
      const int64_t dims[] = {3, 4, 5}, before[] = {1, 0, 2}, after[] = {2, -1, 3};
      for (int i = 0; i < 3; i++) d.dims[i] = dims[i], d.before[i] = before[i], d.after[i] = after[i];
      Buffer input(60), output(6 * 3 * 10);
      count_up(input);
      bool ok = run_unary(table.pad.items[k], d, input, output);
      for (int n = 0; n < 180; n++) {
        const int64_t at[] = {n / 30 - 1, n / 10 % 3, n % 10 - 2};
        int64_t from = 0;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
          int64_t p = at[i];
          inside = inside && p >= 0 && p < dims[i];
          if (mode == 1) p = p < 0 ? -p : p >= dims[i] ? 2 * (dims[i] - 1) - p : p;
          if (mode == 2) p = p < 0 ? 0 : p >= dims[i] ? dims[i] - 1 : p;
          from = from * dims[i] + p;
        }
        ok = ok && output[(size_t)n] == (mode == 0 && !inside ? 42.0f : input[(size_t)from]);
      }
      report.check(ok, std::string(table.pad.items[k].name) + " mode " + std::to_string(mode));
    }
  }
  for (int32_t k = 0; k < table.take.count; k++) {
    for (int64_t inner : {1, 3, 16}) {
      for (int64_t size : {1, 7, 31, 32, 48, 64, 65, 100, 128, 200}) {  // also whole registers, and more than there are
        for (int64_t count : {1, 5, 16, 41}) {
          std::vector<int32_t> indices((size_t)count);
          for (int64_t i = 0; i < count; i++) indices[(size_t)i] = (int32_t)((i * 23 + size - 1) % size);
          const dgc::TakeDesc d = {4, size, inner, count, indices.data()};
          Buffer input((size_t)(4 * size * inner)), output((size_t)(4 * count * inner));
          count_up(input);
          bool ok = run_unary(table.take.items[k], d, input, output);
          for (int64_t n = 0; n < 4 * count * inner; n++) {
            const int64_t outer = n / (count * inner), index = n / inner % count;
            ok = ok && output[(size_t)n] == input[(size_t)((outer * size + indices[(size_t)index]) * inner + n % inner)];
          }
          report.check(ok, std::string(table.take.items[k].name) + " inner " + std::to_string(inner) + " of " + std::to_string(size));
        }
      }
    }
  }
}

}  // namespace

void test_movement_ops(Report& report, const dgc::KernelTable& table) {
  test_reduce(report, table.reduce);
  test_resize(report, table.resize);
  test_copy(report, table.copy);
  test_pad_and_take(report, table);
}

}  // namespace dgc_test
