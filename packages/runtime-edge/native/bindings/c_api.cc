// The C API over Session: argument checks, one run at a time, files.
#include "include/dgconv_edge.h"

#include <errno.h>
#include <new>

#include "native/plan/session.h"

#ifndef __wasm__
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

using dgc::edge::Session;
using dgc::edge::SessionOptions;
using dgc::edge::Status;

struct dgc_session {
  Session* session;
#ifndef __wasm__
  pthread_mutex_t mutex;
#endif
};

namespace {

dgc_status tell(const Status& status, char* message, size_t message_bytes) {
  if (!status.ok() && message != nullptr && message_bytes > 0) snprintf(message, message_bytes, "%s", status.message);
  return status.code;
}

SessionOptions options_of(const dgc_options* options) {
  SessionOptions result;
  if (options == nullptr) return result;
  if (options->threads != 0) result.threads = options->threads;
  if (options->max_batch != 0) result.max_batch = options->max_batch;
  result.isa = options->isa;
  result.memory_limit = options->memory_limit;
  return result;
}

dgc_status tensor(const dgc::edge::Array<dgc::edge::TensorInfo>& list, int32_t index, dgc_tensor_info* info) {
  if (index < 0 || size_t(index) >= list.size() || info == nullptr) return DGC_INVALID_ARGUMENT;
  const dgc::edge::TensorInfo& tensor = list[size_t(index)];
  info->name = tensor.name;
  info->rank = tensor.shape.rank;
  for (int32_t d = 0; d < 8; ++d) info->dims[d] = d < tensor.shape.rank ? int32_t(tensor.shape.dims[d]) : 1;
  info->elements = uint64_t(tensor.shape.elements());
  return DGC_OK;
}

#ifndef __wasm__
// A file's bytes, mapped; loading reads each once.
class MappedFile {
 public:
  MappedFile(const char* path, Status& status) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0) {
      status.fail(DGC_IO_ERROR, "%s: %s", path, strerror(errno));
      if (file >= 0) close(file);
      return;
    }
    if (!S_ISREG(facts.st_mode)) {
      status.fail(DGC_IO_ERROR, "%s: is no regular file", path);
    } else if (facts.st_size > 0) {
      bytes = mmap(nullptr, size_t(facts.st_size), PROT_READ, MAP_PRIVATE, file, 0);
      if (bytes == MAP_FAILED) {
        bytes = nullptr;
        status.fail(DGC_IO_ERROR, "%s: %s", path, strerror(errno));
      } else {
        size = size_t(facts.st_size);
      }
    }
    close(file);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (bytes != nullptr) munmap(bytes, size);
  }

  void* bytes = nullptr;
  size_t size = 0;
};
#endif

}  // namespace

extern "C" {

dgc_status dgc_session_load(const void* bytes, size_t size, const dgc_options* options, dgc_session** session, char* message, size_t message_bytes) {
  Status status;
  if (session == nullptr || (bytes == nullptr && size > 0)) {
    status.fail(DGC_INVALID_ARGUMENT, "session and bytes must not be null");
    return tell(status, message, message_bytes);
  }
  *session = nullptr;
  Session* loaded = Session::load(bytes, size, options_of(options), status);
  if (loaded == nullptr) return tell(status, message, message_bytes);
  void* memory = malloc(sizeof(dgc_session));
  if (memory == nullptr) abort();
  *session = new (memory) dgc_session{};
  (*session)->session = loaded;
#ifndef __wasm__
  pthread_mutex_init(&(*session)->mutex, nullptr);
#endif
  return DGC_OK;
}

void dgc_session_destroy(dgc_session* session) {
  if (session == nullptr) return;
#ifndef __wasm__
  pthread_mutex_destroy(&session->mutex);
#endif
  session->session->~Session();
  free(session->session);
  free(session);
}

int32_t dgc_session_input_count(const dgc_session* session) { return int32_t(session->session->plan.inputs.size()); }
int32_t dgc_session_output_count(const dgc_session* session) { return int32_t(session->session->plan.outputs.size()); }
dgc_status dgc_session_input(const dgc_session* session, int32_t index, dgc_tensor_info* info) { return tensor(session->session->plan.inputs, index, info); }
dgc_status dgc_session_output(const dgc_session* session, int32_t index, dgc_tensor_info* info) { return tensor(session->session->plan.outputs, index, info); }

dgc_status dgc_session_run(dgc_session* session, int32_t batch, const float* const* inputs, float* const* outputs, char* message, size_t message_bytes) {
  Status status;
#ifndef __wasm__
  pthread_mutex_lock(&session->mutex);
#endif
  session->session->run(batch, inputs, outputs, status);
#ifndef __wasm__
  pthread_mutex_unlock(&session->mutex);
#endif
  return tell(status, message, message_bytes);
}

const char* dgc_session_plan(const dgc_session* session) { return session->session->plan.json.data(); }

int32_t dgc_session_step_times(const dgc_session* session, uint64_t* nanoseconds, int32_t count) {
  const dgc::edge::Array<uint64_t>& times = session->session->step_nanoseconds;
  for (size_t i = 0; i < times.size() && int32_t(i) < count; ++i) nanoseconds[i] = times[i];
  return int32_t(times.size());
}

void dgc_session_profile(dgc_session* session, int32_t on) { session->session->profile = on != 0; }

const char* dgc_version(void) { return DGC_VERSION; }

#ifndef __wasm__
dgc_status dgc_session_load_file(const char* path, const dgc_options* options, dgc_session** session, char* message, size_t message_bytes) {
  Status status;
  const MappedFile file(path, status);
  if (!status.ok()) return tell(status, message, message_bytes);
  return dgc_session_load(file.bytes, file.size, options, session, message, message_bytes);
}

dgc_status dgc_selftest_file(const char* path, const dgc_options* options, double* max_error, uint64_t* compared, char* message, size_t message_bytes) {
  Status status;
  const MappedFile file(path, status);
  if (status.ok()) dgc::edge::selftest(file.bytes, file.size, options_of(options), *max_error, *compared, status);
  return tell(status, message, message_bytes);
}
#endif

}  // extern "C"
