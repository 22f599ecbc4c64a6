#include "lower.h"

#include "select.h"

namespace dgc::edge {

// The codes of the file are those of the kernels.
static_assert(int(ActivationKind::kHardSigmoid) == int(ActivationFunction::HardSigmoid) && int(ActivationKind::kReciprocal) == int(ActivationFunction::Reciprocal) &&
              int(ActivationKind::kSwish) == int(ActivationFunction::Swish) && int(ActivationKind::kClip) == int(ActivationFunction::Clip));
static_assert(int(BinaryKind::kPower) == int(BinaryFunction::Power) && int(BinaryKind::kMaximum) == int(BinaryFunction::Maximum));
static_assert(int(ReduceKind::kMin) == int(ReduceFunction::Min) && int(ReduceKind::kSum) == int(ReduceFunction::Sum));
static_assert(int(dgc::PadMode::kEdge) == int(PadMode::Edge) && int(dgc::ResizeMode::kLinear) == int(ResizeMode::Linear));
static_assert(int(dgc::ResizeCoordinates::kAsymmetric) == int(ResizeCoordinates::Asymmetric) && int(dgc::ResizeRounding::kCeil) == int(ResizeRounding::Ceil));

bool Lowering::run() {
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

bool Lowering::operator()(const OpRecord& op, const MatmulOp&) {
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

bool Lowering::operator()(const OpRecord& op, const AffineOp& f) {
  const ChannelwiseDesc desc = {ChannelwiseKind::kAffine, output(op).elements() / f.channels, f.channels, f.channels, f.channels};
  return channelwise(op, desc, value(op, 0), {int32_t(op.output), 0}, data(f.scale), data(f.shift));
}

bool Lowering::operator()(const OpRecord& op, const PreluOp& f) {
  const ChannelwiseDesc desc = {ChannelwiseKind::kPrelu, output(op).elements() / f.channels, f.channels, f.channels, f.channels};
  return channelwise(op, desc, value(op, 0), {int32_t(op.output), 0}, data(f.slope), nullptr);
}

bool Lowering::operator()(const OpRecord& op, const ActivateOp& f) {
  const int64_t elements = output(op).elements();
  const int64_t channels = output(op).rank == 0 ? 1 : output(op).dims[output(op).rank - 1];
  Step step = make_step(StepKind::Activation, op, {int32_t(op.output), 0});
  step.desc.activation = {activation_of(f.activation), elements / channels, channels, channels, channels};
  step.in_place = 1;
  add_input(step, value(op, 0));
  return emit(step);
}

bool Lowering::operator()(const OpRecord& op, const BinaryOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const SoftmaxOp& f) {
  const Shape& shape = output(op);
  Step step = make_step(StepKind::Softmax, op, {int32_t(op.output), 0});
  step.desc.softmax = {product(shape, 0, f.axis), shape.dims[f.axis], product(shape, f.axis + 1, uint32_t(shape.rank))};
  add_input(step, value(op, 0));
  return emit(step);
}

bool Lowering::operator()(const OpRecord& op, const MaxPoolOp& f) { return pool(op, PoolKind::kMax, f.window, false); }

bool Lowering::operator()(const OpRecord& op, const AveragePoolOp& f) { return pool(op, PoolKind::kAverage, f.window, f.countPadding != 0); }

bool Lowering::operator()(const OpRecord& op, const ReduceOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const ResizeOp& f) {
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

Step Lowering::make_step(StepKind kind, const OpRecord& op, Operand out) const {
  Step step;
  memset(&step.desc, 0, sizeof(step.desc));
  step.kind = kind;
  step.op = op.index;
  step.output = out;
  step.batched = plan_.values[out.value].batched;
  step.cost = output(op).elements();
  return step;
}

bool Lowering::emit(Step& step) {
  select_kernel(*plan_.kernels, step);
  plan_.steps.push(step);
  return true;
}

int32_t Lowering::temporary(int64_t floats, bool batched) {
  Value value;
  value.floats = floats;
  value.batched = batched;
  plan_.values.push(value);
  return int32_t(plan_.values.size() - 1);
}

bool Lowering::channelwise(const OpRecord& op, const ChannelwiseDesc& desc, Operand in, Operand out, const float* first, const float* second) {
  Step step = make_step(StepKind::Channelwise, op, out);
  step.desc.channelwise = desc;
  step.cost = desc.rows * desc.channels;
  step.in_place = 1;
  const float* constants[2] = {first, second};
  for (int i = 0; i < 2; ++i) {
    if (constants[i] == nullptr) continue;
    const uint64_t bytes = uint64_t(desc.channels) * sizeof(float);
    float* copy = static_cast<float*>(plan_.allocate(bytes, status_));
    if (copy == nullptr) return false;
    memcpy(copy, constants[i], bytes);
    step.constants[i] = copy;
  }
  add_input(step, in);
  return emit(step);
}

bool Lowering::pool(const OpRecord& op, PoolKind kind, const WindowFields& w, bool count_padding) {
  const Shape &in = input(op, 0), &out = output(op);
  Step step = make_step(StepKind::Pool, op, {int32_t(op.output), 0});
  PoolDesc& desc = step.desc.pool;
  desc = {};
  desc.kind = kind;
  set_window(desc, in, out, w);
  desc.channels = int32_t(in.dims[3]);
  desc.count_padding = count_padding;
  desc.input_pixel_stride = desc.output_pixel_stride = desc.channels;
  step.cost *= int64_t{desc.kernel_height} * desc.kernel_width;
  add_input(step, value(op, 0));
  return emit(step);
}

BinaryDesc Lowering::broadcast(const OpRecord& op, const Shape& out, const Shape& a, const Shape& b, int32_t inner) const {
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

bool lower(const File& file, const GraphFacts& facts, Plan& plan, Status& status) { return Lowering(file, facts, plan, status).run(); }

}  // namespace dgc::edge
