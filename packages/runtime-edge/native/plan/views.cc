#include "views.h"

namespace dgc::edge {
namespace {

// Where a step's description holds the floats from one pixel of an operand to the next; null if it walks otherwise.
int64_t* pixel_stride(Step& step, int32_t input) {
  switch (step.kind) {
    case StepKind::Conv: return input == 0 ? &step.desc.conv.input_pixel_stride : &step.desc.conv.residual_pixel_stride;
    case StepKind::Pool: return &step.desc.pool.input_pixel_stride;
    case StepKind::Activation: return &step.desc.activation.input_row_stride;
    case StepKind::Channelwise: return &step.desc.channelwise.input_row_stride;
    case StepKind::Copy: return step.copies_rows ? &step.desc.copy.input_strides[0] : nullptr;
    default: return nullptr;
  }
}
int64_t* pixel_stride(Step& step) {
  switch (step.kind) {
    case StepKind::Conv: return &step.desc.conv.output_pixel_stride;
    case StepKind::Pool: return &step.desc.pool.output_pixel_stride;
    case StepKind::Activation: return &step.desc.activation.output_row_stride;
    case StepKind::Channelwise: return &step.desc.channelwise.output_row_stride;
    case StepKind::Copy: return step.copies_rows ? &step.desc.copy.output_strides[0] : nullptr;
    default: return nullptr;
  }
}

bool still_supported(const Step& step) {
  return step.kind != StepKind::Conv || static_cast<const ConvKernel*>(step.kernel)->supports(step.desc.conv);
}

// One part of a concatenation: the step that copies `value`, whose pixels have `channels` floats, to `offset` of `whole`,
// whose pixels are `pitch` apart.
struct Part {
  int32_t value, whole;
  int64_t channels, offset, pitch;
};

class Views {
 public:
  explicit Views(Plan& plan) : plan_(plan) {}

  // Backwards: what is concatenated again later has found its place by then.
  void make() {
    for (size_t s = plan_.steps.size(); s-- > 0;) {
      Part part;
      if (!is_part(plan_.steps[s], part) || !can_be_view(s, part)) continue;
      plan_.steps.erase(s);
      for (Step& step : plan_.steps) {
        for (int32_t i = 0; i < step.input_count; ++i)
          if (plan_.root(step.inputs[i].value) == part.value) move(step.inputs[i], pixel_stride(step, i), part);
        if (plan_.root(step.output.value) == part.value) move(step.output, pixel_stride(step), part);
      }
      plan_.values[part.value].alias_of = part.whole;
    }
  }

 private:
  bool is_part(const Step& step, Part& part) const {
    if (!step.copies_rows) return false;
    const CopyDesc& copy = step.desc.copy;
    part = {plan_.root(step.inputs[0].value), plan_.root(step.output.value), copy.dims[1], step.output.offset, copy.output_strides[0]};
    const Value &value = plan_.values[part.value], &whole = plan_.values[part.whole];
    return part.value != part.whole && step.inputs[0].offset == 0 && copy.input_strides[0] == part.channels && value.floats == copy.dims[0] * part.channels &&
           value.place == Place::None && value.batched == whole.batched && (whole.place == Place::None || whole.place == Place::Output);
  }

  // Whether every other step that touches the value can do so with pixels `pitch` apart.
  bool can_be_view(size_t copying, const Part& part) const {
    bool written = false;
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      if (s == copying) continue;
      Step step = plan_.steps[s];
      bool touched = false;
      for (int32_t i = 0; i < step.input_count; ++i)
        if (plan_.root(step.inputs[i].value) == part.value) {
          touched = true;
          if (!widen(step.inputs[i], pixel_stride(step, i), part)) return false;
        }
      if (plan_.root(step.output.value) == part.value) {
        touched = written = true;
        if (!widen(step.output, pixel_stride(step), part)) return false;
      }
      if (touched && !still_supported(step)) return false;
    }
    return written;
  }

  static bool widen(const Operand& operand, int64_t* stride, const Part& part) {
    if (stride == nullptr || *stride != part.channels || operand.offset >= part.channels) return false;
    *stride = part.pitch;
    return true;
  }
  static void move(Operand& operand, int64_t* stride, const Part& part) {
    widen(operand, stride, part);
    operand.offset += part.offset;
  }

  Plan& plan_;
};

}  // namespace

void view_concatenations(Plan& plan) { Views(plan).make(); }

}  // namespace dgc::edge
