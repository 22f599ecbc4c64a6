// The Node addon: the C API on Float32Arrays. Sessions are externals; src/engine-native.ts is the only caller and checks arguments.
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "include/dgconv_edge.h"
#include "native/plan/select.h"
#include "native/test/fma_peak.h"

namespace {

struct Handle {
  dgc_session* session;
  int pending;  // asynchronous runs
  bool disposed;
};

void release(Handle* handle) {
  if (!handle->disposed || handle->pending > 0) return;
  dgc_session_destroy(handle->session);
  handle->session = nullptr;
}

void finalize(napi_env, void* data, void*) {
  Handle* handle = static_cast<Handle*>(data);
  dgc_session_destroy(handle->session);
  free(handle);
}

const char* code_of(dgc_status status) {
  switch (status) {
    case DGC_OK: return "ok";
    case DGC_INVALID_FILE: return "invalid-file";
    case DGC_UNSUPPORTED: return "unsupported";
    case DGC_INVALID_ARGUMENT: return "invalid-argument";
    case DGC_OUT_OF_MEMORY: return "out-of-memory";
    case DGC_IO_ERROR: return "io";
  }
  return "internal";
}

napi_value make_error(napi_env env, dgc_status status, const char* message) {
  napi_value code, text, error;
  napi_create_string_utf8(env, code_of(status), NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_error(env, code, text, &error);
  return error;
}

napi_value fail(napi_env env, dgc_status status, const char* message) {
  napi_throw(env, make_error(env, status, message));
  return nullptr;
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_get_named_property(env, object, name, &value);
  return value;
}

int32_t integer(napi_env env, napi_value value) {
  int32_t result = 0;
  napi_get_value_int32(env, value, &result);
  return result;
}

template <size_t Count>
bool arguments(napi_env env, napi_callback_info info, napi_value (&values)[Count]) {
  size_t count = Count;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  return count == Count;
}

Handle* handle_of(napi_env env, napi_value value) {
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok || data == nullptr || static_cast<Handle*>(data)->disposed) return nullptr;
  return static_cast<Handle*>(data);
}

// load(path or Uint8Array, { threads, maxBatch, isa, memoryLimit }) → handle
napi_value load(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  if (!arguments(env, info, argv)) return fail(env, DGC_INVALID_ARGUMENT, "load takes two arguments");
  char isa[32] = "", message[512] = "";
  napi_get_value_string_utf8(env, property(env, argv[1], "isa"), isa, sizeof(isa), nullptr);
  double limit = 0;
  napi_get_value_double(env, property(env, argv[1], "memoryLimit"), &limit);
  dgc_options options = {};
  options.threads = integer(env, property(env, argv[1], "threads"));
  options.max_batch = integer(env, property(env, argv[1], "maxBatch"));
  options.isa = isa;
  options.memory_limit = static_cast<uint64_t>(limit);
  dgc_session* session = nullptr;
  dgc_status status;
  bool bytes = false;
  napi_is_typedarray(env, argv[0], &bytes);
  if (bytes) {
    void* data = nullptr;
    size_t size = 0;
    napi_get_typedarray_info(env, argv[0], nullptr, &size, &data, nullptr, nullptr);
    status = dgc_session_load(data, size, &options, &session, message, sizeof(message));
  } else {
    size_t length = 0;
    napi_get_value_string_utf8(env, argv[0], nullptr, 0, &length);
    char* path = static_cast<char*>(malloc(length + 1));
    napi_get_value_string_utf8(env, argv[0], path, length + 1, nullptr);
    status = dgc_session_load_file(path, &options, &session, message, sizeof(message));
    free(path);
  }
  if (status != DGC_OK) return fail(env, status, message);
  Handle* handle = static_cast<Handle*>(malloc(sizeof(Handle)));
  *handle = {session, 0, false};
  napi_value external;
  if (napi_create_external(env, handle, finalize, nullptr, &external) != napi_ok) {
    finalize(env, handle, nullptr);
    return fail(env, DGC_OUT_OF_MEMORY, "no memory for a session");
  }
  return external;
}

napi_value tensors(napi_env env, dgc_session* session, int32_t count, dgc_status (*get)(const dgc_session*, int32_t, dgc_tensor_info*)) {
  napi_value list;
  napi_create_array_with_length(env, static_cast<size_t>(count), &list);
  for (int32_t i = 0; i < count; ++i) {
    dgc_tensor_info tensor;
    get(session, i, &tensor);
    napi_value object, name, shape;
    napi_create_object(env, &object);
    napi_create_string_utf8(env, tensor.name, NAPI_AUTO_LENGTH, &name);
    napi_create_array(env, &shape);
    for (int32_t d = 0; d < tensor.rank; ++d) {
      napi_value dim;
      napi_create_int32(env, tensor.dims[d], &dim);
      napi_set_element(env, shape, static_cast<uint32_t>(d), dim);
    }
    napi_set_named_property(env, object, "name", name);
    napi_set_named_property(env, object, "shape", shape);
    napi_set_element(env, list, static_cast<uint32_t>(i), object);
  }
  return list;
}

// describe(handle) → { inputs, outputs, plan (JSON) }
napi_value describe(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  Handle* handle = arguments(env, info, argv) ? handle_of(env, argv[0]) : nullptr;
  if (handle == nullptr) return fail(env, DGC_INVALID_ARGUMENT, "no session");
  napi_value result, plan;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "inputs", tensors(env, handle->session, dgc_session_input_count(handle->session), dgc_session_input));
  napi_set_named_property(env, result, "outputs", tensors(env, handle->session, dgc_session_output_count(handle->session), dgc_session_output));
  napi_create_string_utf8(env, dgc_session_plan(handle->session), NAPI_AUTO_LENGTH, &plan);
  napi_set_named_property(env, result, "plan", plan);
  return result;
}

// The memory of `count` Float32Arrays; the last check before native code trusts their lengths.
bool buffers(napi_env env, napi_value list, dgc_session* session, int32_t batch, int32_t count, dgc_status (*get)(const dgc_session*, int32_t, dgc_tensor_info*),
             float** pointers) {
  for (int32_t i = 0; i < count; ++i) {
    napi_value element;
    dgc_tensor_info tensor;
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (napi_get_element(env, list, static_cast<uint32_t>(i), &element) != napi_ok || get(session, i, &tensor) != DGC_OK) return false;
    if (napi_get_typedarray_info(env, element, &type, &length, &data, nullptr, nullptr) != napi_ok) return false;
    if (type != napi_float32_array || length != tensor.elements * static_cast<uint64_t>(batch)) return false;
    pointers[i] = static_cast<float*>(data);
  }
  return true;
}

struct Run {
  Handle* handle;
  int32_t batch;
  float** inputs;
  float** outputs;
  dgc_status status;
  char message[512];
  napi_async_work work;
  napi_deferred deferred;
  napi_ref keep[3];  // handle, inputs, outputs
};

void destroy_run(Run* run) {
  free(run->inputs);
  free(run->outputs);
  free(run);
}

// run arguments: handle, batch, inputs, outputs; null after an exception was thrown.
Run* make_run(napi_env env, napi_callback_info info, napi_value (&argv)[4]) {
  Handle* handle = arguments(env, info, argv) ? handle_of(env, argv[0]) : nullptr;
  if (handle == nullptr) {
    fail(env, DGC_INVALID_ARGUMENT, "no session");
    return nullptr;
  }
  Run* run = static_cast<Run*>(calloc(1, sizeof(Run)));
  const int32_t inputs = dgc_session_input_count(handle->session), outputs = dgc_session_output_count(handle->session);
  run->handle = handle;
  run->batch = integer(env, argv[1]);
  run->inputs = static_cast<float**>(calloc(static_cast<size_t>(inputs) + 1, sizeof(float*)));
  run->outputs = static_cast<float**>(calloc(static_cast<size_t>(outputs) + 1, sizeof(float*)));
  if (run->batch < 1 || !buffers(env, argv[2], handle->session, run->batch, inputs, dgc_session_input, run->inputs) ||
      !buffers(env, argv[3], handle->session, run->batch, outputs, dgc_session_output, run->outputs)) {
    destroy_run(run);
    fail(env, DGC_INVALID_ARGUMENT, "inputs and outputs must be Float32Arrays of the session's sizes");
    return nullptr;
  }
  return run;
}

void execute(Run* run) {
  run->status = dgc_session_run(run->handle->session, run->batch, run->inputs, run->outputs, run->message, sizeof(run->message));
}

napi_value run_now(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  Run* run = make_run(env, info, argv);
  if (run == nullptr) return nullptr;
  execute(run);
  if (run->status != DGC_OK) fail(env, run->status, run->message);
  destroy_run(run);
  return nullptr;
}

void execute_async(napi_env, void* data) { execute(static_cast<Run*>(data)); }

void complete_async(napi_env env, napi_status, void* data) {
  Run* run = static_cast<Run*>(data);
  --run->handle->pending;
  release(run->handle);
  if (run->status == DGC_OK) {
    napi_value undefined;
    napi_get_undefined(env, &undefined);
    napi_resolve_deferred(env, run->deferred, undefined);
  } else {
    napi_reject_deferred(env, run->deferred, make_error(env, run->status, run->message));
  }
  for (napi_ref reference : run->keep) napi_delete_reference(env, reference);
  napi_delete_async_work(env, run->work);
  destroy_run(run);
}

napi_value run_async(napi_env env, napi_callback_info info) {
  napi_value argv[4], promise, name;
  Run* run = make_run(env, info, argv);
  if (run == nullptr) return nullptr;
  napi_create_promise(env, &run->deferred, &promise);
  napi_create_reference(env, argv[0], 1, &run->keep[0]);
  napi_create_reference(env, argv[2], 1, &run->keep[1]);
  napi_create_reference(env, argv[3], 1, &run->keep[2]);
  napi_create_string_utf8(env, "dgconv.run", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, execute_async, complete_async, run, &run->work);
  ++run->handle->pending;
  napi_queue_async_work(env, run->work);
  return promise;
}

napi_value dispose(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  Handle* handle = arguments(env, info, argv) ? handle_of(env, argv[0]) : nullptr;
  if (handle == nullptr) return nullptr;
  handle->disposed = true;
  release(handle);
  return nullptr;
}

napi_value profile(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  Handle* handle = arguments(env, info, argv) ? handle_of(env, argv[0]) : nullptr;
  if (handle == nullptr) return fail(env, DGC_INVALID_ARGUMENT, "no session");
  dgc_session_profile(handle->session, integer(env, argv[1]));
  return nullptr;
}

// stepTimes(handle) → nanoseconds of each step
napi_value step_times(napi_env env, napi_callback_info info) {
  napi_value argv[1], list;
  Handle* handle = arguments(env, info, argv) ? handle_of(env, argv[0]) : nullptr;
  if (handle == nullptr) return fail(env, DGC_INVALID_ARGUMENT, "no session");
  const int32_t count = dgc_session_step_times(handle->session, nullptr, 0);
  uint64_t* times = static_cast<uint64_t*>(malloc((static_cast<size_t>(count) + 1) * sizeof(uint64_t)));
  dgc_session_step_times(handle->session, times, count);
  napi_create_array_with_length(env, static_cast<size_t>(count), &list);
  for (int32_t i = 0; i < count; ++i) {
    napi_value time;
    napi_create_double(env, static_cast<double>(times[i]), &time);
    napi_set_element(env, list, static_cast<uint32_t>(i), time);
  }
  free(times);
  return list;
}

// pageOffset(ArrayBuffer) → its address modulo 4096
napi_value page_offset(napi_env env, napi_callback_info info) {
  napi_value argv[1], result;
  void* data = nullptr;
  if (!arguments(env, info, argv) || napi_get_arraybuffer_info(env, argv[0], &data, nullptr) != napi_ok) return fail(env, DGC_INVALID_ARGUMENT, "no ArrayBuffer");
  napi_create_uint32(env, static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data) % 4096), &result);
  return result;
}

napi_value isas(napi_env env, napi_callback_info) {
  napi_value text;
  napi_create_string_utf8(env, dgc::edge::available_isas(), NAPI_AUTO_LENGTH, &text);
  return text;
}

// peak(isa) → GFLOP/s of multiply-adds in registers, the best of some short runs; 0 without such kernels
napi_value peak(napi_env env, napi_callback_info info) {
  napi_value argv[1], result;
  char isa[32] = "";
  if (arguments(env, info, argv)) napi_get_value_string_utf8(env, argv[0], isa, sizeof(isa), nullptr);
  const dgc::KernelTable* kernels = dgc::edge::find_kernels(isa);
  double best = 0;
  for (int repeat = 0; kernels != nullptr && repeat < 8; ++repeat) {
    timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const double operations = dgc_test::fma_peak(kernels->vector_floats, 500000);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double nanoseconds = double(end.tv_sec - begin.tv_sec) * 1e9 + double(end.tv_nsec - begin.tv_nsec);
    if (nanoseconds > 0 && operations / nanoseconds > best) best = operations / nanoseconds;
  }
  napi_create_double(env, best, &result);
  return result;
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"load", load},       {"describe", describe}, {"run", run_now},          {"runAsync", run_async},
                   {"dispose", dispose}, {"profile", profile},   {"stepTimes", step_times}, {"isas", isas},
                   {"peak", peak},       {"pageOffset", page_offset}};
  for (const auto& entry : functions) {
    napi_value function;
    napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function);
    napi_set_named_property(env, exports, entry.name, function);
  }
  return exports;
}

}  // namespace

NAPI_MODULE_INIT() { return init(env, exports); }
