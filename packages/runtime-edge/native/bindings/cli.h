// What the files of dgconv-run share.
#pragma once

#include <stdio.h>

#include "include/dgconv_edge.h"

namespace dgc::cli {

// Exit codes.
constexpr int kDone = 0, kCheckFailed = 1, kUsage = 2, kRejected = 3;
constexpr int kMaxFiles = 64;

struct NamedFile {
  const char* name;  // empty: the only one
  const char* path;
};

struct Options {
  const char* command = nullptr;
  const char* target = nullptr;
  NamedFile inputs[kMaxFiles] = {}, outputs[kMaxFiles] = {};
  int input_count = 0, output_count = 0;
  int threads = 1, repeats = 20;
  const char* isa = "";
  bool json = false;
};

// Says what is wrong on stderr; gives `code`.
int fail(int code, const char* message);
// As a JSON string.
void print_string(FILE* to, const char* text);
dgc_options session_options(const Options& options);

// Commands; each gives the exit code.
int selftest(const Options& options);
int conformance(const Options& options);

}  // namespace dgc::cli
