#include <initializer_list>

#include "plan.h"

namespace dgc::edge {
namespace {

class Json {
 public:
  explicit Json(Array<char>& text) : text_(text) {}

  void raw(const char* text) {
    for (; *text != 0; ++text) text_.push(*text);
  }
  void string(Text text) {
    text_.push('"');
    for (uint32_t i = 0; i < text.size; ++i) {
      const unsigned char c = static_cast<unsigned char>(text.data[i]);
      if (c < 0x20 || c == '"' || c == '\\') {
        char escaped[8];
        snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        raw(escaped);
      } else {
        text_.push(char(c));
      }
    }
    text_.push('"');
  }
  void string(const char* text) { string(Text{text, uint32_t(strlen(text))}); }
  void number(uint64_t value) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%llu", static_cast<unsigned long long>(value));
    raw(digits);
  }
  void shape(const Shape& shape) {
    raw("[");
    for (int32_t d = 0; d < shape.rank; ++d) {
      if (d) raw(",");
      number(uint64_t(shape.dims[d]));
    }
    raw("]");
  }

 private:
  Array<char>& text_;
};

const char* kind_name(StepKind kind) {
  switch (kind) {
    case StepKind::Conv: return "conv2d";
    case StepKind::ConvTranspose: return "conv2d-transpose";
    case StepKind::Matmul: return "matmul";
    case StepKind::Pool: return "pool";
    case StepKind::Resize: return "resize";
    case StepKind::Softmax: return "softmax";
    case StepKind::Binary: return "binary";
    case StepKind::Activation: return "activation";
    case StepKind::Channelwise: return "channelwise";
    case StepKind::Reduce: return "reduce";
    case StepKind::Copy: return "copy";
    case StepKind::Pad: return "pad";
    case StepKind::Take: return "take";
  }
  return "";
}

// What a convolution does beside multiplying and adding, and only that.
void describe_fused(const ConvDesc& desc, Json& json) {
  if (desc.input_index != nullptr) json.raw(",\"gathers\":true");
  if (desc.pre == PreKind::kAffineRelu) json.raw(",\"pre\":\"affine-relu\"");
  if (desc.has_residual) json.raw(",\"adds\":true");
  if (desc.activation.kind == ActivationKind::kIdentity) return;
  json.raw(",\"activation\":");
  json.string(EnumInfo<ActivationFunction>::kNames[uint32_t(desc.activation.kind)]);
}

}  // namespace

void describe_plan(const File& file, Plan& plan) {
  Json json(plan.json);
  json.raw("{\"isa\":");
  json.string(plan.kernels->isa);
  json.raw(",\"maxBatch\":");
  json.number(uint64_t(plan.max_batch));
  json.raw(",\"arenaBytes\":");
  json.number(plan.arena_bytes);
  json.raw(",\"packedBytes\":");
  json.number(plan.packed_bytes);
  json.raw(",\"scratchBytes\":");
  json.number(plan.scratch_bytes);
  json.raw(",\"steps\":[");
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    const OpRecord& op = file.ops.empty() ? OpRecord() : file.ops[step.op];
    if (s) json.raw(",");
    json.raw("{\"node\":");
    json.string(file.tensors.empty() || file.ops.empty() ? Text() : file.tensors[op.output].name);
    json.raw(",\"op\":");
    json.string(op_name(op.code));
    json.raw(",\"step\":");
    json.string(kind_name(step.kind));
    json.raw(",\"kernel\":");
    json.string(step.kernel_name);
    json.raw(",\"macs\":");
    json.number(step.counts_macs ? uint64_t(step.cost) : 0);
    if (step.kind == StepKind::Conv || step.kind == StepKind::ConvTranspose) {
      json.raw(",\"groups\":");
      json.number(uint64_t(step.desc.conv.groups));
      json.raw(",\"inputsPerGroup\":");
      json.number(uint64_t(step.desc.conv.group_inputs));
      describe_fused(step.desc.conv, json);
    }
    json.raw(",\"outputShape\":");
    json.shape(file.ops.empty() ? Shape() : file.tensors[op.output].shape);
    json.raw(",\"inPlace\":");
    bool in_place = false;
    for (int32_t i = 0; i < step.input_count; ++i) in_place = in_place || plan.root(step.inputs[i].value) == plan.root(step.output.value);
    json.raw(in_place ? "true}" : "false}");
  }
  json.raw("]}");
  plan.json.push(0);
}

}  // namespace dgc::edge
