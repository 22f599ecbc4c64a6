// Ops → steps. One class over three files: convolutions (lower_conv.cc), data movement (lower_movement.cc), the rest (lower.cc).
#pragma once

#include "connections.h"
#include "plan.h"

namespace dgc::edge {

inline dgc::Activation activation_of(const ActivationFields& fields) { return {ActivationKind(int32_t(fields.function)), fields.alpha, fields.beta}; }
inline constexpr dgc::Activation kNoActivation = {ActivationKind::kIdentity, 0, 0};

// The fields that a convolution and a pooling share.
template <typename WindowDesc>
void set_window(WindowDesc& desc, const Shape& in, const Shape& out, const WindowFields& w) {
  desc.batch = int32_t(in.dims[0]);
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
}

class Lowering {
 public:
  Lowering(const File& file, const GraphFacts& facts, Plan& plan, Status& status) : file_(file), facts_(facts), plan_(plan), status_(status) {}

  bool run();
  bool operator()(const OpRecord& op, const Conv2dOp& f);
  bool operator()(const OpRecord& op, const Conv2dTransposeOp& f);
  bool operator()(const OpRecord& op, const DenseOp& f);
  bool operator()(const OpRecord& op, const MatmulOp&);
  bool operator()(const OpRecord& op, const AffineOp& f);
  bool operator()(const OpRecord& op, const PreluOp& f);
  bool operator()(const OpRecord& op, const ActivateOp& f);
  bool operator()(const OpRecord& op, const BinaryOp& f);
  bool operator()(const OpRecord& op, const ConstantOp& f);
  bool operator()(const OpRecord& op, const SoftmaxOp& f);
  bool operator()(const OpRecord& op, const MaxPoolOp& f);
  bool operator()(const OpRecord& op, const AveragePoolOp& f);
  bool operator()(const OpRecord& op, const ReduceOp& f);
  bool operator()(const OpRecord& op, const ConcatOp& f);
  bool operator()(const OpRecord& op, const SliceOp& f);
  bool operator()(const OpRecord& op, const PadOp& f);
  bool operator()(const OpRecord& op, const ResizeOp& f);
  bool operator()(const OpRecord& op, const TransposeOp& f);
  bool operator()(const OpRecord& op, const ReshapeOp&);
  bool operator()(const OpRecord& op, const IdentityOp&);
  bool operator()(const OpRecord& op, const TakeOp& f);

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
  static void add_input(Step& step, Operand operand) { step.inputs[step.input_count++] = operand; }

  Step make_step(StepKind kind, const OpRecord& op, Operand out) const;
  bool emit(Step& step);
  int32_t temporary(int64_t floats, bool batched);
  bool alias(const OpRecord& op);
  // Memory of this function's own, within the plan's limit like everything that a file can make large.
  bool temporary_weights(AlignedBuffer& buffer, const OpRecord& op, double bytes);
  static ConvDesc conv_desc(const Shape& in, const Shape& out, const WindowFields& w);
  bool emit_conv(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand in, Operand residual, Operand out, bool transposed = false);
  bool wants_pass_before(const ConvDesc& desc) const;
  bool emit_conv_after_pass(const OpRecord& op, ConvDesc desc, const ConvWeights& weights, Operand in, Operand residual, Operand out);
  bool take(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t axis, int64_t inner, const uint32_t* indices, uint32_t count);
  bool emit_copy(const OpRecord& op, const CopyDesc& desc, Operand in, Operand out);
  // `outer` runs of `run` floats from one pitch to another.
  bool copy(const OpRecord& op, Operand in, Operand out, int64_t outer, int64_t run, int64_t in_pitch, int64_t out_pitch);
  bool channelwise(const OpRecord& op, const ChannelwiseDesc& desc, Operand in, Operand out, const float* first, const float* second);
  bool pool(const OpRecord& op, PoolKind kind, const WindowFields& w, bool count_padding);
  // Strides of both operands over `out` (the last `inner` dimensions of a and b are walked by the kernel), with neighbouring
  // dimensions joined where both allow it. Dimension 0 stays outermost, so that a batch multiplies it.
  BinaryDesc broadcast(const OpRecord& op, const Shape& out, const Shape& a, const Shape& b, int32_t inner) const;
  bool lower_dense_form(const OpRecord& op, ConvDesc desc, ConvWeights weights, Operand residual, const Connections& connections);
  // Blocks of equal size that follow one another run as one grouped convolution.
  bool lower_blocks(const OpRecord& op, const ConvDesc& desc, const ConvWeights& weights, Operand residual, Connections& connections);
  bool lower_bucket(const OpRecord& op, ConvDesc desc, ConvWeights weights, const float* bias, Operand in, Operand residual, Operand out, const Connections& connections,
                    size_t begin, size_t end, bool gathered, uint32_t input_at, uint32_t output_at);

  const File& file_;
  const GraphFacts& facts_;
  Plan& plan_;
  Status& status_;
};

}  // namespace dgc::edge
