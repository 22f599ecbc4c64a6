// The operations of schema.inc: parameters as structs, buffers by position, and one entry point that every binding calls.
#pragma once
#include <stdint.h>

#include "schema.inc"

namespace dgc {

enum class Operation : int {
#define OP(name, fields) name,
  DGC_OPERATIONS(OP)
#undef OP
      count
};

#define DGC_INTEGER_FIELD(name) long name;
#define DGC_REAL_FIELD(name) double name;
struct ConvParams { DGC_CONV_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct BatchNormParams { DGC_BATCH_NORM_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct ElementsParams { DGC_ELEMENTS_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct BinaryParams { DGC_BINARY_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct ReduceParams { DGC_REDUCE_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct MomentumParams { DGC_MOMENTUM_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct PairsParams { DGC_PAIRS_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct GateSumsParams { DGC_GATE_SUMS_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
struct PoolParams { DGC_POOL_FIELDS(DGC_INTEGER_FIELD, DGC_REAL_FIELD) };
#undef DGC_INTEGER_FIELD
#undef DGC_REAL_FIELD

// A typed array of the caller: 32-bit elements, float or integer as the operation expects.
struct Buffer {
  void* data;
  int64_t elements;
  float* floats() const { return static_cast<float*>(data); }
  const int32_t* integers() const { return static_cast<const int32_t*>(data); }
};

enum class Status : int { ok, unknownOperation, wrongParameterCount, wrongBufferCount, bufferTooSmall, invalidParameter };

// Number of an instruction set that this machine and this build have, or -1. "best" is the widest.
int findInstructionSet(const char* name);
const char* instructionSetName(int instructionSet);

// Runs one operation on an instruction set that findInstructionSet gave. The caller keeps every buffer alive and unaliased, except where an operation says
// that it works in place.
Status run(int instructionSet, int operation, const double* params, int paramCount, const Buffer* buffers, int bufferCount);

// "name:parameter,parameter;name:…" in the order of the operations' numbers.
const char* schema();

}  // namespace dgc
