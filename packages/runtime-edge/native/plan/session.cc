#include "session.h"

#include <initializer_list>
#include <new>

#include "execute.h"
#include "select.h"

namespace dgc::edge {

Session::~Session() {
  ThreadPool::destroy(pool_);
  for (const Array<TensorInfo>* list : {&plan.inputs, &plan.outputs})
    for (const TensorInfo& info : *list) free(info.name);
}

Session* Session::load(const void* bytes, size_t size, const SessionOptions& options, Status& status) {
  void* memory = malloc(sizeof(Session));
  if (memory == nullptr) {
    status.fail(DGC_OUT_OF_MEMORY, "no memory for a session");
    return nullptr;
  }
  Session* session = new (memory) Session();
  if (session->prepare(bytes, size, options, status)) return session;
  session->~Session();
  free(memory);
  return nullptr;
}

bool Session::prepare(const void* bytes, size_t size, const SessionOptions& options, Status& status) {
  constexpr int32_t kMaxThreads = 256, kMaxBatch = 65536;
  if (options.threads < 1 || options.threads > kMaxThreads) return status.fail(DGC_INVALID_ARGUMENT, "threads is %d, allowed are 1 to %d", options.threads, kMaxThreads);
  if (options.max_batch < 1 || options.max_batch > kMaxBatch) return status.fail(DGC_INVALID_ARGUMENT, "maxBatch is %d, allowed are 1 to %d", options.max_batch, kMaxBatch);
  plan.kernels = find_kernels(options.isa);
  if (plan.kernels == nullptr) return status.fail(DGC_INVALID_ARGUMENT, "the instruction set '%s' is not available here; there are: %s", requested_isa(options.isa), available_isas());

  AlignedBuffer aligned;
  if (reinterpret_cast<uintptr_t>(bytes) % 8 != 0) {
    if (!aligned.allocate(size)) return status.fail(DGC_OUT_OF_MEMORY, "no memory for %zu bytes of file", size);
    memcpy(aligned.data(), bytes, size);
    bytes = aligned.data();
  }
  File file;
  GraphFacts facts;
  if (!read_file(bytes, size, file, status) || !check_shapes(file, facts, status)) return false;
  if (options.max_batch > 1 && !facts.batchable) {
    const bool op = facts.obstacle < file.ops.size();
    return status.fail(DGC_INVALID_ARGUMENT, "maxBatch is %d, but the network runs with batch 1 only (%s%s)", options.max_batch, op ? "because of an op " : "because of an input or output",
                       op ? op_name(file.ops[facts.obstacle].code) : "");
  }
  plan.max_batch = options.max_batch;
  plan.memory_limit = options.memory_limit;
  if (!lower(file, facts, plan, status) || !plan_memory(file, plan, status)) return false;

  constexpr uint64_t kPage = 4096;
  scratch_stride_ = (plan.scratch_bytes + kPage - 1) / kPage * kPage;
  if (scratch_stride_ > UINT64_MAX / uint64_t(options.threads) || !arena_.allocate(plan.arena_bytes) || !scratch_.allocate(scratch_stride_ * uint64_t(options.threads)))
    return status.fail(DGC_OUT_OF_MEMORY, "no memory for %llu bytes of activations", static_cast<unsigned long long>(plan.arena_bytes));
  for (const bool inputs : {true, false})
    for (const Border& border : inputs ? file.inputs : file.outputs) {
      TensorInfo info;
      info.shape = file.tensors[border.tensor].shape;
      info.name = static_cast<char*>(malloc(size_t{border.name.size} + 1));
      if (info.name == nullptr) return status.fail(DGC_OUT_OF_MEMORY, "no memory for a name");
      memcpy(info.name, border.name.data, border.name.size);
      info.name[border.name.size] = 0;
      (inputs ? plan.inputs : plan.outputs).push(info);
    }
  step_nanoseconds.resize(plan.steps.size(), 0);
  pool_ = ThreadPool::create(options.threads);
  if (pool_ == nullptr) return status.fail(DGC_OUT_OF_MEMORY, "%d threads could not be started", options.threads);
  describe_plan(file, plan);
  return true;
}

bool Session::run(int32_t batch, const float* const* inputs, float* const* outputs, Status& status) {
  if (batch < 1 || batch > plan.max_batch) return status.fail(DGC_INVALID_ARGUMENT, "the batch is %d, allowed are 1 to %d (maxBatch)", batch, plan.max_batch);
  for (size_t i = 0; i < plan.inputs.size(); ++i)
    if (inputs[i] == nullptr) return status.fail(DGC_INVALID_ARGUMENT, "input '%s' is missing", plan.inputs[i].name);
  for (size_t i = 0; i < plan.outputs.size(); ++i)
    if (outputs[i] == nullptr) return status.fail(DGC_INVALID_ARGUMENT, "output '%s' has no memory", plan.outputs[i].name);
  const ExecuteContext context = {&plan, pool_, static_cast<char*>(arena_.data()), static_cast<char*>(scratch_.data()), scratch_stride_, inputs, outputs, batch};
  execute(context, profile ? step_nanoseconds.data() : nullptr);
  return true;
}

}  // namespace dgc::edge
