// The commands of dgconv-run that check: a file by its own test vectors, and a bundle of such files.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>

#include "cli.h"
#include "native/plan/array.h"
#include "native/plan/select.h"

namespace dgc::cli {

using edge::Array;

int selftest(const Options& options) {
  const dgc_options settings = session_options(options);
  double error = 0;
  uint64_t compared = 0;
  char message[512] = "";
  const dgc_status status = dgc_selftest_file(options.target, &settings, &error, &compared, message, sizeof(message));
  const bool ok = status == DGC_OK;
  if (options.json) {
    printf("{\"ok\":%s,\"maxAbsError\":", ok ? "true" : "false");
    printf(isfinite(error) ? "%g" : "null", error);
    printf(",\"compared\":%llu,\"reason\":", static_cast<unsigned long long>(compared));
    print_string(stdout, message);
    printf("}\n");
  } else if (ok) {
    printf("%s: %llu values compared, largest error %g\n", options.target, static_cast<unsigned long long>(compared), error);
  } else if (status == DGC_IO_ERROR) {
    fprintf(stderr, "dgconv-run: %s\n", message);  // it names the file
  } else {
    fprintf(stderr, "dgconv-run: %s: %s\n", options.target, message);
  }
  return ok ? kDone : compared > 0 ? kCheckFailed : kRejected;
}

namespace {

struct Case {
  char* name;
  char* reason;  // null: passed
  bool skipped;
};

void write_tap(FILE* to, const Array<Case>& cases) {
  fprintf(to, "TAP version 13\n1..%zu\n", cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& entry = cases[i];
    fprintf(to, "%s %zu - ", entry.reason == nullptr || entry.skipped ? "ok" : "not ok", i + 1);
    for (const char* at = entry.name; *at != 0; ++at) fputc(*at == '#' || *at == '\\' ? '_' : *at, to);
    if (entry.skipped) fprintf(to, " # SKIP %s", entry.reason);
    else if (entry.reason != nullptr) fprintf(to, "\n# %s", entry.reason);
    fputc('\n', to);
  }
}

void write_json(FILE* to, const Array<Case>& cases, int threads, const char* isa) {
  size_t counts[3] = {};
  for (const Case& entry : cases) ++counts[entry.reason == nullptr ? 0 : entry.skipped ? 2 : 1];
  fprintf(to, "{\"runtime\":\"dgconv-run\",\"version\":\"%s\",\"isa\":", dgc_version());
  print_string(to, isa);
  fprintf(to, ",\"threads\":%d,\"suite\":\"bundle\",\"passed\":%zu,\"failed\":%zu,\"skipped\":%zu", threads, counts[0], counts[1], counts[2]);
  for (const bool skips : {false, true}) {
    fprintf(to, skips ? ",\"skips\":[" : ",\"failures\":[");
    bool first = true;
    for (const Case& entry : cases) {
      if (entry.reason == nullptr || entry.skipped != skips) continue;
      fprintf(to, first ? "{\"name\":" : ",{\"name\":");
      print_string(to, entry.name);
      fprintf(to, ",\"reason\":");
      print_string(to, entry.reason);
      fputc('}', to);
      first = false;
    }
    fputc(']', to);
  }
  fprintf(to, ",\"cases\":[");
  for (size_t i = 0; i < cases.size(); ++i) {
    if (i) fputc(',', to);
    print_string(to, cases[i].name);
  }
  fprintf(to, "]}\n");
}

}  // namespace

// DIR/cases.txt: one case a line, the file's name, a tab, the case's name.
int conformance(const Options& options) {
  char path[2 * PATH_MAX], line[PATH_MAX], message[512];
  snprintf(path, sizeof(path), "%s/cases.txt", options.target);
  FILE* list = fopen(path, "r");
  if (list == nullptr) {
    snprintf(message, sizeof(message), "%.400s: there is no cases.txt: it is no conformance bundle", options.target);
    return fail(kRejected, message);
  }
  const dgc_options settings = session_options(options);
  Array<Case> cases;
  bool failed = false;
  while (fgets(line, sizeof(line), list) != nullptr) {
    line[strcspn(line, "\r\n")] = 0;
    char* tab = strchr(line, '\t');
    if (line[0] == 0) continue;
    if (tab == nullptr || memchr(line, '/', size_t(tab - line)) != nullptr) {
      fclose(list);
      return fail(kRejected, "cases.txt is broken: a line is a file's name in the bundle, a tab and a case's name");
    }
    *tab = 0;
    snprintf(path, sizeof(path), "%s/%s", options.target, line);
    double error = 0;
    uint64_t compared = 0;
    const dgc_status status = dgc_selftest_file(path, &settings, &error, &compared, message, sizeof(message));
    Case entry = {strdup(tab + 1), status == DGC_OK ? nullptr : strdup(message), false};
    failed = failed || entry.reason != nullptr;
    cases.push(entry);
    if (!options.json && entry.reason != nullptr) fprintf(stderr, "failed: %s: %s\n", entry.name, entry.reason);
  }
  fclose(list);
  const dgc::KernelTable* kernels = dgc::edge::find_kernels(options.isa);
  const char* isa = kernels == nullptr ? "none" : kernels->isa;
  snprintf(path, sizeof(path), "%s/result.json", options.target);
  FILE* json = fopen(path, "w");
  snprintf(path, sizeof(path), "%s/result.tap", options.target);
  FILE* tap = fopen(path, "w");
  if (json == nullptr || tap == nullptr) return fail(kRejected, "the results cannot be written into the bundle");
  write_json(json, cases, options.threads, isa);
  write_tap(tap, cases);
  bool written = !ferror(json) && !ferror(tap);
  for (FILE* file : {json, tap}) written = fclose(file) == 0 && written;
  if (!written) return fail(kRejected, "the results cannot be written into the bundle");
  if (options.json) write_json(stdout, cases, options.threads, isa);
  else {
    size_t passed = 0;
    for (const Case& entry : cases) passed += entry.reason == nullptr;
    printf("%zu of %zu cases passed (%s, %d threads)\n", passed, cases.size(), isa, options.threads);
  }
  return failed || cases.empty() ? kCheckFailed : kDone;
}

}  // namespace dgc::cli
