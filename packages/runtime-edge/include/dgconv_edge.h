/* The C API of dgconv's edge runtime: load a .edge file, ask what it takes and gives, run it, let it go.
 *
 *   dgc_session* session;
 *   char message[256];
 *   if (dgc_session_load_file("net.edge", NULL, &session, message, sizeof message) != DGC_OK) { puts(message); return 1; }
 *   const float* inputs[] = {image};
 *   float* outputs[] = {scores};
 *   dgc_session_run(session, 1, inputs, outputs, message, sizeof message);
 *   dgc_session_destroy(session);
 *
 * Tensors are float32 and dense, channels last. A session runs one call at a time (a second caller waits); different
 * sessions are independent. `message` may be NULL; else it receives one sentence, cut to `message_bytes`; an empty one after
 * DGC_OK. A null pointer where none is allowed is DGC_INVALID_ARGUMENT; what gives no status gives 0 or an empty text then.
 */
#ifndef DGCONV_EDGE_H
#define DGCONV_EDGE_H

#include <stddef.h>
#include <stdint.h>

#if defined(DGC_BUILD_SHARED) && !defined(__wasm__)
#define DGC_API __attribute__((visibility("default")))
#else
#define DGC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dgc_status {
  DGC_OK = 0,
  DGC_INVALID_FILE = 1,     /* the file is damaged or breaks a rule of the format */
  DGC_UNSUPPORTED = 2,      /* the file asks for something that this version or machine cannot do */
  DGC_INVALID_ARGUMENT = 3, /* the call breaks a rule of this header */
  DGC_OUT_OF_MEMORY = 4,
  DGC_IO_ERROR = 5 /* the file could not be read */
} dgc_status;

typedef struct dgc_session dgc_session;

/* Zero in a field means its default. */
typedef struct dgc_options {
  int32_t threads;        /* 1 */
  int32_t max_batch;      /* 1 */
  const char* isa;        /* that of the environment variable DGCONV_ISA, else the best one of this CPU; "scalar", "sse41",
                             "avx2", "avx512f", "neon", … force one */
  uint64_t memory_limit;  /* bytes for weights and activations; none */
} dgc_options;

typedef struct dgc_tensor_info {
  const char* name;     /* alive as long as the session */
  int32_t rank;
  int32_t dims[8];      /* for batch 1 */
  uint64_t elements;    /* for batch 1; batch n takes n times as many */
} dgc_tensor_info;

/* After a failure *session is NULL. The bytes are needed during the call only. */
DGC_API dgc_status dgc_session_load(const void* bytes, size_t size, const dgc_options* options, dgc_session** session,
                                    char* message, size_t message_bytes);
DGC_API dgc_status dgc_session_load_file(const char* path, const dgc_options* options, dgc_session** session,
                                         char* message, size_t message_bytes);
/* NULL is fine; no other call with this session may be under way. */
DGC_API void dgc_session_destroy(dgc_session* session);

DGC_API int32_t dgc_session_input_count(const dgc_session* session);
DGC_API int32_t dgc_session_output_count(const dgc_session* session);
DGC_API dgc_status dgc_session_input(const dgc_session* session, int32_t index, dgc_tensor_info* info);
DGC_API dgc_status dgc_session_output(const dgc_session* session, int32_t index, dgc_tensor_info* info);

/* inputs[i] and outputs[i] hold batch × elements floats, 1 ≤ batch ≤ max_batch; outputs must not overlap inputs. */
DGC_API dgc_status dgc_session_run(dgc_session* session, int32_t batch, const float* const* inputs,
                                   float* const* outputs, char* message, size_t message_bytes);

/* The plan as JSON: {isa, maxBatch, arenaBytes, packedBytes, scratchBytes, steps: [{node, op, step, kernel, macs, …}]}; alive as
   long as the session. */
DGC_API const char* dgc_session_plan(const dgc_session* session);
/* Nanoseconds that each step of the plan took in the last run; `count` values at most, gives how many steps there are. */
DGC_API int32_t dgc_session_step_times(const dgc_session* session, uint64_t* nanoseconds, int32_t count);
/* 1: measure the steps of the runs that follow. */
DGC_API void dgc_session_profile(dgc_session* session, int32_t on);

/* Runs the file's own test vectors; the largest |difference| (infinite beside a wrong NaN) and how many values
   were compared (either may be NULL), DGC_UNSUPPORTED without any. */
DGC_API dgc_status dgc_selftest_file(const char* path, const dgc_options* options, double* max_error,
                                     uint64_t* compared, char* message, size_t message_bytes);

DGC_API const char* dgc_version(void);

#ifdef __cplusplus
}
#endif
#endif
