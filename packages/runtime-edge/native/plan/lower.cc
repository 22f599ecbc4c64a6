#include <algorithm>

#include "connections.h"
#include "plan.h"
#include "select.h"

namespace dgc::edge {
namespace {

dgc::Activation activation_of(const ActivationFields& fields) {
  return {ActivationKind(int32_t(fields.function)), fields.alpha, fields.beta};
}
constexpr dgc::Activation kNoActivation = {ActivationKind::kIdentity, 0, 0};

// The codes of the file are those of the kernels.
static_assert(int(ActivationKind::kHardSigmoid) == int(ActivationFunction::HardSigmoid) && int(ActivationKind::kReciprocal) == int(ActivationFunction::Reciprocal) &&
              int(ActivationKind::kSwish) == int(ActivationFunction::Swish) && int(ActivationKind::kClip) == int(ActivationFunction::Clip));
static_assert(int(BinaryKind::kPower) == int(BinaryFunction::Power) && int(BinaryKind::kMaximum) == int(BinaryFunction::Maximum));
static_assert(int(ReduceKind::kMin) == int(ReduceFunction::Min) && int(ReduceKind::kSum) == int(ReduceFunction::Sum));
static_assert(int(dgc::PadMode::kEdge) == int(PadMode::Edge) && int(dgc::ResizeMode::kLinear) == int(ResizeMode::Linear));
static_assert(int(dgc::ResizeCoordinates::kAsymmetric) == int(ResizeCoordinates::Asymmetric) && int(dgc::ResizeRounding::kCeil) == int(ResizeRounding::Ceil));

class Lowering {
 public:
  Lowering(const File& file, const GraphFacts& facts, Plan& plan, Status& status) : file_(file), facts_(facts), plan_(plan), status_(status) {}

  bool run() {
    for (size_t i = 0; i < file_.tensors.size(); ++i) {
      Value value;
      value.floats = file_.tensors[i].shape.elements();
      value.batched = facts_.batched[i];
      plan_.values.push(value);
    }
    for (size_t i = 0; i < file_.inputs.size(); ++i) {
      Value& value = plan_.values[file_.inputs[i].tensor];
      value.place = Place::Input;
      value.border = uint32_t(i);
    }
    for (const OpRecord& op : file_.ops)
      if (!visit_op(op, file_, status_, *this)) return false;
    return status_.ok();
  }

  bool operator()(const OpRecord& op, const Conv2dOp& f) {
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

  bool operator()(const OpRecord& op, const Conv2dTransposeOp& f) {
    ConvDesc desc = conv_desc(input(op, 0), output(op), f.window);
    desc.activation = activation_of(f.activation);
    desc.groups = int32_t(f.groups);
    desc.group_inputs = desc.input_channels / desc.groups;
    return emit_conv(op, desc, {data(f.kernel), data(f.bias), nullptr, nullptr}, value(op, 0), {}, {int32_t(op.output), 0}, true);
  }

  bool operator()(const OpRecord& op, const DenseOp& f) {
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

  bool operator()(const OpRecord& op, const MatmulOp&) {
    const Shape &a = input(op, 0), &b = input(op, 1), &out = output(op);
    const int32_t outer = out.rank - 2;
    Shape outer_shape = out;
    outer_shape.rank = outer;
    BinaryDesc walk = broadcast(op, outer_shape, a, b, 2);
    MatmulDesc desc = {};
    desc.rows = int32_t(a.dims[a.rank - 2]);
    desc.depth = int32_t(a.dims[a.rank - 1]);
    desc.columns = int32_t(b.dims[b.rank - 1]);
    desc.a_row_stride = desc.depth;
    desc.a_depth_stride = 1;
    desc.b_depth_stride = desc.columns;
    desc.b_column_stride = 1;
    const int64_t product = int64_t{desc.rows} * desc.columns;
    // The innermost outer dimension is the kernel's batch, the others are steps of their own.
    const int32_t last = walk.rank - 1;
    desc.batch = int32_t(walk.dims[last]);
    desc.a_batch_stride = walk.a_strides[last];
    desc.b_batch_stride = walk.b_strides[last];
    int64_t repeats = 1;
    for (int32_t d = 0; d < last; ++d) repeats *= walk.dims[d];
    if (repeats > 4096) return status_.fail(DGC_UNSUPPORTED, "op %u (matmul) broadcasts over more than 4096 separate products", op.index);
    const bool rows_are_batch = outer == 0;
    if (last > 0 && plan_.max_batch > 1) return status_.fail(DGC_UNSUPPORTED, "op %u (matmul) broadcasts in a way that this version runs with maxBatch 1 only", op.index);
    for (int64_t r = 0; r < repeats; ++r) {
      int64_t rest = r, offset_a = 0, offset_b = 0;
      for (int32_t d = last - 1; d >= 0; --d) {
        offset_a += rest % walk.dims[d] * walk.a_strides[d];
        offset_b += rest % walk.dims[d] * walk.b_strides[d];
        rest /= walk.dims[d];
      }
      Step step = make_step(StepKind::Matmul, op, {int32_t(op.output), r * desc.batch * product});
      step.desc.matmul = desc;
      step.cost = desc.batch * product * desc.depth;
      step.counts_macs = true;
      step.batch_in_width = rows_are_batch;
      add_input(step, {int32_t(op.inputs[0]), offset_a});
      add_input(step, {int32_t(op.inputs[1]), offset_b});
      if (!emit(step)) return false;
    }
    return true;
  }

  bool operator()(const OpRecord& op, const AffineOp& f) { return channelwise(op, ChannelwiseKind::kAffine, f.channels, f.scale, f.shift); }
  bool operator()(const OpRecord& op, const PreluOp& f) { return channelwise(op, ChannelwiseKind::kPrelu, f.channels, f.slope, kNoTensor); }

  bool operator()(const OpRecord& op, const ActivateOp& f) {
    const int64_t elements = output(op).elements();
    const int64_t channels = output(op).rank == 0 ? 1 : output(op).dims[output(op).rank - 1];
    Step step = make_step(StepKind::Activation, op, {int32_t(op.output), 0});
    step.desc.activation = {activation_of(f.activation), elements / channels, channels, channels, channels};
    step.in_place = 1;
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool operator()(const OpRecord& op, const BinaryOp& f) {
    Step step = make_step(StepKind::Binary, op, {int32_t(op.output), 0});
    step.desc.binary = broadcast(op, output(op), input(op, 0), input(op, 1), 0);
    step.desc.binary.kind = BinaryKind(int32_t(f.function));
    step.desc.binary.activation = activation_of(f.activation);
    for (uint32_t i = 0; i < 2; ++i) {
      if (input(op, i) == output(op)) step.in_place |= uint8_t(1 << i);
      add_input(step, value(op, i));
    }
    return emit(step);
  }

  bool operator()(const OpRecord& op, const ConstantOp& f) {
    const size_t bytes = size_t(output(op).elements()) * sizeof(float);
    void* copy = plan_.allocate(bytes, status_);
    if (copy == nullptr) return false;
    memcpy(copy, data(f.value), bytes);
    Value& value = plan_.values[op.output];
    value.place = Place::Constant;
    value.constant = static_cast<const float*>(copy);
    return true;
  }

  bool operator()(const OpRecord& op, const SoftmaxOp& f) {
    const Shape& shape = output(op);
    Step step = make_step(StepKind::Softmax, op, {int32_t(op.output), 0});
    step.desc.softmax = {product(shape, 0, f.axis), shape.dims[f.axis], product(shape, f.axis + 1, uint32_t(shape.rank))};
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool operator()(const OpRecord& op, const MaxPoolOp& f) { return pool(op, PoolKind::kMax, f.window, false); }
  bool operator()(const OpRecord& op, const AveragePoolOp& f) { return pool(op, PoolKind::kAverage, f.window, f.countPadding != 0); }

  bool operator()(const OpRecord& op, const ReduceOp& f) {
    const Shape& in = input(op, 0);
    Step step = make_step(StepKind::Reduce, op, {int32_t(op.output), 0});
    ReduceDesc& desc = step.desc.reduce;
    desc = {};
    desc.kind = ReduceKind(int32_t(f.function));
    desc.rank = in.rank;
    for (int32_t d = 0; d < in.rank; ++d) desc.dims[d] = in.dims[d];
    for (const uint32_t axis : f.axes) desc.reduced[axis] = true;
    step.cost = in.elements();
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool operator()(const OpRecord& op, const ConcatOp& f) {
    const Shape& out = output(op);
    const int64_t inner = product(out, f.axis + 1, uint32_t(out.rank));
    const int64_t outer = product(out, 0, f.axis);
    int64_t at = 0;
    for (uint32_t i = 0; i < op.inputs.size; ++i) {
      const int64_t run = input(op, i).dims[f.axis] * inner;
      if (!copy(op, value(op, i), {int32_t(op.output), at}, outer, run, run, out.dims[f.axis] * inner)) return false;
      at += run;
    }
    return true;
  }

  bool operator()(const OpRecord& op, const SliceOp& f) {
    const Shape &in = input(op, 0), &out = output(op);
    CopyDesc desc = {};
    desc.rank = out.rank;
    int64_t offset = 0, in_stride = 1, out_stride = 1;
    for (int32_t d = out.rank - 1; d >= 0; --d) {
      desc.dims[d] = out.dims[d];
      desc.input_strides[d] = in_stride * f.steps[d];
      desc.output_strides[d] = out_stride;
      offset += in_stride * f.starts[d];
      in_stride *= in.dims[d];
      out_stride *= out.dims[d];
    }
    if (out.rank > 0 && f.starts[0] == 0 && f.sizes[0] == in.dims[0]) desc.input_strides[0] = in_stride / in.dims[0];
    return emit_copy(op, desc, {int32_t(op.inputs[0]), offset}, {int32_t(op.output), 0});
  }

  bool operator()(const OpRecord& op, const PadOp& f) {
    const Shape& in = input(op, 0);
    Step step = make_step(StepKind::Pad, op, {int32_t(op.output), 0});
    PadDesc& desc = step.desc.pad;
    desc = {};
    desc.mode = dgc::PadMode(int32_t(f.mode));
    desc.value = f.value;
    desc.rank = in.rank;
    for (int32_t d = 0; d < in.rank; ++d) {
      desc.dims[d] = in.dims[d];
      desc.before[d] = f.before[d];
      desc.after[d] = f.after[d];
    }
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool operator()(const OpRecord& op, const ResizeOp& f) {
    const Shape &in = input(op, 0), &out = output(op);
    Step step = make_step(StepKind::Resize, op, {int32_t(op.output), 0});
    ResizeDesc& desc = step.desc.resize;
    desc = {};
    desc.mode = dgc::ResizeMode(int32_t(f.mode));
    desc.coordinates = dgc::ResizeCoordinates(int32_t(f.coordinates));
    desc.rounding = dgc::ResizeRounding(int32_t(f.rounding));
    desc.batch = int32_t(in.dims[0]);
    desc.channels = int32_t(in.dims[3]);
    desc.input_height = int32_t(in.dims[1]);
    desc.input_width = int32_t(in.dims[2]);
    desc.output_height = int32_t(out.dims[1]);
    desc.output_width = int32_t(out.dims[2]);
    if (f.hasScales) {
      desc.scale_height = f.scaleHeight;
      desc.scale_width = f.scaleWidth;
    }
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool operator()(const OpRecord& op, const TransposeOp& f) {
    const Shape &in = input(op, 0), &out = output(op);
    CopyDesc desc = {};
    desc.rank = out.rank;
    int64_t strides[kMaxRank], stride = 1;
    for (int32_t d = in.rank - 1; d >= 0; --d) {
      strides[d] = stride;
      stride *= in.dims[d];
    }
    stride = 1;
    for (int32_t d = out.rank - 1; d >= 0; --d) {
      desc.dims[d] = out.dims[d];
      desc.input_strides[d] = strides[f.permutation[d]];
      desc.output_strides[d] = stride;
      stride *= out.dims[d];
    }
    return emit_copy(op, desc, value(op, 0), {int32_t(op.output), 0});
  }

  bool operator()(const OpRecord& op, const ReshapeOp&) { return alias(op); }
  bool operator()(const OpRecord& op, const IdentityOp&) { return alias(op); }

  bool operator()(const OpRecord& op, const TakeOp& f) {
    const Shape& in = input(op, 0);
    return take(op, value(op, 0), {int32_t(op.output), 0}, product(in, 0, f.axis), in.dims[f.axis], product(in, f.axis + 1, uint32_t(in.rank)), f.indices.data, f.indices.size);
  }

 private:
  // A mask whose rows share their support with fewer others runs as a dense convolution with zeros.
  static constexpr size_t kRowsOfAUsefulBlock = 4;

  const Shape& input(const OpRecord& op, uint32_t index) const { return file_.tensors[op.inputs[index]].shape; }
  const Shape& output(const OpRecord& op) const { return file_.tensors[op.output].shape; }
  const float* data(uint32_t tensor) const { return tensor == kNoTensor ? nullptr : file_.tensors[tensor].data; }
  static Operand value(const OpRecord& op, uint32_t index) { return {int32_t(op.inputs[index]), 0}; }
  static bool identity(const U32List& order) {
    for (uint32_t i = 0; i < order.size; ++i)
      if (order[i] != i) return false;
    return true;
  }
  static int64_t product(const Shape& shape, uint32_t from, uint32_t to) {
    int64_t result = 1;
    for (uint32_t d = from; d < to; ++d) result *= shape.dims[d];
    return result;
  }

  Step make_step(StepKind kind, const OpRecord& op, Operand out) const {
    Step step;
    memset(&step.desc, 0, sizeof(step.desc));
    step.kind = kind;
    step.op = op.index;
    step.output = out;
    step.batched = plan_.values[out.value].batched;
    step.cost = output(op).elements();
    return step;
  }
  static void add_input(Step& step, Operand operand) { step.inputs[step.input_count++] = operand; }

  bool emit(Step& step) {
    select_kernel(*plan_.kernels, step);
    plan_.steps.push(step);
    return true;
  }

  int32_t temporary(int64_t floats, bool batched) {
    Value value;
    value.floats = floats;
    value.batched = batched;
    plan_.values.push(value);
    return int32_t(plan_.values.size() - 1);
  }

  bool alias(const OpRecord& op) {
    plan_.values[op.output].alias_of = int32_t(op.inputs[0]);
    return true;
  }

  static ConvDesc conv_desc(const Shape& in, const Shape& out, const WindowFields& w) {
    ConvDesc desc = {};
    desc.batch = int32_t(in.dims[0]);
    desc.input_height = int32_t(in.dims[1]);
    desc.input_width = int32_t(in.dims[2]);
    desc.input_channels = int32_t(in.dims[3]);
    desc.output_height = int32_t(out.dims[1]);
    desc.output_width = int32_t(out.dims[2]);
    desc.output_channels = int32_t(out.dims[3]);
    desc.kernel_height = int32_t(w.kernelHeight);
    desc.kernel_width = int32_t(w.kernelWidth);
    desc.stride_height = int32_t(w.strideHeight);
    desc.stride_width = int32_t(w.strideWidth);
    desc.dilation_height = int32_t(w.dilationHeight);
    desc.dilation_width = int32_t(w.dilationWidth);
    desc.pad_top = int32_t(w.paddingTop);
    desc.pad_left = int32_t(w.paddingLeft);
    desc.input_pixel_stride = desc.input_channels;
    desc.output_pixel_stride = desc.residual_pixel_stride = desc.output_channels;
    return desc;
  }

  bool emit_conv(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand in, Operand residual, Operand out, bool transposed = false) {
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
    const size_t bytes = kernel->packed_bytes(desc);
    void* packed = plan_.allocate(bytes, status_);
    if (packed == nullptr) return false;
    kernel->pack(desc, weights, packed);
    plan_.packed_bytes += bytes;
    step.packed = packed;
    plan_.steps.push(step);
    return true;
  }

  bool take(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t axis, int64_t inner, const uint32_t* indices, uint32_t count) {
    int32_t* copy = static_cast<int32_t*>(plan_.allocate(count * sizeof(int32_t), status_));
    if (copy == nullptr) return false;
    for (uint32_t i = 0; i < count; ++i) copy[i] = int32_t(indices[i]);
    Step step = make_step(StepKind::Take, op, out);
    step.desc.take = {outer, axis, inner, count, copy};
    step.cost = outer * inner * count;
    add_input(step, in);
    return emit(step);
  }

  bool emit_copy(const OpRecord& op, const CopyDesc& desc, Operand in, Operand out) {
    Step step = make_step(StepKind::Copy, op, out);
    step.desc.copy = desc;
    step.cost = 1;
    for (int32_t d = 0; d < desc.rank; ++d) step.cost *= desc.dims[d];
    add_input(step, in);
    return emit(step);
  }

  // `outer` runs of `run` floats from one pitch to another.
  bool copy(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t run, int64_t in_pitch, int64_t out_pitch) {
    CopyDesc desc = {};
    desc.rank = 2;
    desc.dims[0] = outer;
    desc.dims[1] = run;
    desc.input_strides[0] = in_pitch;
    desc.output_strides[0] = out_pitch;
    desc.input_strides[1] = desc.output_strides[1] = 1;
    return emit_copy(op, desc, in, out);
  }

  bool channelwise(const OpRecord& op, ChannelwiseKind kind, uint32_t channels, uint32_t first, uint32_t second) {
    Step step = make_step(StepKind::Channelwise, op, {int32_t(op.output), 0});
    step.desc.channelwise = {kind, output(op).elements() / channels, channels, channels, channels};
    step.in_place = 1;
    const uint32_t tensors[2] = {first, second};
    for (int i = 0; i < 2; ++i) {
      if (tensors[i] == kNoTensor) continue;
      float* copy = static_cast<float*>(plan_.allocate(channels * sizeof(float), status_));
      if (copy == nullptr) return false;
      memcpy(copy, data(tensors[i]), channels * sizeof(float));
      step.constants[i] = copy;
    }
    add_input(step, value(op, 0));
    return emit(step);
  }

  bool pool(const OpRecord& op, PoolKind kind, const WindowFields& w, bool count_padding) {
    const Shape &in = input(op, 0), &out = output(op);
    Step step = make_step(StepKind::Pool, op, {int32_t(op.output), 0});
    PoolDesc& desc = step.desc.pool;
    desc = {};
    desc.kind = kind;
    desc.batch = int32_t(in.dims[0]);
    desc.channels = int32_t(in.dims[3]);
    desc.input_height = int32_t(in.dims[1]);
    desc.input_width = int32_t(in.dims[2]);
    desc.output_height = int32_t(out.dims[1]);
    desc.output_width = int32_t(out.dims[2]);
    desc.kernel_height = int32_t(w.kernelHeight);
    desc.kernel_width = int32_t(w.kernelWidth);
    desc.stride_height = int32_t(w.strideHeight);
    desc.stride_width = int32_t(w.strideWidth);
    desc.dilation_height = int32_t(w.dilationHeight);
    desc.dilation_width = int32_t(w.dilationWidth);
    desc.pad_top = int32_t(w.paddingTop);
    desc.pad_left = int32_t(w.paddingLeft);
    desc.count_padding = count_padding;
    desc.input_pixel_stride = desc.output_pixel_stride = desc.channels;
    step.cost *= int64_t{desc.kernel_height} * desc.kernel_width;
    add_input(step, value(op, 0));
    return emit(step);
  }

  // Strides of both operands over `out` (the last `inner` dimensions of a and b are walked by the kernel), with neighbouring
  // dimensions joined where both allow it. Dimension 0 stays outermost, so that a batch multiplies it.
  BinaryDesc broadcast(const OpRecord& op, const Shape& out, const Shape& a, const Shape& b, int32_t inner) const {
    const auto strides_of = [&](const Shape& shape, bool batched, int64_t* strides) {
      int64_t stride = 1;
      for (int32_t d = 0; d < inner; ++d) stride *= shape.dims[shape.rank - 1 - d];
      const int32_t outer = shape.rank - inner;
      for (int32_t d = out.rank - 1; d >= 0; --d) {
        const int32_t from = d - (out.rank - outer);
        const int64_t size = from < 0 ? 1 : shape.dims[from];
        const bool is_batch = d == 0 && from == 0 && batched && out.dims[0] == 1;
        strides[d] = size == 1 && !is_batch ? 0 : stride;
        stride *= size;
      }
    };
    int64_t stride_a[kMaxRank] = {}, stride_b[kMaxRank] = {};
    const bool grows = facts_.batched[op.output];
    strides_of(a, grows && facts_.batched[op.inputs[0]], stride_a);
    strides_of(b, grows && facts_.batched[op.inputs[1]], stride_b);
    BinaryDesc desc = {};
    for (int32_t d = 0; d < out.rank; ++d) {
      const int32_t last = desc.rank - 1;
      const bool trivial = out.dims[d] == 1 && d > 0;
      const bool joined = last >= 0 && !trivial && desc.a_strides[last] == stride_a[d] * out.dims[d] && desc.b_strides[last] == stride_b[d] * out.dims[d];
      if (trivial) continue;
      if (joined) {
        desc.dims[last] *= out.dims[d];
      } else {
        desc.dims[desc.rank++] = out.dims[d];
      }
      desc.a_strides[desc.rank - 1] = stride_a[d];
      desc.b_strides[desc.rank - 1] = stride_b[d];
    }
    if (desc.rank == 0) desc.dims[desc.rank++] = 1;
    return desc;
  }

  bool lower_dense_form(const OpRecord& op, ConvDesc desc, ConvWeights weights, Operand residual, const Connections& connections) {
    const int64_t patch = int64_t{desc.kernel_height} * desc.kernel_width;
    const double bytes = double(desc.output_channels) * desc.input_channels * double(patch) * sizeof(float);
    AlignedBuffer buffer;
    if (bytes > 1e15 || !buffer.allocate(size_t(bytes))) return status_.fail(DGC_OUT_OF_MEMORY, "no memory for %.0f bytes of weights of op %u (%s)", bytes, op.index, op_name(op.code));
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

  // Blocks of equal size that follow one another run as one grouped convolution.
  bool lower_blocks(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand residual, Connections& connections) {
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

  bool lower_bucket(const OpRecord& op, ConvDesc desc, ConvWeights weights, const float* bias, Operand in, Operand residual, Operand out, const Connections& connections,
                    size_t begin, size_t end, bool gathered, uint32_t input_at, uint32_t output_at) {
    const Block* blocks = connections.blocks.data();
    const Array<uint32_t>& channels = connections.channels;
    const uint32_t groups = uint32_t(end - begin), outputs = blocks[begin].output_count;
    const bool unconnected = blocks[begin].input_count == 0;  // reads some input with weight 0
    const uint32_t inputs = unconnected ? 1 : blocks[begin].input_count;
    const int64_t patch = int64_t{desc.kernel_height} * desc.kernel_width;

    int32_t* index = static_cast<int32_t*>(plan_.allocate(size_t{groups} * inputs * sizeof(int32_t), status_));
    AlignedBuffer buffer;
    const size_t row = size_t(patch) * inputs * sizeof(float);
    if (index == nullptr || !buffer.allocate(row * outputs * groups)) return status_.fail(DGC_OUT_OF_MEMORY, "no memory for the weights of op %u (%s)", op.index, op_name(op.code));
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

  const File& file_;
  const GraphFacts& facts_;
  Plan& plan_;
  Status& status_;
};

}  // namespace

bool lower(const File& file, const GraphFacts& facts, Plan& plan, Status& status) { return Lowering(file, facts, plan, status).run(); }

}  // namespace dgc::edge
