// Checks every op against its inputs and derives what its output is.
#pragma once

#include "reader.h"

namespace dgc::edge {

// What the file's values are beyond their stored shapes.
struct GraphFacts {
  // For each tensor: its first dimension is the batch, so it grows with it (constants do not).
  Array<uint8_t> batched;
  // Whether any batch can be run; otherwise `obstacle` is the op (or kMaxOps: an input or output) that forbids it.
  bool batchable = true;
  uint32_t obstacle = kMaxOps;
};

// Every op's stored output shape is the one that follows from its inputs, and its constants have the sizes that it needs.
bool check_shapes(const File& file, GraphFacts& facts, Status& status);

}  // namespace dgc::edge
