#include "connections.h"

#include <algorithm>

namespace dgc::edge {
namespace {

bool strictly_ascending(const uint32_t* begin, const uint32_t* end) {
  for (; begin + 1 < end; ++begin)
    if (begin[0] >= begin[1]) return false;
  return true;
}

class Checker {
 public:
  Checker(const OpRecord& op, const Conv2dOp& fields, const File& file, Status& status)
      : op_(op), f_(fields), file_(file), status_(status) {}

  bool check() {
    const uint64_t out = f_.channelsOut, in = f_.channelsIn;
    switch (f_.connectivity) {
      case Connectivity::Dense:
        return empty("outputOrder", f_.outputOrder.size) && empty("inputOrder", f_.inputOrder.size) && no_blocks() && no_mask() && kernel(out * in);
      case Connectivity::Equal:
        if (f_.groups > out || f_.groups > in || out % f_.groups != 0 || in % f_.groups != 0) return fail("groups do not divide the channels");
        return order("outputOrder", f_.outputOrder, f_.channelsOut) && order("inputOrder", f_.inputOrder, f_.channelsIn) && no_blocks() && no_mask() &&
               kernel(out * (in / f_.groups));
      case Connectivity::Unequal:
      case Connectivity::SharedInputs:
      case Connectivity::SharedOutputs:
        return empty("outputOrder", f_.outputOrder.size) && empty("inputOrder", f_.inputOrder.size) && no_mask() && blocks();
      case Connectivity::Unstructured:
        return empty("outputOrder", f_.outputOrder.size) && empty("inputOrder", f_.inputOrder.size) && no_blocks() && mask();
    }
    return fail("unknown connectivity");
  }

 private:
  bool fail(const char* reason) { return status_.fail(DGC_INVALID_FILE, "op %u (conv2d): %s", op_.index, reason); }
  bool empty(const char* name, uint32_t size) {
    return size == 0 || status_.fail(DGC_INVALID_FILE, "op %u (conv2d): %s must be empty for this connectivity", op_.index, name);
  }
  bool no_blocks() { return empty("blockOutputs", f_.blockOutputs.size) && empty("blockInputs", f_.blockInputs.size); }
  bool no_mask() { return empty("mask", f_.mask.size); }

  bool kernel(uint64_t pairs) {
    const uint64_t patch = uint64_t{f_.window.kernelHeight} * f_.window.kernelWidth;
    const uint64_t elements = uint64_t(file_.tensors[f_.kernel].shape.elements());
    if (elements % patch == 0 && elements / patch == pairs) return true;
    return status_.fail(DGC_INVALID_FILE, "op %u (conv2d): the kernel has %llu elements, needed are %llu connections × %llu", op_.index,
                        static_cast<unsigned long long>(elements), static_cast<unsigned long long>(pairs), static_cast<unsigned long long>(patch));
  }

  // Empty, or a permutation that ascends within each group.
  bool order(const char* name, const U32List& list, uint32_t channels) {
    if (list.size == 0) return true;
    bool good = list.size == channels;
    Array<uint8_t> seen(good ? channels : 0, 0);
    for (uint32_t i = 0; good && i < channels; ++i) {
      good = list[i] < channels && !seen[list[i]];
      if (good) seen[list[i]] = 1;
    }
    const uint32_t size = channels / f_.groups;
    for (uint32_t g = 0; good && g < f_.groups; ++g) good = strictly_ascending(list.data + g * size, list.data + (g + 1) * size);
    return good || status_.fail(DGC_INVALID_FILE, "op %u (conv2d): %s is no permutation of %u channels that ascends within groups", op_.index, name, channels);
  }

  // Two lists of `groups` runs, each a count and as many ascending channels.
  bool blocks() {
    const bool by_inputs = f_.connectivity == Connectivity::SharedOutputs;
    const uint32_t* out = f_.blockOutputs.begin();
    const uint32_t* in = f_.blockInputs.begin();
    uint64_t pairs = 0;
    Array<uint8_t> seen(by_inputs ? f_.channelsIn : f_.channelsOut, 0);
    uint64_t covered = 0;
    Array<uint8_t> seen_inputs(f_.connectivity == Connectivity::Unequal ? f_.channelsIn : 0, 0);
    for (uint32_t b = 0; b < f_.groups; ++b) {
      const uint32_t *outputs, *inputs;
      uint32_t output_count, input_count;
      if (!run(out, f_.blockOutputs.end(), f_.channelsOut, outputs, output_count) || !run(in, f_.blockInputs.end(), f_.channelsIn, inputs, input_count))
        return fail("its blocks are not runs of a count and as many ascending channels");
      pairs += uint64_t{output_count} * input_count;
      const uint32_t* partition = by_inputs ? inputs : outputs;
      const uint32_t count = by_inputs ? input_count : output_count;
      for (uint32_t i = 0; i < count; ++i) {
        if (seen[partition[i]]) return fail("a channel is in two of its blocks");
        seen[partition[i]] = 1;
      }
      covered += count;
      for (uint32_t i = 0; !seen_inputs.empty() && i < input_count; ++i) {
        if (seen_inputs[inputs[i]]) return fail("an input is in two of its blocks");
        seen_inputs[inputs[i]] = 1;
      }
    }
    if (out != f_.blockOutputs.end() || in != f_.blockInputs.end()) return fail("its blocks are more than its groups");
    if (covered != seen.size()) return fail("its blocks leave out a channel");
    return kernel(pairs);
  }

  static bool run(const uint32_t*& at, const uint32_t* end, uint32_t channels, const uint32_t*& list, uint32_t& count) {
    if (at == end || *at > size_t(end - at) - 1) return false;
    count = *at++;
    list = at;
    at += count;
    return strictly_ascending(list, list + count) && (count == 0 || list[count - 1] < channels);
  }

  bool mask() {
    const uint64_t words = (uint64_t{f_.channelsIn} + 31) / 32;
    if (f_.mask.size != words * f_.channelsOut) return fail("its mask has not one bit for each pair of channels");
    const uint32_t unused = f_.channelsIn % 32 == 0 ? 0 : ~0u << (f_.channelsIn % 32);
    uint64_t pairs = 0;
    for (uint32_t i = 0; i < f_.mask.size; ++i) {
      if (i % words == words - 1 && (f_.mask[i] & unused) != 0) return fail("its mask has bits behind the last input");
      pairs += uint64_t(__builtin_popcount(f_.mask[i]));
    }
    return kernel(pairs);
  }

  const OpRecord& op_;
  const Conv2dOp& f_;
  const File& file_;
  Status& status_;
};

// The inputs of every output, ascending: `channels[first[o] … first[o + 1])`.
struct Supports {
  Array<uint64_t> first;
  Array<uint32_t> channels;
};

void supports_of_mask(const Conv2dOp& f, Supports& supports) {
  const uint32_t words = (f.channelsIn + 31) / 32;
  for (uint32_t o = 0; o < f.channelsOut; ++o) {
    supports.first.push(supports.channels.size());
    for (uint32_t w = 0; w < words; ++w)
      for (uint32_t bits = f.mask[size_t{o} * words + w]; bits != 0; bits &= bits - 1) supports.channels.push(w * 32 + uint32_t(__builtin_ctz(bits)));
  }
  supports.first.push(supports.channels.size());
}

void supports_of_classes(const Conv2dOp& f, Supports& supports) {
  supports.first.resize(size_t{f.channelsOut} + 1, 0);
  for (int pass = 0; pass < 2; ++pass) {
    Array<uint64_t> at(pass == 0 ? 0 : f.channelsOut);
    for (size_t o = 0; o < at.size(); ++o) at[o] = supports.first[o];
    const uint32_t* out = f.blockOutputs.begin();
    const uint32_t* in = f.blockInputs.begin();
    for (uint32_t b = 0; b < f.groups; ++b) {
      const uint32_t outputs = *out++, inputs = *in++;
      for (uint32_t o = 0; o < outputs; ++o) {
        if (pass == 0) supports.first[out[o] + 1] += inputs;
        else
          for (uint32_t i = 0; i < inputs; ++i) supports.channels[at[out[o]]++] = in[i];
      }
      out += outputs;
      in += inputs;
    }
    if (pass == 1) break;
    for (uint32_t o = 0; o < f.channelsOut; ++o) supports.first[o + 1] += supports.first[o];
    supports.channels.resize(supports.first[f.channelsOut]);
  }
  for (uint32_t o = 0; o < f.channelsOut; ++o)
    std::sort(supports.channels.begin() + supports.first[o], supports.channels.begin() + supports.first[o + 1]);
}

// Outputs with the same support become one block, blocks in the order of their first output.
void blocks_of_supports(const Conv2dOp& f, const Supports& supports, Connections& connections) {
  Array<uint32_t> order(f.channelsOut);
  for (uint32_t o = 0; o < f.channelsOut; ++o) order[o] = o;
  const auto size = [&](uint32_t o) { return supports.first[o + 1] - supports.first[o]; };
  const auto compare = [&](uint32_t a, uint32_t b) {
    if (size(a) != size(b)) return size(a) < size(b) ? -1 : 1;
    const uint32_t *in_a = supports.channels.data() + supports.first[a], *in_b = supports.channels.data() + supports.first[b];
    return size(a) == 0 ? 0 : memcmp(in_a, in_b, size(a) * sizeof(uint32_t));
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int by_support = compare(a, b);
    return by_support != 0 ? by_support < 0 : a < b;
  });
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && compare(order[begin], order[end]) == 0) ++end;
    Block block;
    block.outputs = uint32_t(connections.channels.size());
    block.output_count = uint32_t(end - begin);
    for (size_t i = begin; i < end; ++i) connections.channels.push(order[i]);
    block.inputs = uint32_t(connections.channels.size());
    block.input_count = uint32_t(size(order[begin]));
    for (uint64_t i = 0; i < block.input_count; ++i) connections.channels.push(supports.channels[supports.first[order[begin]] + i]);
    connections.blocks.push(block);
    begin = end;
  }
  std::sort(connections.blocks.begin(), connections.blocks.end(), [&](const Block& a, const Block& b) { return connections.channels[a.outputs] < connections.channels[b.outputs]; });
}

void blocks_of_lists(const Conv2dOp& f, Connections& connections) {
  const uint32_t* out = f.blockOutputs.begin();
  const uint32_t* in = f.blockInputs.begin();
  for (uint32_t b = 0; b < f.groups; ++b) {
    Block block;
    block.output_count = *out++;
    block.input_count = *in++;
    block.outputs = uint32_t(connections.channels.size());
    for (uint32_t i = 0; i < block.output_count; ++i) connections.channels.push(*out++);
    block.inputs = uint32_t(connections.channels.size());
    for (uint32_t i = 0; i < block.input_count; ++i) connections.channels.push(*in++);
    if (block.output_count > 0) connections.blocks.push(block);
  }
}

void blocks_of_groups(const Conv2dOp& f, Connections& connections) {
  const uint32_t out = f.channelsOut / f.groups, in = f.channelsIn / f.groups;
  for (uint32_t g = 0; g < f.groups; ++g) {
    const uint32_t at = uint32_t(connections.channels.size());
    for (uint32_t i = 0; i < out; ++i) connections.channels.push(f.outputOrder.size ? f.outputOrder[g * out + i] : g * out + i);
    for (uint32_t i = 0; i < in; ++i) connections.channels.push(f.inputOrder.size ? f.inputOrder[g * in + i] : g * in + i);
    connections.blocks.push({at, out, at + out, in});
  }
}

}  // namespace

bool check_connectivity(const OpRecord& op, const Conv2dOp& fields, const File& file, Status& status) {
  return Checker(op, fields, file, status).check();
}

void collect_connections(const Conv2dOp& f, Connections& connections) {
  Supports supports;
  switch (f.connectivity) {
    case Connectivity::Dense:
      break;
    case Connectivity::Equal:
      blocks_of_groups(f, connections);
      break;
    case Connectivity::Unequal:
    case Connectivity::SharedInputs:
      blocks_of_lists(f, connections);
      break;
    case Connectivity::SharedOutputs:
      supports_of_classes(f, supports);
      blocks_of_supports(f, supports, connections);
      break;
    case Connectivity::Unstructured:
      supports_of_mask(f, supports);
      blocks_of_supports(f, supports, connections);
      break;
  }
  connections.first_patch.resize(size_t{f.channelsOut} + 1, 0);
  for (const Block& block : connections.blocks)
    for (uint32_t i = 0; i < block.output_count; ++i) connections.first_patch[connections.channels[block.outputs + i] + 1] = block.input_count;
  for (uint32_t o = 0; o < f.channelsOut; ++o) connections.first_patch[o + 1] += connections.first_patch[o];
  connections.pairs = connections.first_patch[f.channelsOut];
}

}  // namespace dgc::edge
