// A prepared network: the steps of one run in order, their kernels, packed weights and places in memory.
#pragma once

#include "native/kernels/kernel_api.h"
#include "array.h"
#include "reader.h"
#include "shapes.h"
#include "status.h"

namespace dgc::edge {

enum class StepKind : uint8_t {
  Conv,
  ConvTranspose,
  Matmul,
  Pool,
  Resize,
  Softmax,
  Binary,
  Activation,
  Channelwise,
  Reduce,
  Copy,
  Pad,
  Take,
};

union Desc {
  ConvDesc conv;
  MatmulDesc matmul;
  PoolDesc pool;
  ResizeDesc resize;
  SoftmaxDesc softmax;
  BinaryDesc binary;
  ActivationDesc activation;
  ChannelwiseDesc channelwise;
  ReduceDesc reduce;
  CopyDesc copy;
  PadDesc pad;
  TakeDesc take;
};

// A value of the plan and where in it, in floats, a step begins to read or write.
struct Operand {
  int32_t value = -1;
  int64_t offset = 0;
};

struct Step {
  StepKind kind;
  bool batched = false;         // grows with the batch
  bool batch_in_width = false;  // of a dense layer or a product of matrices: the batch are its rows
  bool copies_rows = false;     // of a concatenation: rows of one input into wider rows
  uint8_t in_place = 0;         // bit i: the output may take the place of input i
  uint32_t op = 0;              // of the file
  const void* kernel = nullptr;
  const char* kernel_name = "";
  const void* packed = nullptr;
  const float* constants[2] = {};  // of a channelwise step
  int32_t input_count = 0;
  Operand inputs[2];
  Operand output;
  int64_t cost = 0;  // multiply-adds of a convolution or product, else elements written; for batch 1
  bool counts_macs = false;
  Desc desc;
};

enum class Place : uint8_t { None, Arena, Input, Output, Constant };

// The file's tensors in their order, then what lowering added.
struct Value {
  int64_t floats = 0;  // for batch 1
  bool batched = false;
  Place place = Place::None;
  int32_t alias_of = -1;  // shares the memory of that value, which has a smaller or merged life
  uint32_t border = 0;    // index of the input or output
  uint64_t arena_offset = 0;  // bytes
  const float* constant = nullptr;
};

struct TensorInfo {
  char* name = nullptr;
  Shape shape;
};

struct Plan {
  const KernelTable* kernels = nullptr;
  int32_t max_batch = 1;
  uint64_t memory_limit = 0;
  Array<Step> steps;
  Array<Value> values;
  Array<TensorInfo> inputs;
  Array<TensorInfo> outputs;
  uint64_t arena_bytes = 0;
  uint64_t packed_bytes = 0;
  uint64_t scratch_bytes = 0;  // for each thread
  Array<void*> owned;          // released with the plan
  Array<char> json;

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (void* memory : owned) free(memory);
  }

  // Memory that lives as long as the plan, within its limit; null and a failed status if there is none.
  void* allocate(uint64_t bytes, Status& status);
  int32_t root(int32_t value) const {
    while (values[value].alias_of >= 0) value = values[value].alias_of;
    return value;
  }
};

// A copy of the description for `batch` times the work.
Desc with_batch(const Step& step, int32_t batch);
int64_t work_items(const Step& step, const Desc& desc);
uint64_t scratch_bytes(const Step& step, const Desc& desc);

// Ops → steps with kernels and packed weights.
bool lower(const File& file, const GraphFacts& facts, Plan& plan, Status& status);
// Values → places: what is given and taken stays with the caller, elementwise steps work in place, the rest shares an arena.
bool plan_memory(const File& file, Plan& plan, Status& status);
void describe_plan(const File& file, Plan& plan);

}  // namespace dgc::edge
