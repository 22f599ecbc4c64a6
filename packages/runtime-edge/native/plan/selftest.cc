#include <math.h>

#include "session.h"

namespace dgc::edge {
namespace {

// The value of an output that is furthest beyond what is allowed.
struct Worst {
  int64_t at = -1;
  double excess = 0;
  double allowed = 0;
};

double largest_finite(const float* values, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    if (isfinite(values[i])) largest = fmax(largest, fabs(double(values[i])));
  return largest;
}

// NaN is right where NaN is expected, an infinity where the same one is. `max_error` grows to the largest difference.
Worst compare(const float* got, const float* expected, int64_t count, const TestVectors& rule, double& max_error) {
  const double base = double(rule.absolute) + double(rule.tolerance) * largest_finite(expected, count);
  Worst worst;
  for (int64_t i = 0; i < count; ++i) {
    if (got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i]))) continue;
    const double difference = isnan(got[i]) || isnan(expected[i]) ? HUGE_VAL : fabs(double(got[i]) - double(expected[i]));
    const double allowed = isfinite(expected[i]) ? base + double(rule.relative) * fabs(double(expected[i])) : 0;
    max_error = fmax(max_error, difference);
    if (difference - allowed > worst.excess) worst = {i, difference - allowed, allowed};
  }
  return worst;
}

// One run on test vector `index`, whose values begin at `at`; moves `at` behind them.
bool check(Session& session, uint32_t index, const TestVectors& rule, const float*& at, double& max_error, uint64_t& compared, Status& status) {
  Array<const float*> inputs;
  for (const TensorInfo& info : session.plan.inputs) {
    inputs.push(at);
    at += info.shape.elements();
  }
  uint64_t floats = 0;
  for (const TensorInfo& info : session.plan.outputs) floats += uint64_t(info.shape.elements());
  AlignedBuffer results;
  if (!results.allocate(floats * sizeof(float))) return status.fail(DGC_OUT_OF_MEMORY, "no memory for the outputs");
  Array<float*> outputs;
  float* to = static_cast<float*>(results.data());
  for (const TensorInfo& info : session.plan.outputs) {
    outputs.push(to);
    to += info.shape.elements();
  }
  if (!session.run(1, inputs.data(), outputs.data(), status)) return false;
  for (size_t o = 0; o < outputs.size(); ++o) {
    const TensorInfo& info = session.plan.outputs[o];
    const Worst worst = compare(outputs[o], at, info.shape.elements(), rule, max_error);
    compared += uint64_t(info.shape.elements());
    if (worst.at >= 0)
      return status.fail(DGC_INVALID_FILE, "test vector %u: value %lld of output '%s' is %.9g, expected %.9g (allowed difference: %.3g)", index, static_cast<long long>(worst.at), info.name,
                         double(outputs[o][worst.at]), double(at[worst.at]), worst.allowed);
    at += info.shape.elements();
  }
  return true;
}

}  // namespace

bool selftest(const void* bytes, size_t size, const SessionOptions& options, double& max_error, uint64_t& compared, Status& status) {
  max_error = 0;
  compared = 0;
  AlignedBuffer aligned;
  if (!aligned.allocate(size)) return status.fail(DGC_OUT_OF_MEMORY, "no memory for %zu bytes of file", size);
  memcpy(aligned.data(), bytes, size);
  File file;
  if (!read_file(aligned.data(), size, file, status)) return false;
  if (file.vectors.count == 0) return status.fail(DGC_UNSUPPORTED, "the file holds no test vectors");
  Session* session = Session::load(aligned.data(), size, options, status);
  if (session == nullptr) return false;
  const float* at = file.vectors.values;
  bool good = true;
  for (uint32_t v = 0; good && v < file.vectors.count; ++v) good = check(*session, v, file.vectors, at, max_error, compared, status);
  session->~Session();
  free(session);
  return good;
}

}  // namespace dgc::edge
