// Tensors in NumPy's .npy files: little-endian float32, C order.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace dgc::cli {

struct NpyArray {
  int32_t rank = 0;
  int64_t dims[8] = {};
  float* values = nullptr;  // from malloc

  int64_t elements() const {
    int64_t product = 1;
    for (int32_t d = 0; d < rank; ++d) product *= dims[d];
    return product;
  }
};

// From malloc; null where the machine cannot hold so many.
float* new_floats(int64_t count);
// False with one sentence in `message` if the file cannot be read or holds something else.
bool read_npy(const char* path, NpyArray& array, char* message, size_t message_bytes);
// Writes a temporary file beside `path` and renames it; what is there and no file, a device or a pipe, is written to.
bool write_npy(const char* path, const NpyArray& array, char* message, size_t message_bytes);

}  // namespace dgc::cli
