// Who is connected with whom in a convolution of a `.edge` file, brought into the one form that convolutions are planned from.
#pragma once

#include "reader.h"

namespace dgc::edge {

// The connectivity's lists are consistent and the kernel has one patch for each connected pair.
bool check_connectivity(const OpRecord& op, const Conv2dOp& fields, const File& file, Status& status);

// Outputs that read the same inputs, both ascending; views into Connections::channels.
struct Block {
  uint32_t outputs = 0;  // offset
  uint32_t output_count = 0;
  uint32_t inputs = 0;  // offset
  uint32_t input_count = 0;
};

// A checked connectivity as blocks that partition the outputs (supports may overlap), and each output's first patch in the kernel.
struct Connections {
  Array<uint32_t> channels;
  Array<Block> blocks;
  Array<uint64_t> first_patch;  // [C_out + 1]
  uint64_t pairs = 0;
};

// For every kind but dense.
void collect_connections(const Conv2dOp& fields, Connections& connections);

}  // namespace dgc::edge
