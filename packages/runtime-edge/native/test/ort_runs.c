/* ort-runs MODEL N: runs a model of one float input in ONNX Runtime N times on one thread and nothing else, for counters from
 * outside. The C API is a table of functions whose order never changes; the ones used here are named by their place in it, since
 * the npm package brings no header. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct ApiBase {
  const void *const *(*get_api)(uint32_t version);
  const char *(*version)(void);
};
const struct ApiBase *OrtGetApiBase(void);

enum Place {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetIntraOpNumThreads = 24,
  kSessionGetInputTypeInfo = 33,
  kCreateTensorWithDataAsOrtValue = 49,
  kCastTypeInfoToTensorInfo = 55,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kCreateCpuMemoryInfo = 69,
};

static const void *const *api;

static void check(void *status) {
  if (!status) return;
  fprintf(stderr, "ort-runs: %s\n", ((const char *(*)(const void *))api[kGetErrorMessage])(status));
  exit(1);
}
#define CALL(place, types, ...) check(((void *(*) types)api[place])(__VA_ARGS__))

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  void *env, *options, *session, *type, *memory, *value, *output = NULL;
  const void *info;
  api = OrtGetApiBase()->get_api(16);
  CALL(kCreateEnv, (int, const char *, void **), 3, "count", &env);
  CALL(kCreateSessionOptions, (void **), &options);
  CALL(kSetIntraOpNumThreads, (void *, int), options, 1);
  CALL(kCreateSession, (void *, const char *, void *, void **), env, argv[1], options, &session);
  CALL(kSessionGetInputTypeInfo, (void *, size_t, void **), session, 0, &type);
  CALL(kCastTypeInfoToTensorInfo, (void *, const void **), type, &info);
  size_t rank, count = 1;
  int64_t shape[8];
  CALL(kGetDimensionsCount, (const void *, size_t *), info, &rank);
  CALL(kGetDimensions, (const void *, int64_t *, size_t), info, shape, rank);
  for (size_t i = 0; i < rank; i++) count *= (size_t)shape[i];
  float *data = malloc(count * sizeof(float));
  for (size_t i = 0; i < count; i++) data[i] = 1.0f;
  CALL(kCreateCpuMemoryInfo, (int, int, void **), 1, 0, &memory);
  CALL(kCreateTensorWithDataAsOrtValue, (void *, void *, size_t, const int64_t *, size_t, int, void **), memory, data,
       count * sizeof(float), shape, rank, 1, &value);
  const char *inputs[] = {"input"}, *outputs[] = {"output"};
  for (int i = 0; i < atoi(argv[2]); i++) {
    CALL(kRun, (void *, void *, const char **, void **, size_t, const char **, size_t, void **), session, NULL, inputs, &value, 1,
         outputs, 1, &output);
  }
  printf("%s\n", OrtGetApiBase()->version());
  return 0;
}
