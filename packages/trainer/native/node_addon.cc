// The training kernels as a Node addon: run(instruction set, operation, Float64Array, typed arrays), and memory for tensors.
#include <node_api.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <mutex>

#include "operations.h"
#include "parallel.h"

namespace {

constexpr size_t kMaxBuffers = 1024;
constexpr size_t kMaxParams = 64;

// Several JavaScript threads may load the addon; its pool and its scratch memory serve one call at a time.
std::mutex running;

napi_value fail(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

// run(instructionSet, operation, params, buffers) → status
napi_value runOperation(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  int32_t instructionSet, operation;
  napi_typedarray_type type;
  size_t paramCount;
  void* params;
  uint32_t bufferCount;
  if (argc != 4 || napi_get_value_int32(env, argv[0], &instructionSet) != napi_ok || napi_get_value_int32(env, argv[1], &operation) != napi_ok ||
      napi_get_typedarray_info(env, argv[2], &type, &paramCount, &params, nullptr, nullptr) != napi_ok || type != napi_float64_array ||
      paramCount > kMaxParams || napi_get_array_length(env, argv[3], &bufferCount) != napi_ok || bufferCount > kMaxBuffers)
    return fail(env, "internal: run takes two numbers, a Float64Array and an array of typed arrays");
  dgc::Buffer buffers[kMaxBuffers];
  for (uint32_t i = 0; i < bufferCount; i++) {
    napi_value element;
    size_t length;
    if (napi_get_element(env, argv[3], i, &element) != napi_ok ||
        napi_get_typedarray_info(env, element, &type, &length, &buffers[i].data, nullptr, nullptr) != napi_ok ||
        (type != napi_float32_array && type != napi_int32_array))
      return fail(env, "internal: every buffer is a Float32Array or an Int32Array");
    buffers[i].elements = static_cast<int64_t>(length);
  }
  dgc::Status status;
  {
    std::lock_guard<std::mutex> lock(running);
    status = dgc::run(instructionSet, operation, static_cast<const double*>(params), static_cast<int>(paramCount), buffers, static_cast<int>(bufferCount));
  }
  napi_value result;
  napi_create_int32(env, static_cast<int>(status), &result);
  return result;
}

// allocate(elements) → Float32Array on memory aligned to cache lines, in huge pages where it is large; contents undefined
napi_value allocate(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  int64_t elements;
  if (argc != 1 || napi_get_value_int64(env, argv[0], &elements) != napi_ok || elements < 0)
    return fail(env, "internal: allocate takes a number of elements");
  const size_t bytes = static_cast<size_t>(elements) * sizeof(float), huge = size_t{2} << 20;
  const size_t alignment = bytes >= huge ? huge : 64;
  void* memory = aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (!memory) return fail(env, "The machine has no memory left for a tensor.");
#if defined(__linux__)
  if (alignment == huge) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  napi_value buffer, array;
  if (napi_create_external_arraybuffer(
          env, memory, bytes, [](napi_env, void* data, void*) { free(data); }, nullptr, &buffer) != napi_ok) {
    free(memory);
    return fail(env, "internal: this JavaScript engine takes no memory from outside");
  }
  napi_create_typedarray(env, napi_float32_array, static_cast<size_t>(elements), buffer, 0, &array);
  return array;
}

napi_value setThreads(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  int32_t threads;
  if (argc != 1 || napi_get_value_int32(env, argv[0], &threads) != napi_ok) return fail(env, "internal: setThreads takes a number");
  std::lock_guard<std::mutex> lock(running);
  dgc::setThreadCount(threads);
  napi_create_int32(env, dgc::threadCount(), &argv[0]);
  return argv[0];
}

// findInstructionSet(name) → its number, or -1
napi_value findInstructionSet(napi_env env, napi_callback_info info) {
  size_t argc = 1, length;
  napi_value argv[1];
  char name[16];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 1 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, &length) != napi_ok)
    return fail(env, "internal: findInstructionSet takes a name");
  napi_create_int32(env, dgc::findInstructionSet(name), &argv[0]);
  return argv[0];
}

napi_value instructionSetName(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  int32_t set;
  if (argc != 1 || napi_get_value_int32(env, argv[0], &set) != napi_ok || set < 0) return fail(env, "internal: instructionSetName takes a number");
  napi_create_string_utf8(env, dgc::instructionSetName(set), NAPI_AUTO_LENGTH, &argv[0]);
  return argv[0];
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"run", runOperation}, {"allocate", allocate}, {"setThreads", setThreads}, {"findInstructionSet", findInstructionSet},
                   {"instructionSetName", instructionSetName}};
  for (const auto& f : functions) {
    napi_value function;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &function);
    napi_set_named_property(env, exports, f.name, function);
  }
  napi_value schema;
  napi_create_string_utf8(env, dgc::schema(), NAPI_AUTO_LENGTH, &schema);
  napi_set_named_property(env, exports, "schema", schema);
  return exports;
}
