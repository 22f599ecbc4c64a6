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
  if (message != nullptr && message_bytes > 0) snprintf(message, message_bytes, "%s", status.message);
  return status.code;
}

// One call at a time.
class Turn {
 public:
  explicit Turn(dgc_session* session) : session_(session) {
#ifndef __wasm__
    pthread_mutex_lock(&session_->mutex);
#endif
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
#ifndef __wasm__
    pthread_mutex_unlock(&session_->mutex);
#endif
  }

 private:
  dgc_session* session_;
};

SessionOptions options_of(const dgc_options* options) {
  SessionOptions result;
  if (options == nullptr) return result;
  if (options->threads != 0) result.threads = options->threads;
  if (options->max_batch != 0) result.max_batch = options->max_batch;
  result.isa = options->isa;
  result.memory_limit = options->memory_limit;
  return result;
}

using TensorList = dgc::edge::Array<dgc::edge::TensorInfo> dgc::edge::Plan::*;

int32_t count(const dgc_session* session, TensorList which) { return session == nullptr ? 0 : int32_t((session->session->plan.*which).size()); }

dgc_status tensor(const dgc_session* session, TensorList which, int32_t index, dgc_tensor_info* info) {
  if (session == nullptr) return DGC_INVALID_ARGUMENT;
  const dgc::edge::Array<dgc::edge::TensorInfo>& list = session->session->plan.*which;
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
    if (path == nullptr) {
      status.fail(DGC_INVALID_ARGUMENT, "path must not be null");
      return;
    }
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0) {
      status.fail(DGC_IO_ERROR, "%s: %s", path, strerror(errno));
      if (file >= 0) close(file);
      return;
    }
    if (!S_ISREG(facts.st_mode)) {
      status.fail(DGC_IO_ERROR, "%s: not a regular file", path);
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
  if (session != nullptr) *session = nullptr;
  if (session == nullptr || (bytes == nullptr && size > 0)) {
    status.fail(DGC_INVALID_ARGUMENT, "session and bytes must not be null");
    return tell(status, message, message_bytes);
  }
  void* memory = malloc(sizeof(dgc_session));
  if (memory == nullptr) {
    status.fail(DGC_OUT_OF_MEMORY, "no memory for a session");
    return tell(status, message, message_bytes);
  }
  Session* loaded = Session::load(bytes, size, options_of(options), status);
  if (loaded == nullptr) {
    free(memory);
    return tell(status, message, message_bytes);
  }
  *session = new (memory) dgc_session{};
  (*session)->session = loaded;
#ifndef __wasm__
  pthread_mutex_init(&(*session)->mutex, nullptr);
#endif
  return tell(status, message, message_bytes);
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

int32_t dgc_session_input_count(const dgc_session* session) { return count(session, &dgc::edge::Plan::inputs); }
int32_t dgc_session_output_count(const dgc_session* session) { return count(session, &dgc::edge::Plan::outputs); }
dgc_status dgc_session_input(const dgc_session* session, int32_t index, dgc_tensor_info* info) { return tensor(session, &dgc::edge::Plan::inputs, index, info); }
dgc_status dgc_session_output(const dgc_session* session, int32_t index, dgc_tensor_info* info) { return tensor(session, &dgc::edge::Plan::outputs, index, info); }

dgc_status dgc_session_run(dgc_session* session, int32_t batch, const float* const* inputs, float* const* outputs, char* message, size_t message_bytes) {
  Status status;
  if (session == nullptr || outputs == nullptr || (inputs == nullptr && dgc_session_input_count(session) > 0)) {
    status.fail(DGC_INVALID_ARGUMENT, "session, inputs and outputs must not be null");
  } else {
    const Turn turn(session);
    session->session->run(batch, inputs, outputs, status);
  }
  return tell(status, message, message_bytes);
}

const char* dgc_session_plan(const dgc_session* session) { return session == nullptr ? "" : session->session->plan.json.data(); }

int32_t dgc_session_step_times(const dgc_session* session, uint64_t* nanoseconds, int32_t count) {
  if (session == nullptr) return 0;
  const Turn turn(const_cast<dgc_session*>(session));  // which waits, and changes nothing that can be asked for
  const dgc::edge::Array<uint64_t>& times = session->session->step_nanoseconds;
  for (size_t i = 0; nanoseconds != nullptr && i < times.size() && int32_t(i) < count; ++i) nanoseconds[i] = times[i];
  return int32_t(times.size());
}

void dgc_session_profile(dgc_session* session, int32_t on) {
  if (session == nullptr) return;
  const Turn turn(session);
  session->session->profile = on != 0;
}

const char* dgc_version(void) { return DGC_VERSION; }

#ifndef __wasm__
dgc_status dgc_session_load_file(const char* path, const dgc_options* options, dgc_session** session, char* message, size_t message_bytes) {
  Status status;
  if (session != nullptr) *session = nullptr;
  const MappedFile file(path, status);
  if (!status.ok()) return tell(status, message, message_bytes);
  return dgc_session_load(file.bytes, file.size, options, session, message, message_bytes);
}

dgc_status dgc_selftest_file(const char* path, const dgc_options* options, double* max_error, uint64_t* compared, char* message, size_t message_bytes) {
  Status status;
  const MappedFile file(path, status);
  double error = 0;
  uint64_t count = 0;
  if (status.ok()) dgc::edge::selftest(file.bytes, file.size, options_of(options), error, count, status);
  if (max_error != nullptr) *max_error = error;
  if (compared != nullptr) *compared = count;
  return tell(status, message, message_bytes);
}
#endif

}  // extern "C"
