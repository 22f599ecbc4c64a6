// MPI for training on several processes, as a Node addon: the few collective calls that averaging gradients needs.
#include <mpi.h>
#include <node_api.h>
#include <string.h>

#include <algorithm>
#include <vector>

namespace {

// Elements of one collective call: MPI counts in int.
constexpr size_t kMost = size_t{1} << 26;

int rank = 0, size = 1;

// MPI's own handler ends the job where a call fails, so that no status has to be looked at.

napi_value fail(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

// The only argument as a typed array of one type.
bool typed(napi_env env, napi_callback_info info, napi_typedarray_type wanted, void** data, size_t* length) {
  size_t argc = 1;
  napi_value argument;
  napi_typedarray_type type;
  return napi_get_cb_info(env, info, &argc, &argument, nullptr, nullptr) == napi_ok && argc == 1 &&
         napi_get_typedarray_info(env, argument, &type, length, data, nullptr, nullptr) == napi_ok && type == wanted;
}

bool number(napi_env env, napi_callback_info info, int32_t* value) {
  size_t argc = 1;
  napi_value argument;
  return napi_get_cb_info(env, info, &argc, &argument, nullptr, nullptr) == napi_ok && argc == 1 &&
         napi_get_value_int32(env, argument, value) == napi_ok;
}

// init() → { rank, size }
napi_value init(napi_env env, napi_callback_info) {
  int initialized = 0, provided = 0;
  MPI_Initialized(&initialized);
  if (!initialized) MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  napi_value result, value;
  napi_create_object(env, &result);
  napi_create_int32(env, rank, &value);
  napi_set_named_property(env, result, "rank", value);
  napi_create_int32(env, size, &value);
  napi_set_named_property(env, result, "size", value);
  return result;
}

// average(Float32Array), in place. Each part of the sum is made by one process and given to all, so that all have the same bits.
napi_value average(napi_env env, napi_callback_info info) {
  void* data;
  size_t length;
  if (!typed(env, info, napi_float32_array, &data, &length)) return fail(env, "internal: average takes a Float32Array");
  float* values = static_cast<float*>(data);
  static std::vector<float> padded, part;
  for (size_t start = 0; start < length; start += kMost) {
    const size_t count = std::min(kMost, length - start);
    const int share = static_cast<int>((count + size - 1) / size);
    padded.assign(size_t(share) * size, 0.0f);
    part.resize(share);
    memcpy(padded.data(), values + start, count * sizeof(float));
    MPI_Reduce_scatter_block(padded.data(), part.data(), share, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    for (float& value : part) value /= float(size);
    MPI_Allgather(part.data(), share, MPI_FLOAT, padded.data(), share, MPI_FLOAT, MPI_COMM_WORLD);
    memcpy(values + start, padded.data(), count * sizeof(float));
  }
  return nullptr;
}

// sum(Float64Array), in place, of few values; the same bits everywhere.
napi_value sum(napi_env env, napi_callback_info info) {
  void* data;
  size_t length;
  if (!typed(env, info, napi_float64_array, &data, &length) || length > kMost) return fail(env, "internal: sum takes a Float64Array");
  const int count = static_cast<int>(length);
  if (rank == 0) MPI_Reduce(MPI_IN_PLACE, data, count, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  else MPI_Reduce(data, nullptr, count, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  MPI_Bcast(data, count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  return nullptr;
}

// broadcast(Uint8Array), in place: the bytes of process 0, of the same number everywhere.
napi_value broadcast(napi_env env, napi_callback_info info) {
  void* data;
  size_t length;
  if (!typed(env, info, napi_uint8_array, &data, &length)) return fail(env, "internal: broadcast takes a Uint8Array");
  for (size_t start = 0; start < length; start += kMost) {
    const size_t count = std::min(kMost, length - start);
    MPI_Bcast(static_cast<unsigned char*>(data) + start, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD);
  }
  return nullptr;
}

// abort(code): ends all processes with this exit code.
napi_value abort(napi_env env, napi_callback_info info) {
  int32_t code;
  if (!number(env, info, &code)) return fail(env, "internal: abort takes a number");
  MPI_Abort(MPI_COMM_WORLD, code);
  return nullptr;
}

napi_value finalize(napi_env, napi_callback_info) {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!finalized) MPI_Finalize();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"init", init}, {"average", average}, {"sum", sum}, {"broadcast", broadcast}, {"abort", abort}, {"finalize", finalize}};
  for (const auto& f : functions) {
    napi_value function;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &function);
    napi_set_named_property(env, exports, f.name, function);
  }
  return exports;
}
