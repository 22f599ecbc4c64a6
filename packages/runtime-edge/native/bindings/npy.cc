#include "npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dgc::cli {
namespace {

constexpr size_t kMaxHeader = 65536;
constexpr int64_t kMaxElements = int64_t{1} << 31;

// The value of a key in the header's dictionary, which NumPy writes in one form only.
const char* value_of(const char* header, const char* key) {
  const char* at = strstr(header, key);
  if (at == nullptr) return nullptr;
  at += strlen(key);
  while (*at == ' ' || *at == ':') ++at;
  return at;
}

bool parse_header(const char* header, NpyArray& array, char* message, size_t room, const char* path) {
  const char* type = value_of(header, "'descr'");
  const char* order = value_of(header, "'fortran_order'");
  const char* shape = value_of(header, "'shape'");
  if (type == nullptr || order == nullptr || shape == nullptr || *shape != '(') {
    snprintf(message, room, "%s: the .npy header is broken", path);
    return false;
  }
  if (strncmp(type, "'<f4'", 5) != 0) {
    snprintf(message, room, "%s: holds %.8s, needed is little-endian float32 ('<f4')", path, type);
    return false;
  }
  if (strncmp(order, "False", 5) != 0) {
    snprintf(message, room, "%s: is in Fortran order, needed is C order", path);
    return false;
  }
  array.rank = 0;
  int64_t elements = 1;
  for (const char* at = shape + 1; *at != ')';) {
    char* end;
    const long long dim = strtoll(at, &end, 10);
    if (end == at || dim < 0 || dim > kMaxElements || array.rank == 8 || elements * dim > kMaxElements) {
      snprintf(message, room, "%s: the .npy header's shape is broken or too large", path);
      return false;
    }
    elements *= dim;
    array.dims[array.rank++] = dim;
    at = end;
    while (*at == ',' || *at == ' ') ++at;
  }
  return true;
}

}  // namespace

float* new_floats(int64_t count) {
  if (uint64_t(count) > SIZE_MAX / 2 / sizeof(float)) return nullptr;
  return static_cast<float*>(malloc(size_t(count) * sizeof(float) + 1));
}

bool read_npy(const char* path, NpyArray& array, char* message, size_t room) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    snprintf(message, room, "%s: %s", path, strerror(errno));
    return false;
  }
  unsigned char start[12];
  char* header = nullptr;
  bool good = fread(start, 1, 10, file) == 10 && memcmp(start, "\x93NUMPY", 6) == 0 && start[6] >= 1 && start[6] <= 3;
  size_t size = 0;
  if (good) {
    size = start[8] | size_t{start[9]} << 8;
    if (start[6] > 1) good = fread(start + 10, 1, 2, file) == 2 && start[11] == 0 && (size |= size_t{start[10]} << 16) <= kMaxHeader;
  }
  if (good) {
    header = static_cast<char*>(calloc(size + 1, 1));
    good = header != nullptr && fread(header, 1, size, file) == size;
  }
  if (!good) snprintf(message, room, "%s: is no .npy file", path);
  good = good && parse_header(header, array, message, room, path);
  free(header);
  if (good) {
    const size_t elements = size_t(array.elements());
    array.values = new_floats(array.elements());
    good = array.values != nullptr && fread(array.values, sizeof(float), elements, file) == elements && fgetc(file) == EOF;
    if (array.values == nullptr) snprintf(message, room, "%s: no memory for %lld values", path, static_cast<long long>(array.elements()));
    else if (!good) snprintf(message, room, "%s: its data do not fill the shape that its header says", path);
  }
  fclose(file);
  return good;
}

bool write_npy(const char* path, const NpyArray& array, char* message, size_t room) {
  char shape[256], header[512];
  int at = 0;
  for (int32_t d = 0; d < array.rank; ++d) at += snprintf(shape + at, sizeof(shape) - size_t(at), d ? ", %lld" : "%lld", static_cast<long long>(array.dims[d]));
  if (array.rank == 0) shape[0] = 0;
  int length = snprintf(header, sizeof(header), "{'descr': '<f4', 'fortran_order': False, 'shape': (%s%s), }", shape, array.rank == 1 ? "," : "");
  while ((10 + length + 1) % 64 != 0) header[length++] = ' ';
  header[length++] = '\n';
  const unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<unsigned char>(length & 255), static_cast<unsigned char>(length >> 8)};

  struct stat facts;
  const bool special = stat(path, &facts) == 0 && !S_ISREG(facts.st_mode);
  const size_t path_bytes = strlen(path) + 8;
  char* temporary = static_cast<char*>(malloc(path_bytes));
  snprintf(temporary, path_bytes, special ? "%s" : "%s.part", path);
  FILE* file = fopen(temporary, "wb");
  const bool opened = file != nullptr;
  bool good = opened;
  if (opened) {
    const size_t elements = size_t(array.elements());
    good = fwrite(start, 1, 10, file) == 10 && fwrite(header, 1, size_t(length), file) == size_t(length) &&
           fwrite(array.values, sizeof(float), elements, file) == elements;
    good = fclose(file) == 0 && good;
    good = good && (special || rename(temporary, path) == 0);
  }
  if (!good) snprintf(message, room, "%s: %s", path, strerror(errno));
  if (opened && !good && !special) unlink(temporary);
  free(temporary);
  return good;
}

}  // namespace dgc::cli
