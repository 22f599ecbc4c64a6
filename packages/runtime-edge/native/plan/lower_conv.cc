#include <algorithm>

#include "lower.h"
#include "select.h"

namespace dgc::edge {

bool Lowering::operator()(const OpRecord& op, const Conv2dOp& f) {
  const Shape &in = input(op, 0), &out = output(op);
  ConvDesc desc = conv_desc(in, out, f.window);
  desc.activation = activation_of(f.activation);
  desc.pre = f.pre == PreOperation::None ? PreKind::kNone : PreKind::kAffineRelu;
  desc.has_residual = op.inputs.size == 2;
  const ConvWeights weights = {data(f.kernel), data(f.bias), data(f.preScale), data(f.preShift)};
  const Operand residual = desc.has_residual ? value(op, 1) : Operand();
  if (f.connectivity == Connectivity::Dense || (f.connectivity == Connectivity::Equal && identity(f.outputOrder) && identity(f.inputOrder))) {
    desc.groups = f.connectivity == Connectivity::Dense ? 1 : int32_t(f.groups);
    desc.group_inputs = desc.input_channels / desc.groups;
    return emit_conv(op, desc, weights, value(op, 0), residual, {int32_t(op.output), 0});
  }
  Connections connections;
  collect_connections(f, connections);
  if ((f.connectivity == Connectivity::Unstructured || f.connectivity == Connectivity::SharedOutputs) && connections.blocks.size() * kRowsOfAUsefulBlock > f.channelsOut)
    return lower_dense_form(op, desc, weights, residual, connections);
  return lower_blocks(op, desc, weights, residual, connections);
}

bool Lowering::operator()(const OpRecord& op, const Conv2dTransposeOp& f) {
  ConvDesc desc = conv_desc(input(op, 0), output(op), f.window);
  desc.activation = activation_of(f.activation);
  desc.groups = int32_t(f.groups);
  desc.group_inputs = desc.input_channels / desc.groups;
  return emit_conv(op, desc, {data(f.kernel), data(f.bias), nullptr, nullptr}, value(op, 0), {}, {int32_t(op.output), 0}, true);
}

bool Lowering::operator()(const OpRecord& op, const DenseOp& f) {
  const Shape& in = input(op, 0);
  ConvDesc desc = {};
  desc.batch = desc.input_height = desc.output_height = desc.groups = 1;
  desc.input_width = desc.output_width = int32_t(in.elements() / f.channelsIn);
  desc.input_channels = desc.group_inputs = int32_t(f.channelsIn);
  desc.output_channels = int32_t(f.channelsOut);
  desc.kernel_height = desc.kernel_width = desc.stride_height = desc.stride_width = desc.dilation_height = desc.dilation_width = 1;
  desc.activation = activation_of(f.activation);
  desc.input_pixel_stride = desc.input_channels;
  desc.output_pixel_stride = desc.residual_pixel_stride = desc.output_channels;
  if (!emit_conv(op, desc, {data(f.kernel), data(f.bias), nullptr, nullptr}, value(op, 0), {}, {int32_t(op.output), 0})) return false;
  plan_.steps.back().batch_in_width = true;
  return true;
}

ConvDesc Lowering::conv_desc(const Shape& in, const Shape& out, const WindowFields& w) {
  ConvDesc desc = {};
  set_window(desc, in, out, w);
  desc.input_channels = int32_t(in.dims[3]);
  desc.output_channels = int32_t(out.dims[3]);
  desc.input_pixel_stride = desc.input_channels;
  desc.output_pixel_stride = desc.residual_pixel_stride = desc.output_channels;
  return desc;
}

// Kernels that change inputs on load do so for every lane or block that reads them. Where a preferred kernel knows the groups but
// not the pre-activation, a pass over the inputs before it costs less.
bool Lowering::wants_pass_before(const ConvDesc& desc) const {
  if (desc.pre == PreKind::kNone || desc.input_index != nullptr) return false;
  Step step;
  memset(&step.desc, 0, sizeof(step.desc));
  step.kind = StepKind::Conv;
  step.desc.conv = desc;
  const ConvKernel* fused = static_cast<const ConvKernel*>(select_kernel(*plan_.kernels, step));
  step.desc.conv.pre = PreKind::kNone;
  step.desc.conv.input_pixel_stride = desc.input_channels;
  return static_cast<const ConvKernel*>(select_kernel(*plan_.kernels, step)) < fused;  // both in the registry's order
}

bool Lowering::emit_conv_after_pass(const OpRecord& op, ConvDesc desc, const ConvWeights& weights, Operand in, Operand residual, Operand out) {
  const int64_t pixels = int64_t{desc.batch} * desc.input_height * desc.input_width;
  const Operand activated = {temporary(pixels * desc.input_channels, plan_.values[in.value].batched), 0};
  const ChannelwiseDesc pass = {ChannelwiseKind::kAffineRelu, pixels, desc.input_channels, desc.input_pixel_stride, desc.input_channels};
  if (!channelwise(op, pass, in, activated, weights.pre_scale, weights.pre_shift)) return false;
  desc.pre = PreKind::kNone;
  desc.input_pixel_stride = desc.input_channels;
  return emit_conv(op, desc, weights, activated, residual, out);
}

bool Lowering::emit_conv(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand in, Operand residual, Operand out, bool transposed) {
  if (!transposed && wants_pass_before(desc)) return emit_conv_after_pass(op, desc, weights, in, residual, out);
  Step step = make_step(transposed ? StepKind::ConvTranspose : StepKind::Conv, op, out);
  step.desc.conv = desc;
  step.counts_macs = true;
  const double pixels = double(desc.batch) * (transposed ? double(desc.input_height) * desc.input_width : double(desc.output_height) * desc.output_width);
  const double per_pixel = (transposed ? double(desc.input_channels) * (desc.output_channels / desc.groups) : double(desc.output_channels) * desc.group_inputs) * desc.kernel_height * desc.kernel_width;
  step.cost = pixels * per_pixel < 9e18 ? int64_t(pixels * per_pixel) : INT64_MAX;
  add_input(step, in);
  if (desc.has_residual) {
    add_input(step, residual);
    step.in_place = 2;
  }
  const ConvKernel* kernel = static_cast<const ConvKernel*>(select_kernel(*plan_.kernels, step));
  const uint64_t bytes = kernel->packed_bytes(desc);
  void* packed = plan_.allocate(bytes, status_);
  if (packed == nullptr) return false;
  kernel->pack(desc, weights, packed);
  plan_.packed_bytes += bytes;
  step.packed = packed;
  plan_.steps.push(step);
  return true;
}

bool Lowering::temporary_weights(AlignedBuffer& buffer, const OpRecord& op, double bytes) {
  const double limit = plan_.memory_limit == 0 ? 1e15 : double(plan_.memory_limit);
  if (bytes <= limit && buffer.allocate(uint64_t(bytes))) return true;
  return status_.fail(DGC_OUT_OF_MEMORY, "no memory for %.0f bytes of weights of op %u (%s)", bytes, op.index, op_name(op.code));
}

bool Lowering::lower_dense_form(const OpRecord& op, ConvDesc desc, ConvWeights weights, Operand residual, const Connections& connections) {
  const int64_t patch = int64_t{desc.kernel_height} * desc.kernel_width;
  const double bytes = double(desc.output_channels) * desc.input_channels * double(patch) * sizeof(float);
  AlignedBuffer buffer;
  if (!temporary_weights(buffer, op, bytes)) return false;
  float* kernel = static_cast<float*>(buffer.data());
  memset(kernel, 0, size_t(bytes));
  for (const Block& block : connections.blocks)
    for (uint32_t o = 0; o < block.output_count; ++o) {
      const uint32_t channel = connections.channels[block.outputs + o];
      for (uint32_t i = 0; i < block.input_count; ++i)
        memcpy(kernel + (int64_t{channel} * desc.input_channels + connections.channels[block.inputs + i]) * patch,
               weights.kernel + int64_t(connections.first_patch[channel] + i) * patch, size_t(patch) * sizeof(float));
    }
  desc.groups = 1;
  desc.group_inputs = desc.input_channels;
  weights.kernel = kernel;
  return emit_conv(op, desc, weights, value(op, 0), residual, {int32_t(op.output), 0});
}

bool Lowering::lower_blocks(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand residual, Connections& connections) {
  Array<Block>& blocks = connections.blocks;
  const Array<uint32_t>& channels = connections.channels;
  bool in_order = true;
  uint32_t expected = 0;
  for (const Block& block : blocks)
    for (uint32_t o = 0; o < block.output_count; ++o) in_order = in_order && channels[block.outputs + o] == expected++;
  if (!in_order)
    std::sort(blocks.begin(), blocks.end(), [&](const Block& a, const Block& b) {
      if (a.output_count != b.output_count) return a.output_count > b.output_count;
      if (a.input_count != b.input_count) return a.input_count > b.input_count;
      return channels[a.outputs] < channels[b.outputs];
    });

  // Inputs that a window slides over are brought into block order first, unless blocks overlap or are slices anyway.
  uint64_t listed = 0;
  bool sliced = true;
  for (const Block& block : blocks) {
    for (uint32_t i = 0; i < block.input_count; ++i) sliced = sliced && channels[block.inputs + i] == listed + i;
    listed += block.input_count;
  }
  const bool pointwise = desc.kernel_height == 1 && desc.kernel_width == 1;
  const bool gather = !sliced && !pointwise && listed <= uint64_t(desc.input_channels) && listed > 0;
  Array<uint32_t> order;
  Operand in = value(op, 0);
  Array<float> pre_scale, pre_shift;
  ConvWeights source = weights;
  ConvDesc part = desc;
  if (gather) {
    for (const Block& block : blocks)
      for (uint32_t i = 0; i < block.input_count; ++i) order.push(channels[block.inputs + i]);
    const int64_t pixels = int64_t{desc.batch} * desc.input_height * desc.input_width;
    const Operand gathered = {temporary(pixels * int64_t(order.size()), plan_.values[in.value].batched), 0};
    if (!take(op, in, gathered, pixels, desc.input_channels, 1, order.data(), uint32_t(order.size()))) return false;
    in = gathered;
    part.input_channels = int32_t(order.size());
    part.input_pixel_stride = int64_t(order.size());
    if (desc.pre != PreKind::kNone) {
      for (const uint32_t channel : order) {
        pre_scale.push(weights.pre_scale[channel]);
        pre_shift.push(weights.pre_shift[channel]);
      }
      source.pre_scale = pre_scale.data();
      source.pre_shift = pre_shift.data();
    }
  }

  Operand out = {int32_t(op.output), 0};
  if (!in_order) {
    out.value = temporary(plan_.values[op.output].floats, plan_.values[op.output].batched);
    if (desc.has_residual) {
      part.has_residual = false;
      part.activation = kNoActivation;
    }
  }
  uint32_t output_at = 0, input_at = 0;
  for (size_t begin = 0; begin < blocks.size();) {
    size_t end = begin + 1;
    while (end < blocks.size() && blocks[end].output_count == blocks[begin].output_count && blocks[end].input_count == blocks[begin].input_count) ++end;
    if (!lower_bucket(op, part, source, weights.bias, in, residual, out, connections, begin, end, gather, input_at, output_at)) return false;
    output_at += blocks[begin].output_count * uint32_t(end - begin);
    input_at += blocks[begin].input_count * uint32_t(end - begin);
    begin = end;
  }
  if (in_order) return true;

  Array<uint32_t> position(size_t(desc.output_channels), 0);
  uint32_t at = 0;
  for (const Block& block : blocks)
    for (uint32_t o = 0; o < block.output_count; ++o) position[channels[block.outputs + o]] = at++;
  const int64_t pixels = int64_t{desc.batch} * desc.output_height * desc.output_width;
  const Operand target = {int32_t(op.output), 0};
  if (!desc.has_residual) return take(op, out, target, pixels, desc.output_channels, 1, position.data(), at);
  const Operand ordered = {temporary(plan_.values[op.output].floats, plan_.values[op.output].batched), 0};
  if (!take(op, out, ordered, pixels, desc.output_channels, 1, position.data(), at)) return false;
  Step step = make_step(StepKind::Binary, op, target);
  step.desc.binary.kind = BinaryKind::kAdd;
  step.desc.binary.activation = desc.activation;
  step.desc.binary.rank = 1;
  step.desc.binary.dims[0] = plan_.values[op.output].floats;
  step.desc.binary.a_strides[0] = step.desc.binary.b_strides[0] = 1;
  step.in_place = 3;
  add_input(step, ordered);
  add_input(step, residual);
  return emit(step);
}

bool Lowering::lower_bucket(const OpRecord& op, ConvDesc desc, ConvWeights weights, const float* bias, Operand in, Operand residual, Operand out, const Connections& connections,
                  size_t begin, size_t end, bool gathered, uint32_t input_at, uint32_t output_at) {
  const Block* blocks = connections.blocks.data();
  const Array<uint32_t>& channels = connections.channels;
  const uint32_t groups = uint32_t(end - begin), outputs = blocks[begin].output_count;
  const bool unconnected = blocks[begin].input_count == 0;  // reads some input with weight 0
  const uint32_t inputs = unconnected ? 1 : blocks[begin].input_count;
  const int64_t patch = int64_t{desc.kernel_height} * desc.kernel_width;

  int32_t* index = static_cast<int32_t*>(plan_.allocate(uint64_t{groups} * inputs * sizeof(int32_t), status_));
  AlignedBuffer buffer;
  const uint64_t row = uint64_t(patch) * inputs * sizeof(float);
  if (index == nullptr || !temporary_weights(buffer, op, double(row) * outputs * groups)) return false;
  char* to = static_cast<char*>(buffer.data());
  Array<float> bucket_bias;
  bool slice = true;
  for (size_t b = begin; b < end; ++b) {
    for (uint32_t i = 0; i < inputs; ++i) {
      int32_t& entry = index[(b - begin) * inputs + i];
      entry = unconnected ? 0 : gathered ? int32_t(input_at + (b - begin) * inputs + i) : int32_t(channels[blocks[b].inputs + i]);
      slice = slice && entry == int32_t(index[0] + (b - begin) * inputs + i);
    }
    for (uint32_t o = 0; o < outputs; ++o, to += row) {
      const uint32_t channel = channels[blocks[b].outputs + o];
      if (unconnected) memset(to, 0, row);
      else memcpy(to, weights.kernel + int64_t(connections.first_patch[channel]) * patch, row);
      if (bias != nullptr) bucket_bias.push(bias[channel]);
    }
  }
  desc.groups = int32_t(groups);
  desc.group_inputs = int32_t(inputs);
  desc.output_channels = int32_t(groups * outputs);
  weights.kernel = static_cast<const float*>(buffer.data());
  weights.bias = bias == nullptr ? nullptr : bucket_bias.data();
  if (slice) {
    in.offset += index[0];
    desc.input_channels = int32_t(groups * inputs);
    if (desc.pre != PreKind::kNone) {
      weights.pre_scale += index[0];
      weights.pre_shift += index[0];
    }
  } else {
    desc.input_index = index;
  }
  out.offset += output_at;
  residual.offset += output_at;
  return emit_conv(op, desc, weights, in, residual, out);
}

}  // namespace dgc::edge
