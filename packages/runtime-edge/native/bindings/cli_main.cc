// dgconv-run: a static program that runs, times and checks .edge files on a board.
// Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 an input was rejected.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <initializer_list>

#include "include/dgconv_edge.h"
#include "native/plan/array.h"
#include "native/plan/select.h"
#include "cli.h"
#include "npy.h"

namespace dgc::cli {

int fail(int code, const char* message) {
  fprintf(stderr, "dgconv-run: %s\n", message);
  return code;
}

void print_string(FILE* to, const char* text) {
  fputc('"', to);
  for (; *text != 0; ++text) {
    const unsigned char c = static_cast<unsigned char>(*text);
    if (c < 0x20 || c == '"' || c == '\\') fprintf(to, "\\u%04x", c);
    else fputc(c, to);
  }
  fputc('"', to);
}

dgc_options session_options(const Options& options) {
  dgc_options result = {};
  result.threads = options.threads;
  result.isa = options.isa;
  return result;
}

namespace {

using edge::Array;

const char kHelp[] =
    "dgconv-run runs, times and checks compiled networks (.edge) on this machine.\n\n"
    "  dgconv-run run FILE --input [NAME=]x.npy --output [NAME=]y.npy   float32, channels last, any batch\n"
    "  dgconv-run bench FILE [--repeats N]     N timed runs after the load, without warm-up; default 20\n"
    "  dgconv-run info FILE                    inputs, outputs, the kernel of every step, memory\n"
    "  dgconv-run selftest FILE                runs the test vectors that the file carries\n"
    "  dgconv-run conformance DIR              runs every case of a bundle, writes DIR/result.json and DIR/result.tap\n\n"
    "Options: --threads N (default 1), --isa NAME, --json (one JSON document on stdout), --help, --version\n\n"
    "Examples\n"
    "  dgconv-run run demo.edge --input digits.npy --output scores.npy\n"
    "  dgconv-run bench demo.edge --repeats 50 --threads 4 --json\n"
    "  dgconv-run conformance bundle && echo all good\n";

double now_ms() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) * 1e3 + double(time.tv_nsec) / 1e6;
}

// NAME=PATH, or PATH alone; `text` is cut at the first '='.
NamedFile named_file(char* text) {
  char* equals = strchr(text, '=');
  if (equals == nullptr) return {"", text};
  *equals = 0;
  return {text, equals + 1};
}

bool whole_number(const char* text, int least, int most, int& value) {
  char* end;
  const long parsed = strtol(text, &end, 10);
  if (*text == 0 || *end != 0 || parsed < least || parsed > most) return false;
  value = int(parsed);
  return true;
}

// `what` is the part of the command line that is wrong.
int misused(const char* rule, const char* what) {
  char message[300];
  snprintf(message, sizeof(message), "%s: %.120s; see --help", rule, what);
  return fail(kUsage, message);
}

// Where a whole number from 1 to `most` is read to; null: no such option.
int* number_option(const char* name, Options& options, int& most) {
  if (strcmp(name, "--threads") == 0) return most = 256, &options.threads;
  if (strcmp(name, "--repeats") == 0) return most = 1000000, &options.repeats;
  return nullptr;
}

// kDone, or what to exit with.
int parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    char* argument = argv[i];
    if (strncmp(argument, "--", 2) != 0) {
      if (options.command == nullptr) options.command = argument;
      else if (options.target == nullptr) options.target = argument;
      else return fail(kUsage, "there are more arguments than a command and a file; see --help");
      continue;
    }
    if (strcmp(argument, "--json") == 0) {
      options.json = true;
      continue;
    }
    int most = 0;
    int* number = number_option(argument, options, most);
    const bool input = strcmp(argument, "--input") == 0, output = strcmp(argument, "--output") == 0, isa = strcmp(argument, "--isa") == 0;
    if (number == nullptr && !input && !output && !isa) return misused("there is no such option", argument);
    if (i + 1 == argc) return misused("an option lacks its value", argument);
    char* value = argv[++i];
    if (isa) {
      options.isa = value;
    } else if (number != nullptr) {
      if (whole_number(value, 1, most, *number)) continue;
      char rule[80];
      snprintf(rule, sizeof(rule), "%s takes a whole number from 1 to %d, not this", argument, most);
      return misused(rule, value);
    } else {
      int& count = input ? options.input_count : options.output_count;
      if (count == kMaxFiles) return misused("an option is given too often", argument);
      (input ? options.inputs : options.outputs)[count++] = named_file(value);
    }
  }
  if (options.command == nullptr) return fail(kUsage, "there is no command; see --help");
  const char* commands[] = {"run", "bench", "info", "selftest", "conformance"};
  bool known = false;
  for (const char* command : commands) known = known || strcmp(command, options.command) == 0;
  if (!known) return misused("there is no such command", options.command);
  if (options.target == nullptr) return fail(kUsage, "the command needs a file or folder; see --help");
  if (strcmp(options.command, "run") != 0 && options.input_count + options.output_count > 0) return fail(kUsage, "--input and --output belong to run; see --help");
  if (strcmp(options.command, "run") == 0 && options.input_count == 0) return fail(kUsage, "run needs --input x.npy");
  if (edge::find_kernels(options.isa) == nullptr) {
    char message[300];
    snprintf(message, sizeof(message), "the instruction set '%.80s' is not available here; there are: %s", edge::requested_isa(options.isa), edge::available_isas());
    return fail(kUsage, message);
  }
  return kDone;
}

int load(const Options& options, dgc_session** session) {
  char message[512];
  const dgc_options settings = session_options(options);
  const dgc_status status = dgc_session_load_file(options.target, &settings, session, message, sizeof(message));
  if (status == DGC_OK) return kDone;
  if (status == DGC_IO_ERROR) return fail(kRejected, message);  // it names the file
  char named[PATH_MAX + 600];
  snprintf(named, sizeof(named), "%s: %s", options.target, message);
  return fail(kRejected, named);
}

const NamedFile* file_for(const NamedFile* files, int count, const char* name, int tensors) {
  for (int i = 0; i < count; ++i)
    if (strcmp(files[i].name, name) == 0 || (files[i].name[0] == 0 && tensors == 1)) return &files[i];
  return nullptr;
}

using GetTensor = dgc_status (*)(const dgc_session*, int32_t, dgc_tensor_info*);

// kDone if each file is for a tensor of its own.
int check_names(const dgc_session* session, const char* what, const NamedFile* files, int count, int tensors, GetTensor get) {
  char message[700];
  Array<int> used(size_t(tensors), 0);
  for (int i = 0; i < count; ++i) {
    int at = -1;
    for (int t = 0; t < tensors && at < 0; ++t) {
      dgc_tensor_info info;
      get(session, t, &info);
      if (file_for(&files[i], 1, info.name, tensors) != nullptr) at = t;
    }
    if (at >= 0 && used[size_t(at)]++ == 0) continue;
    if (at >= 0) snprintf(message, sizeof(message), "--%s is given twice for the same tensor", what);
    else if (files[i].name[0] == 0) snprintf(message, sizeof(message), "the network has %d %ss: say which with --%s NAME=FILE", tensors, what, what);
    else snprintf(message, sizeof(message), "the network has no %s '%.200s'; dgconv-run info lists them", what, files[i].name);
    return fail(kUsage, message);
  }
  return kDone;
}

int run(const Options& options) {
  dgc_session* session;
  const int loaded = load(options, &session);
  if (loaded != kDone) return loaded;
  const int inputs = dgc_session_input_count(session), outputs = dgc_session_output_count(session);
  int code = check_names(session, "input", options.inputs, options.input_count, inputs, dgc_session_input);
  if (code == kDone) code = check_names(session, "output", options.outputs, options.output_count, outputs, dgc_session_output);
  if (code != kDone) return code;
  Array<NpyArray> given, results;
  char message[700];
  int64_t batch = -1;
  for (int i = 0; i < inputs; ++i) {
    dgc_tensor_info info;
    dgc_session_input(session, i, &info);
    const NamedFile* file = file_for(options.inputs, options.input_count, info.name, inputs);
    if (file == nullptr) {
      snprintf(message, sizeof(message), "the input '%s' is missing: give --input %s=FILE", info.name, info.name);
      return fail(kUsage, message);
    }
    NpyArray array;
    if (!dgc::cli::read_npy(file->path, array, message, sizeof(message))) return fail(kRejected, message);
    bool fits = array.rank == info.rank;
    for (int32_t d = 1; fits && d < info.rank; ++d) fits = array.dims[d] == info.dims[d];
    const int64_t count = !fits ? 0 : info.rank == 0 || info.dims[0] != 1 ? int64_t(array.elements() == int64_t(info.elements)) : array.dims[0];
    if (count < 1 || (batch >= 0 && batch != count)) {
      int at = snprintf(message, sizeof(message), "%s: its shape does not fit the input '%s', which is [N", file->path, info.name);
      for (int32_t d = 1; d < info.rank && at < int(sizeof(message)); ++d) at += snprintf(message + at, sizeof(message) - size_t(at), ", %d", info.dims[d]);
      if (at < int(sizeof(message))) snprintf(message + at, sizeof(message) - size_t(at), "], channels last, with the same N everywhere");
      return fail(kRejected, message);
    }
    batch = count;
    given.push(array);
  }
  if (batch < 0) batch = 1;
  for (int i = 0; i < outputs; ++i) {
    dgc_tensor_info info;
    dgc_session_output(session, i, &info);
    NpyArray array;
    array.rank = info.rank;
    for (int32_t d = 0; d < info.rank; ++d) array.dims[d] = info.dims[d];
    if (array.rank > 0) array.dims[0] *= batch;
    array.values = dgc::cli::new_floats(array.elements());
    if (array.values == nullptr) return fail(kRejected, "no memory for the outputs");
    results.push(array);
  }
  const double begin = now_ms();
  Array<const float*> from(size_t(inputs), nullptr);
  Array<float*> to(size_t(outputs), nullptr);
  for (int64_t n = 0; n < batch; ++n) {
    for (int i = 0; i < inputs; ++i) from[size_t(i)] = given[size_t(i)].values + n * (given[size_t(i)].elements() / batch);
    for (int i = 0; i < outputs; ++i) to[size_t(i)] = results[size_t(i)].values + n * (results[size_t(i)].elements() / batch);
    if (dgc_session_run(session, 1, from.data(), to.data(), message, sizeof(message)) != DGC_OK) return fail(kRejected, message);
  }
  const double ms = now_ms() - begin;
  for (int i = 0; i < outputs; ++i) {
    dgc_tensor_info info;
    dgc_session_output(session, i, &info);
    const NamedFile* file = file_for(options.outputs, options.output_count, info.name, outputs);
    if (file != nullptr && !dgc::cli::write_npy(file->path, results[size_t(i)], message, sizeof(message))) return fail(kRejected, message);
  }
  if (options.json) printf("{\"runtime\":\"dgconv-run\",\"outputs\":[");
  for (int i = 0; i < outputs; ++i) {
    dgc_tensor_info info;
    dgc_session_output(session, i, &info);
    if (options.json) {
      printf(i ? ",{\"name\":" : "{\"name\":");
      print_string(stdout, info.name);
      printf(",\"shape\":[");
    } else {
      printf("%s [", info.name);
    }
    for (int32_t d = 0; d < results[size_t(i)].rank; ++d) printf(d ? (options.json ? ",%lld" : ", %lld") : "%lld", static_cast<long long>(results[size_t(i)].dims[d]));
    printf(options.json ? "]}" : "]\n");
  }
  printf(options.json ? "],\"ms\":%.6f}\n" : "%.3f ms\n", ms);
  dgc_session_destroy(session);
  return kDone;
}

int compare_doubles(const void* a, const void* b) {
  const double x = *static_cast<const double*>(a), y = *static_cast<const double*>(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

// Multiply-adds of the whole plan, out of its JSON.
double plan_macs(const char* plan) {
  double sum = 0;
  for (const char* at = strstr(plan, "\"macs\":"); at != nullptr; at = strstr(at + 1, "\"macs\":")) sum += strtod(at + 7, nullptr);
  return sum;
}

int bench(const Options& options) {
  const double begin = now_ms();
  dgc_session* session;
  const int loaded = load(options, &session);
  if (loaded != kDone) return loaded;
  const double load_ms = now_ms() - begin;
  Array<float*> buffers;
  uint32_t random = 1;
  const int inputs = dgc_session_input_count(session), outputs = dgc_session_output_count(session);
  for (int i = 0; i < inputs + outputs; ++i) {
    dgc_tensor_info info;
    if (i < inputs) dgc_session_input(session, i, &info);
    else dgc_session_output(session, i - inputs, &info);
    float* buffer = dgc::cli::new_floats(int64_t(info.elements));
    if (buffer == nullptr) return fail(kRejected, "no memory for inputs and outputs");
    for (uint64_t k = 0; k < info.elements; ++k) {
      random = random * 1664525u + 1013904223u;
      buffer[k] = float(int32_t(random >> 8) - (1 << 23)) / float(1 << 23);
    }
    buffers.push(buffer);
  }
  Array<double> times;
  char message[512];
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const double start = now_ms();
    if (dgc_session_run(session, 1, buffers.data(), buffers.data() + inputs, message, sizeof(message)) != DGC_OK) return fail(kRejected, message);
    times.push(now_ms() - start);
  }
  const double first = times[0];
  qsort(times.data(), times.size(), sizeof(double), compare_doubles);
  const double median = times[times.size() / 2], least = times[0], most = times.back();
  const double gflops = 2 * plan_macs(dgc_session_plan(session)) / median / 1e6;
  if (options.json) {
    printf("{\"rows\":[{\"name\":");
    print_string(stdout, options.target);
    printf(",\"runtime\":\"dgconv-run\",\"threads\":%d,\"repeats\":%d,\"loadMs\":%.6f,\"firstMs\":%.6f,\"medianMs\":%.6f,\"minMs\":%.6f,\"maxMs\":%.6f,\"gflops\":%.6f}]}\n", options.threads,
           options.repeats, load_ms, first, median, least, most, gflops);
  } else {
    printf("%s: load %.2f ms, first run %.3f ms, median of %d %.3f ms (%.3f to %.3f), %.2f GFLOP/s, %d threads\n", options.target, load_ms, first, options.repeats, median, least, most, gflops,
           options.threads);
  }
  dgc_session_destroy(session);
  return kDone;
}

void print_tensors(const dgc_session* session, int count, GetTensor get, bool json, const char* what) {
  for (int i = 0; i < count; ++i) {
    dgc_tensor_info info;
    get(session, i, &info);
    if (json) {
      printf(i ? ",{\"name\":" : "{\"name\":");
      print_string(stdout, info.name);
      printf(",\"shape\":[");
    } else {
      printf("%s %s [", what, info.name);
    }
    for (int32_t d = 0; d < info.rank; ++d) printf(d ? (json ? ",%d" : ", %d") : "%d", info.dims[d]);
    printf(json ? "]}" : "], channels last, float32\n");
  }
}

int info(const Options& options) {
  dgc_session* session;
  const int loaded = load(options, &session);
  if (loaded != kDone) return loaded;
  if (options.json) printf("{\"version\":\"%s\",\"isas\":\"%s\",\"inputs\":[", dgc_version(), dgc::edge::available_isas());
  print_tensors(session, dgc_session_input_count(session), dgc_session_input, options.json, "input");
  if (options.json) printf("],\"outputs\":[");
  print_tensors(session, dgc_session_output_count(session), dgc_session_output, options.json, "output");
  const char* plan = dgc_session_plan(session);
  if (options.json) {
    printf("],\"plan\":%s}\n", plan);
  } else {
    // One step a line.
    for (const char* at = plan; *at != 0; ++at) {
      putchar(*at);
      if ((*at == '[' && at[1] == '{') || (*at == ',' && at[1] == '{')) putchar('\n');
    }
    putchar('\n');
  }
  dgc_session_destroy(session);
  return kDone;
}

}  // namespace
}  // namespace dgc::cli

int main(int argc, char** argv) {
  using namespace dgc::cli;
  int code = -1;
  for (int i = 1; i < argc && code < 0; ++i) {
    if (strcmp(argv[i], "--help") == 0) code = (fputs(kHelp, stdout), kDone);
    else if (strcmp(argv[i], "--version") == 0) code = (printf("dgconv-run %s\n", dgc_version()), kDone);
  }
  Options options;
  if (code < 0) code = parse(argc, argv, options);
  if (code == kDone && options.command != nullptr) {
    if (strcmp(options.command, "run") == 0) code = run(options);
    else if (strcmp(options.command, "bench") == 0) code = bench(options);
    else if (strcmp(options.command, "info") == 0) code = info(options);
    else if (strcmp(options.command, "selftest") == 0) code = selftest(options);
    else code = conformance(options);
  }
  if ((fflush(stdout) != 0 || ferror(stdout)) && code != kUsage) return fail(kRejected, "stdout cannot be written to");
  return code;
}
