#include "operations.h"

#include <string.h>

#include "batch_norm.h"
#include "conv.h"
#include "elementwise.h"
#include "gates.h"

namespace dgc {
namespace {

struct InstructionSet {
  const char* name;
  const KernelTable* (*kernels)();
};

bool available(const char* name) {
#if defined(__x86_64__)
  if (!strcmp(name, "avx512")) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !strcmp(name, "baseline");
}

constexpr InstructionSet kInstructionSets[] = {
#if defined(__x86_64__)
    {"avx512", kernelsAvx512},
    {"avx2", kernelsAvx2},
#endif
    {"baseline", kernelsBaseline},
};

constexpr int kInstructionSetCount = sizeof kInstructionSets / sizeof *kInstructionSets;

#define DGC_INTEGER_FIELD(name) s.name = static_cast<long>(*p++);
#define DGC_REAL_FIELD(name) s.name = *p++;
#define DGC_COUNT_FIELD(name) +1
#define DGC_READER(Type, FIELDS)                                              \
  bool readParams(Type& s, const double* p, int count) {                      \
    if (count != 0 FIELDS(DGC_COUNT_FIELD, DGC_COUNT_FIELD)) return false;    \
    FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD)                                 \
    return true;                                                              \
  }
DGC_READER(ConvParams, DGC_CONV_FIELDS)
DGC_READER(BatchNormParams, DGC_BATCH_NORM_FIELDS)
DGC_READER(ElementsParams, DGC_ELEMENTS_FIELDS)
DGC_READER(BinaryParams, DGC_BINARY_FIELDS)
DGC_READER(ReduceParams, DGC_REDUCE_FIELDS)
DGC_READER(MomentumParams, DGC_MOMENTUM_FIELDS)
DGC_READER(PairsParams, DGC_PAIRS_FIELDS)
DGC_READER(GateSumsParams, DGC_GATE_SUMS_FIELDS)
DGC_READER(PoolParams, DGC_POOL_FIELDS)

// Buffers of one call, checked against the sizes that the parameters ask for.
class Buffers {
 public:
  Buffers(const Buffer* buffers, int count) : buffers_(buffers), count_(count) {}
  Status need(int index, int64_t elements) const {
    if (index >= count_) return Status::wrongBufferCount;
    return buffers_[index].elements < elements ? Status::bufferTooSmall : Status::ok;
  }
  float* operator[](int index) const { return buffers_[index].floats(); }
  const int32_t* order(int index) const { return buffers_[index].elements ? buffers_[index].integers() : nullptr; }

 private:
  const Buffer* buffers_;
  int count_;
};

#define DGC_CHECK(condition) \
  if (const Status status = (condition); status != Status::ok) return status

// An order that is there must be that long, and name channels that exist.
Status checkOrder(const Buffer& buffer, long length, long bound) {
  if (buffer.elements == 0) return Status::ok;
  if (buffer.elements != length) return Status::invalidParameter;
  for (long i = 0; i < length; i++)
    if (buffer.integers()[i] < 0 || buffer.integers()[i] >= bound) return Status::invalidParameter;
  return Status::ok;
}

Status runConv(const KernelTable& kernels, Operation operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  ConvParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  const Buffers b(buffers, bufferCount);
  const bool positive = p.batch >= 0 && p.inputHeight > 0 && p.inputWidth > 0 && p.inputChannels > 0 && p.outputHeight > 0 && p.outputWidth > 0 &&
                        p.outputChannels > 0 && p.filterHeight > 0 && p.filterWidth > 0 && p.strideHeight > 0 && p.strideWidth > 0 &&
                        p.dilationHeight > 0 && p.dilationWidth > 0 && p.groups > 0;
  if (!positive || p.inputChannels % p.groups || p.outputChannels % p.groups) return Status::invalidParameter;
  const int64_t xImage = static_cast<int64_t>(p.inputHeight) * p.inputWidth * p.inputChannels;
  const int64_t yImage = static_cast<int64_t>(p.outputHeight) * p.outputWidth * p.outputChannels;
  if (xImage > INT32_MAX || yImage > INT32_MAX) return Status::invalidParameter;
  const int64_t x = p.batch * xImage, y = p.batch * yImage;
  const int64_t filter = static_cast<int64_t>(p.filterHeight) * p.filterWidth * (p.inputChannels / p.groups) * p.outputChannels;
  if (operation == Operation::convFilterGradients) {
    DGC_CHECK(b.need(0, x));
    DGC_CHECK(b.need(1, y));
    DGC_CHECK(b.need(4, 0));
    DGC_CHECK(checkOrder(buffers[2], p.inputChannels, p.inputChannels));
    DGC_CHECK(checkOrder(buffers[3], p.outputChannels, p.outputChannels));
    const long products = bufferCount - 5;
    DGC_CHECK(b.need(4, products * p.groups));
    DGC_CHECK(checkOrder(buffers[4], products * p.groups, p.groups));
    for (int i = 5; i < bufferCount; i++) DGC_CHECK(b.need(i, filter));
    convFilterGradients(kernels, p, b[0], b[1], b.order(2), b.order(3), products, buffers[4].integers(), buffers + 5);
    return Status::ok;
  }
  const bool forward = operation == Operation::conv;
  DGC_CHECK(b.need(0, forward ? x : y));
  DGC_CHECK(b.need(1, filter));
  DGC_CHECK(b.need(2, forward ? y : x));
  DGC_CHECK(b.need(4, 0));
  DGC_CHECK(checkOrder(buffers[3], p.inputChannels, p.inputChannels));
  DGC_CHECK(checkOrder(buffers[4], p.outputChannels, p.outputChannels));
  (forward ? convForward : convInputGradient)(kernels, p, b[0], b[1], b[2], b.order(3), b.order(4));
  return Status::ok;
}

Status runBatchNorm(const KernelTable& kernels, Operation operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  BatchNormParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.rows <= 0 || p.channels <= 0) return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const bool forward = operation == Operation::batchNorm;
  const int64_t all = static_cast<int64_t>(p.rows) * p.channels;
  for (int i = 0; i < (forward ? 6 : 9); i++) {
    const bool whole = i == 0 || (forward ? i == 3 : i == 1 || i == 6);
    DGC_CHECK(b.need(i, whole ? all : p.channels));
  }
  if (forward)
    batchNorm(kernels, p, b[0], b[1], b[2], b[3], b[4], b[5]);
  else
    batchNormGradient(kernels, p, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]);
  return Status::ok;
}

Status runElements(const KernelTable& kernels, Operation operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  ElementsParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.elements < 0) return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const int needed = operation == Operation::reluGradient || operation == Operation::addRelu ? 3 : 2;
  if (bufferCount < needed) return Status::wrongBufferCount;
  for (int i = 0; i < bufferCount; i++) DGC_CHECK(b.need(i, p.elements));
  if (operation == Operation::relu) relu(kernels, p, b[0], b[1]);
  if (operation == Operation::reluGradient) reluGradient(kernels, p, b[0], b[1], b[2]);
  if (operation == Operation::addRelu) addRelu(kernels, p, b[0], b[1], b[2]);
  if (operation == Operation::step) step(kernels, p, b[0], b[1]);
  if (operation == Operation::addMany) addMany(kernels, p, b[0], buffers + 1, bufferCount - 1);
  return Status::ok;
}

Status runBinary(const KernelTable& kernels, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  BinaryParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.kind < 0 || p.kind >= kBinaryKinds) return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const long sizes[] = {p.size0, p.size1, p.size2, p.size3};
  const long stridesA[] = {p.strideA0, p.strideA1, p.strideA2, p.strideA3}, stridesB[] = {p.strideB0, p.strideB1, p.strideB2, p.strideB3};
  int64_t elements = 1, lastA = 0, lastB = 0;
  for (int i = 0; i < 4; i++) {
    if (sizes[i] <= 0 || stridesA[i] < 0 || stridesB[i] < 0) return Status::invalidParameter;
    elements *= sizes[i];
    lastA += static_cast<int64_t>(sizes[i] - 1) * stridesA[i];
    lastB += static_cast<int64_t>(sizes[i] - 1) * stridesB[i];
  }
  if (p.strideA3 > 1 || p.strideB3 > 1) return Status::invalidParameter;
  DGC_CHECK(b.need(0, lastA + 1));
  DGC_CHECK(b.need(1, lastB + 1));
  DGC_CHECK(b.need(2, elements));
  binary(kernels, p, b[0], b[1], b[2]);
  return Status::ok;
}

Status runSum(const KernelTable& kernels, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  ReduceParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.outer < 0 || p.reduced < 0 || p.inner < 0) return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  DGC_CHECK(b.need(0, static_cast<int64_t>(p.outer) * p.reduced * p.inner));
  DGC_CHECK(b.need(1, static_cast<int64_t>(p.outer) * p.inner));
  sum(kernels, p, b[0], b[1]);
  return Status::ok;
}

Status runMomentum(const KernelTable& kernels, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  MomentumParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  const Buffers b(buffers, bufferCount);
  for (int i = 0; i < 5; i++) DGC_CHECK(b.need(i, p.elements));
  momentum(kernels, p, b[0], b[1], b[2], b[3], b[4]);
  return Status::ok;
}

Status runPool(const KernelTable& kernels, Operation operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  PoolParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  // Every window must meet the image.
  const auto covers = [](long input, long output, long filter, long stride, long pad) {
    return input > 0 && output > 0 && stride > 0 && pad >= 0 && pad < filter && (output - 1) * stride - pad < input;
  };
  if (p.batch < 0 || p.channels <= 0 || !covers(p.inputHeight, p.outputHeight, p.filterHeight, p.strideHeight, p.padTop) ||
      !covers(p.inputWidth, p.outputWidth, p.filterWidth, p.strideWidth, p.padLeft))
    return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const int64_t x = static_cast<int64_t>(p.batch) * p.inputHeight * p.inputWidth * p.channels;
  const int64_t y = static_cast<int64_t>(p.batch) * p.outputHeight * p.outputWidth * p.channels;
  DGC_CHECK(b.need(0, x));
  DGC_CHECK(b.need(1, y));
  if (operation == Operation::pool) {
    pool(kernels, p, b[0], b[1]);
    return Status::ok;
  }
  DGC_CHECK(b.need(2, y));
  DGC_CHECK(b.need(3, x));
  poolGradient(kernels, p, b[0], b[1], b[2], b[3]);
  return Status::ok;
}

Status runPairs(Operation operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  PairsParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.taps <= 0 || p.channelsIn <= 0 || p.channelsOut <= 0 || p.groups <= 0 || p.channelsIn % p.groups || p.channelsOut % p.groups)
    return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const bool compacts = operation == Operation::compactKernel;
  const int64_t dense = static_cast<int64_t>(p.taps) * p.channelsIn * p.channelsOut, compact = dense / p.groups;
  DGC_CHECK(b.need(0, compacts ? dense : compact));
  DGC_CHECK(b.need(4, compacts ? compact : dense));
  DGC_CHECK(checkOrder(buffers[1], p.channelsIn, p.channelsIn));
  DGC_CHECK(checkOrder(buffers[2], p.channelsOut, p.channelsOut));
  DGC_CHECK(b.need(3, p.groups));
  DGC_CHECK(checkOrder(buffers[3], p.groups, p.groups));
  (compacts ? compactKernel : expandKernel)(p, b[0], b.order(1), b.order(2), b.order(3), b[4]);
  return Status::ok;
}

Status runGateSums(const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  GateSumsParams p;
  if (!readParams(p, params, paramCount)) return Status::wrongParameterCount;
  if (p.taps <= 0 || p.channelsOut <= 0 || p.groups <= 0 || p.groupIn <= 0 || p.digits < 0 || p.channelsOut % p.groups) return Status::invalidParameter;
  const Buffers b(buffers, bufferCount);
  const int64_t size = static_cast<int64_t>(p.taps) * p.groupIn * p.channelsOut;
  DGC_CHECK(b.need(0, size));
  DGC_CHECK(b.need(1, size));
  DGC_CHECK(b.need(2, p.digits * p.groupIn));
  DGC_CHECK(b.need(3, p.digits * (p.channelsOut / p.groups)));
  DGC_CHECK(b.need(4, p.digits + 1));
  gateSums(p, b[0], b[1], buffers[2].integers(), buffers[3].integers(), b[4]);
  return Status::ok;
}

}  // namespace

Status run(int instructionSet, int operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount) {
  const Operation which = static_cast<Operation>(operation);
  if (instructionSet < 0 || instructionSet >= kInstructionSetCount) return Status::invalidParameter;
  const KernelTable& kernels = *kInstructionSets[instructionSet].kernels();
  switch (which) {
    case Operation::conv:
    case Operation::convInputGradient:
    case Operation::convFilterGradients:
      return runConv(kernels, which, params, paramCount, buffers, bufferCount);
    case Operation::batchNorm:
    case Operation::batchNormGradient:
      return runBatchNorm(kernels, which, params, paramCount, buffers, bufferCount);
    case Operation::relu:
    case Operation::reluGradient:
    case Operation::addRelu:
    case Operation::step:
    case Operation::addMany:
      return runElements(kernels, which, params, paramCount, buffers, bufferCount);
    case Operation::binary:
      return runBinary(kernels, params, paramCount, buffers, bufferCount);
    case Operation::sum:
      return runSum(kernels, params, paramCount, buffers, bufferCount);
    case Operation::momentum:
      return runMomentum(kernels, params, paramCount, buffers, bufferCount);
    case Operation::pool:
    case Operation::poolGradient:
      return runPool(kernels, which, params, paramCount, buffers, bufferCount);
    case Operation::compactKernel:
    case Operation::expandKernel:
      return runPairs(which, params, paramCount, buffers, bufferCount);
    case Operation::gateSums:
      return runGateSums(params, paramCount, buffers, bufferCount);
    case Operation::count:
      break;
  }
  return Status::unknownOperation;
}

#define DGC_FIELD_NAME(name) #name ","
#define OP(name, fields) #name ":" fields(DGC_FIELD_NAME, DGC_FIELD_NAME) ";"
const char* schema() { return DGC_OPERATIONS(OP); }
#undef OP

int findInstructionSet(const char* name) {
  for (int i = 0; i < kInstructionSetCount; i++)
    if ((!strcmp(name, "best") || !strcmp(name, kInstructionSets[i].name)) && available(kInstructionSets[i].name)) return i;
  return -1;
}

const char* instructionSetName(int instructionSet) {
  return instructionSet >= 0 && instructionSet < kInstructionSetCount ? kInstructionSets[instructionSet].name : "";
}

}  // namespace dgc
