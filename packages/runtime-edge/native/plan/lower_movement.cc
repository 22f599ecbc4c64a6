#include "lower.h"

namespace dgc::edge {

bool Lowering::operator()(const OpRecord& op, const ConstantOp& f) {
  const size_t bytes = size_t(output(op).elements()) * sizeof(float);
  void* copy = plan_.allocate(bytes, status_);
  if (copy == nullptr) return false;
  memcpy(copy, data(f.value), bytes);
  Value& value = plan_.values[op.output];
  value.place = Place::Constant;
  value.constant = static_cast<const float*>(copy);
  return true;
}

bool Lowering::operator()(const OpRecord& op, const ConcatOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const SliceOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const PadOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const TransposeOp& f) {
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

bool Lowering::operator()(const OpRecord& op, const ReshapeOp&) { return alias(op); }

bool Lowering::operator()(const OpRecord& op, const IdentityOp&) { return alias(op); }

bool Lowering::operator()(const OpRecord& op, const TakeOp& f) {
  const Shape& in = input(op, 0);
  return take(op, value(op, 0), {int32_t(op.output), 0}, product(in, 0, f.axis), in.dims[f.axis], product(in, f.axis + 1, uint32_t(in.rank)), f.indices.data, f.indices.size);
}

bool Lowering::take(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t axis, int64_t inner, const uint32_t* indices, uint32_t count) {
  int32_t* copy = static_cast<int32_t*>(plan_.allocate(count * sizeof(int32_t), status_));
  if (copy == nullptr) return false;
  for (uint32_t i = 0; i < count; ++i) copy[i] = int32_t(indices[i]);
  Step step = make_step(StepKind::Take, op, out);
  step.desc.take = {outer, axis, inner, count, copy};
  step.cost = outer * inner * count;
  add_input(step, in);
  return emit(step);
}

bool Lowering::emit_copy(const OpRecord& op, const CopyDesc& desc, Operand in, Operand out) {
  Step step = make_step(StepKind::Copy, op, out);
  step.desc.copy = desc;
  step.cost = 1;
  for (int32_t d = 0; d < desc.rank; ++d) step.cost *= desc.dims[d];
  add_input(step, in);
  return emit(step);
}

bool Lowering::copy(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t run, int64_t in_pitch, int64_t out_pitch) {
  CopyDesc desc = {};
  desc.rank = 2;
  desc.dims[0] = outer;
  desc.dims[1] = run;
  desc.input_strides[0] = in_pitch;
  desc.output_strides[0] = out_pitch;
  desc.input_strides[1] = desc.output_strides[1] = 1;
  if (!emit_copy(op, desc, in, out)) return false;
  plan_.steps.back().copies_rows = true;
  return true;
}

bool Lowering::alias(const OpRecord& op) {
  plan_.values[op.output].alias_of = int32_t(op.inputs[0]);
  return true;
}

}  // namespace dgc::edge
