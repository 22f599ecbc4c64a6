#include "plan.h"

namespace dgc::edge {

Desc with_batch(const Step& step, int32_t batch) {
  Desc desc = step.desc;
  if (!step.batched || batch == 1) return desc;
  switch (step.kind) {
    case StepKind::Conv:
    case StepKind::ConvTranspose:
      if (step.batch_in_width) {
        desc.conv.input_width *= batch;
        desc.conv.output_width *= batch;
      } else {
        desc.conv.batch *= batch;
      }
      break;
    case StepKind::Matmul:
      if (step.batch_in_width) desc.matmul.rows *= batch;
      else desc.matmul.batch *= batch;
      break;
    case StepKind::Pool: desc.pool.batch *= batch; break;
    case StepKind::Resize: desc.resize.batch *= batch; break;
    case StepKind::Softmax: desc.softmax.outer *= batch; break;
    case StepKind::Binary: desc.binary.dims[0] *= batch; break;
    case StepKind::Activation: desc.activation.rows *= batch; break;
    case StepKind::Channelwise: desc.channelwise.rows *= batch; break;
    case StepKind::Reduce: desc.reduce.dims[0] *= batch; break;
    case StepKind::Copy: desc.copy.dims[0] *= batch; break;
    case StepKind::Pad: desc.pad.dims[0] *= batch; break;
    case StepKind::Take: desc.take.outer *= batch; break;
  }
  return desc;
}

namespace {

template <typename Result, typename Call>
Result with_kernel(const Step& step, const Desc& desc, Call call) {
  switch (step.kind) {
    case StepKind::Conv:
    case StepKind::ConvTranspose: return call(*static_cast<const ConvKernel*>(step.kernel), desc.conv);
    case StepKind::Matmul: return call(*static_cast<const MatmulKernel*>(step.kernel), desc.matmul);
    case StepKind::Pool: return call(*static_cast<const PoolKernel*>(step.kernel), desc.pool);
    case StepKind::Resize: return call(*static_cast<const ResizeKernel*>(step.kernel), desc.resize);
    case StepKind::Softmax: return call(*static_cast<const SoftmaxKernel*>(step.kernel), desc.softmax);
    case StepKind::Binary: return call(*static_cast<const BinaryKernel*>(step.kernel), desc.binary);
    case StepKind::Activation: return call(*static_cast<const ActivationKernel*>(step.kernel), desc.activation);
    case StepKind::Channelwise: return call(*static_cast<const ChannelwiseKernel*>(step.kernel), desc.channelwise);
    case StepKind::Reduce: return call(*static_cast<const ReduceKernel*>(step.kernel), desc.reduce);
    case StepKind::Copy: return call(*static_cast<const CopyKernel*>(step.kernel), desc.copy);
    case StepKind::Pad: return call(*static_cast<const PadKernel*>(step.kernel), desc.pad);
    case StepKind::Take: return call(*static_cast<const TakeKernel*>(step.kernel), desc.take);
  }
  __builtin_unreachable();
}

}  // namespace

int64_t work_items(const Step& step, const Desc& desc) {
  return with_kernel<int64_t>(step, desc, [](const auto& kernel, const auto& description) { return kernel.work_items(description); });
}

uint64_t scratch_bytes(const Step& step, const Desc& desc) {
  return with_kernel<uint64_t>(step, desc, [](const auto& kernel, const auto& description) { return kernel.scratch_bytes(description); });
}

}  // namespace dgc::edge
