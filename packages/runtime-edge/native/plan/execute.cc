#include "execute.h"

#include <time.h>

namespace dgc::edge {
namespace {

// A step with less work than this runs on the calling thread: waking others costs more.
constexpr int64_t kWorkWorthThreads = 1 << 15;

float* resolve(const ExecuteContext& context, const Operand& operand) {
  const Value& value = context.plan->values[context.plan->root(operand.value)];
  switch (value.place) {
    case Place::Arena: return reinterpret_cast<float*>(context.arena + value.arena_offset) + operand.offset;
    case Place::Input: return const_cast<float*>(context.inputs[value.border]) + operand.offset;
    case Place::Output: return context.outputs[value.border] + operand.offset;
    case Place::Constant: return const_cast<float*>(value.constant) + operand.offset;
    case Place::None: break;
  }
  return nullptr;
}

// What the threads read all the time, on cache lines of its own: the caller's stack around it is written all the time.
template <typename Kernel, typename Description, typename Args>
struct alignas(64) Call {
  const Kernel* kernel;
  Description desc;
  Args args;
  char* scratch;
  uint64_t scratch_stride;

  static void run(void* context, int64_t begin, int64_t end, int32_t thread) {
    const Call& call = *static_cast<const Call*>(context);
    call.kernel->run(call.desc, call.args, begin, end, call.scratch + call.scratch_stride * uint64_t(thread));
  }
};

template <typename Kernel, typename Description, typename Args>
void call_kernel(const ExecuteContext& context, const Step& step, const Description& desc, const Args& args) {
  const Kernel* kernel = static_cast<const Kernel*>(step.kernel);
  Call<Kernel, Description, Args> call = {kernel, desc, args, context.scratch, context.scratch_stride};
  const int64_t items = kernel->work_items(desc);
  const int64_t cost = step.batched && step.cost < INT64_MAX / context.batch ? step.cost * context.batch : step.cost;
  if (cost < kWorkWorthThreads) {
    if (items > 0) call.run(&call, 0, items, 0);
  } else {
    context.pool->run(items, call.run, &call);
  }
}

void execute_step(const ExecuteContext& context, const Step& step) {
  const float* first = step.input_count > 0 ? resolve(context, step.inputs[0]) : nullptr;
  const float* second = step.input_count > 1 ? resolve(context, step.inputs[1]) : nullptr;
  float* output = resolve(context, step.output);
  const Desc desc = with_batch(step, context.batch);
  const UnaryArgs unary = {first, output};
  const BinaryArgs binary = {first, second, output};
  switch (step.kind) {
    case StepKind::Conv:
    case StepKind::ConvTranspose: return call_kernel<ConvKernel>(context, step, desc.conv, ConvArgs{first, second, step.packed, output});
    case StepKind::Matmul: return call_kernel<MatmulKernel>(context, step, desc.matmul, binary);
    case StepKind::Pool: return call_kernel<PoolKernel>(context, step, desc.pool, unary);
    case StepKind::Resize: return call_kernel<ResizeKernel>(context, step, desc.resize, unary);
    case StepKind::Softmax: return call_kernel<SoftmaxKernel>(context, step, desc.softmax, unary);
    case StepKind::Binary: return call_kernel<BinaryKernel>(context, step, desc.binary, binary);
    case StepKind::Activation: return call_kernel<ActivationKernel>(context, step, desc.activation, unary);
    case StepKind::Channelwise:
      return call_kernel<ChannelwiseKernel>(context, step, desc.channelwise, ChannelwiseArgs{first, step.constants[0], step.constants[1], output});
    case StepKind::Reduce: return call_kernel<ReduceKernel>(context, step, desc.reduce, unary);
    case StepKind::Copy: return call_kernel<CopyKernel>(context, step, desc.copy, unary);
    case StepKind::Pad: return call_kernel<PadKernel>(context, step, desc.pad, unary);
    case StepKind::Take: return call_kernel<TakeKernel>(context, step, desc.take, unary);
  }
}

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1000000000u + uint64_t(time.tv_nsec);
}

}  // namespace

void execute(const ExecuteContext& context, uint64_t* nanoseconds) {
  if (nanoseconds == nullptr) {
    for (const Step& step : context.plan->steps) execute_step(context, step);
    return;
  }
  for (size_t s = 0; s < context.plan->steps.size(); ++s) {
    const uint64_t begin = now();
    execute_step(context, context.plan->steps[s]);
    nanoseconds[s] = now() - begin;
  }
}

}  // namespace dgc::edge
