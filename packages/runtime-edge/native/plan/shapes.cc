#include "shapes.h"

#include "connections.h"

namespace dgc::edge {
namespace {

class ShapeChecker {
 public:
  ShapeChecker(const File& file, GraphFacts& facts, Status& status) : file_(file), facts_(facts), status_(status) {}

  bool check() {
    facts_.batched.resize(file_.tensors.size(), 0);
    for (const Border& border : file_.inputs) {
      const Shape& shape = file_.tensors[border.tensor].shape;
      facts_.batched[border.tensor] = 1;
      if (shape.rank == 0 || shape.dims[0] != 1) facts_.batchable = false;
    }
    if (file_.inputs.empty()) facts_.batchable = false;
    for (const OpRecord& op : file_.ops) {
      output_ = Shape();
      follows_batch_ = true;
      if (!visit_op(op, file_, status_, *this)) return false;
      const Shape& stored = file_.tensors[op.output].shape;
      if (!(stored == output_)) {
        char derived[128], written[128];
        print(output_, derived);
        print(stored, written);
        return fail(op, "its output is %s but the file says %s", derived, written);
      }
      bool any = false;
      for (const uint32_t input : op.inputs) any = any || facts_.batched[input];
      facts_.batched[op.output] = any;
      if (any && facts_.batchable && !(follows_batch_ && stored.rank > 0 && stored.dims[0] == 1)) {
        facts_.batchable = false;
        facts_.obstacle = op.index;
      }
    }
    for (const Border& border : file_.outputs)
      if (!facts_.batched[border.tensor]) facts_.batchable = false;
    return true;
  }

  bool operator()(const OpRecord& op, const Conv2dOp& f) {
    const Shape& in = input(op, 0);
    if (!rank(op, in, 4) || !channels(op, in, f.channelsIn)) return false;
    if (!check_connectivity(op, f, file_, status_)) return false;
    if (!vector(op, "bias", f.bias, f.channelsOut)) return false;
    const bool pre = f.pre != PreOperation::None;
    if (pre != (f.preScale != kNoTensor) || pre != (f.preShift != kNoTensor))
      return fail(op, "preScale and preShift must be there exactly if pre is affine-relu");
    if (!vector(op, "preScale", f.preScale, f.channelsIn) || !vector(op, "preShift", f.preShift, f.channelsIn)) return false;
    if (!window(op, f.window, in, f.channelsOut)) return false;
    if (op.inputs.size == 2 && !(input(op, 1) == output_)) return fail(op, "the residual's shape differs from the output's");
    follows_batch_ = op.inputs.size == 1 || facts_.batched[op.inputs[0]] == facts_.batched[op.inputs[1]];
    return true;
  }

  bool operator()(const OpRecord& op, const Conv2dTransposeOp& f) {
    const Shape& in = input(op, 0);
    if (!rank(op, in, 4) || !channels(op, in, f.channelsIn)) return false;
    if (f.channelsIn % f.groups != 0 || f.channelsOut % f.groups != 0)
      return fail(op, "%u groups do not divide %u inputs and %u outputs", f.groups, f.channelsIn, f.channelsOut);
    const WindowFields& w = f.window;
    const int64_t patch = int64_t{w.kernelHeight} * w.kernelWidth;
    if (!constant(op, "kernel", f.kernel, int64_t{f.channelsIn} * (f.channelsOut / f.groups), patch)) return false;
    if (!vector(op, "bias", f.bias, f.channelsOut)) return false;
    const int64_t height = (in.dims[1] - 1) * w.strideHeight + int64_t{w.kernelHeight - 1} * w.dilationHeight + 1 + f.outputPaddingHeight - w.paddingTop - w.paddingBottom;
    const int64_t width = (in.dims[2] - 1) * w.strideWidth + int64_t{w.kernelWidth - 1} * w.dilationWidth + 1 + f.outputPaddingWidth - w.paddingLeft - w.paddingRight;
    if (height < 1 || width < 1) return fail(op, "its output would be %lld × %lld pixels", ll(height), ll(width));
    output_ = {4, {in.dims[0], height, width, f.channelsOut}};
    return true;
  }

  bool operator()(const OpRecord& op, const DenseOp& f) {
    const Shape& in = input(op, 0);
    if (in.rank < 2 || in.rank > int32_t(kMaxRank)) return fail(op, "its input has rank %d, needed is 2 or more", in.rank);
    if (!channels(op, in, f.channelsIn)) return false;
    if (!constant(op, "kernel", f.kernel, f.channelsOut, f.channelsIn) || !vector(op, "bias", f.bias, f.channelsOut)) return false;
    output_ = in;
    output_.dims[in.rank - 1] = f.channelsOut;
    return true;
  }

  bool operator()(const OpRecord& op, const MatmulOp&) {
    const Shape &a = input(op, 0), &b = input(op, 1);
    if (a.rank < 2 || b.rank < 2) return fail(op, "its inputs have ranks %d and %d, needed is 2 or more", a.rank, b.rank);
    const int64_t depth = a.dims[a.rank - 1];
    if (b.dims[b.rank - 2] != depth) return fail(op, "its inputs' inner sizes are %lld and %lld", ll(depth), ll(b.dims[b.rank - 2]));
    Shape outer_a = a, outer_b = b;
    outer_a.rank -= 2;
    outer_b.rank -= 2;
    if (!broadcast(op, outer_a, outer_b)) return false;
    output_.rank += 2;
    output_.dims[output_.rank - 2] = a.dims[a.rank - 2];
    output_.dims[output_.rank - 1] = b.dims[b.rank - 1];
    // The batch is an outer dimension of the product, and no operand without batch has that dimension; or it is the rows.
    follows_batch_ = output_.rank > 2 ? batch_is_outermost(op, output_.rank) : !facts_.batched[op.inputs[1]];
    return true;
  }

  bool operator()(const OpRecord& op, const AffineOp& f) {
    const Shape& in = input(op, 0);
    output_ = in;
    return channels(op, in, f.channels) && vector(op, "scale", f.scale, f.channels) && vector(op, "shift", f.shift, f.channels);
  }

  bool operator()(const OpRecord& op, const ActivateOp&) {
    output_ = input(op, 0);
    return true;
  }

  bool operator()(const OpRecord& op, const PreluOp& f) {
    const Shape& in = input(op, 0);
    output_ = in;
    return channels(op, in, f.channels) && vector(op, "slope", f.slope, f.channels);
  }

  bool operator()(const OpRecord& op, const BinaryOp&) {
    if (!broadcast(op, input(op, 0), input(op, 1))) return false;
    follows_batch_ = batch_is_outermost(op, output_.rank);
    return true;
  }

  bool operator()(const OpRecord&, const ConstantOp& f) {
    output_ = file_.tensors[f.value].shape;
    return true;
  }

  bool operator()(const OpRecord& op, const SoftmaxOp& f) {
    output_ = input(op, 0);
    follows_batch_ = f.axis != 0;
    return axis(op, f.axis, output_);
  }

  bool operator()(const OpRecord& op, const MaxPoolOp& f) { return pool(op, f.window); }
  bool operator()(const OpRecord& op, const AveragePoolOp& f) { return pool(op, f.window); }

  bool operator()(const OpRecord& op, const ReduceOp& f) {
    const Shape& in = input(op, 0);
    bool reduced[kMaxRank] = {};
    for (const uint32_t a : f.axes) {
      if (!axis(op, a, in)) return false;
      if (reduced[a]) return fail(op, "axis %u occurs twice", a);
      reduced[a] = true;
    }
    follows_batch_ = !reduced[0];
    for (int32_t d = 0; d < in.rank; ++d) {
      if (!reduced[d]) output_.dims[output_.rank++] = in.dims[d];
      else if (f.keepDims) output_.dims[output_.rank++] = 1;
    }
    return true;
  }

  bool operator()(const OpRecord& op, const ConcatOp& f) {
    output_ = input(op, 0);
    if (!axis(op, f.axis, output_)) return false;
    follows_batch_ = f.axis != 0;
    for (uint32_t i = 1; i < op.inputs.size; ++i) {
      const Shape& other = input(op, i);
      bool fits = other.rank == output_.rank;
      for (int32_t d = 0; fits && d < other.rank; ++d) fits = d == int32_t(f.axis) || other.dims[d] == output_.dims[d];
      if (!fits) return fail(op, "input %u does not fit input 0 beside axis %u", i, f.axis);
      output_.dims[f.axis] += other.dims[f.axis];
    }
    for (const uint32_t tensor : op.inputs) follows_batch_ = follows_batch_ && facts_.batched[tensor];
    return limit(op);
  }

  bool operator()(const OpRecord& op, const SliceOp& f) {
    const Shape& in = input(op, 0);
    if (!lengths(op, in, f.starts.size, f.sizes.size, f.steps.size)) return false;
    output_.rank = in.rank;
    for (int32_t d = 0; d < in.rank; ++d) {
      const int64_t last = f.starts[d] + (int64_t{f.sizes[d]} - 1) * f.steps[d];
      if (f.sizes[d] < 1 || f.steps[d] == 0 || f.starts[d] >= in.dims[d] || last < 0 || last >= in.dims[d])
        return fail(op, "dimension %d takes %u from %u by steps of %d out of %lld", d, f.sizes[d], f.starts[d], f.steps[d], ll(in.dims[d]));
      output_.dims[d] = f.sizes[d];
    }
    follows_batch_ = in.rank > 0 && f.starts[0] == 0 && f.sizes[0] == in.dims[0];
    return true;
  }

  bool operator()(const OpRecord& op, const PadOp& f) {
    const Shape& in = input(op, 0);
    if (!lengths(op, in, f.before.size, f.after.size, f.before.size)) return false;
    output_.rank = in.rank;
    for (int32_t d = 0; d < in.rank; ++d) {
      output_.dims[d] = in.dims[d] + f.before[d] + f.after[d];
      if (f.mode == PadMode::Reflect && (f.before[d] >= in.dims[d] || f.after[d] >= in.dims[d]))
        return fail(op, "it reflects %u and %u of %lld in dimension %d", f.before[d], f.after[d], ll(in.dims[d]), d);
    }
    follows_batch_ = in.rank > 0 && f.before[0] == 0 && f.after[0] == 0;
    return limit(op);
  }

  bool operator()(const OpRecord& op, const ResizeOp& f) {
    const Shape& in = input(op, 0);
    if (!rank(op, in, 4)) return false;
    if (f.hasScales && !(f.scaleHeight > 0 && f.scaleWidth > 0 && f.scaleHeight < 1e9f && f.scaleWidth < 1e9f)) return fail(op, "its scales are not positive numbers");
    output_ = {4, {in.dims[0], f.height, f.width, in.dims[3]}};
    return limit(op);
  }

  bool operator()(const OpRecord& op, const TransposeOp& f) {
    const Shape& in = input(op, 0);
    if (f.permutation.size != uint32_t(in.rank)) return fail(op, "its permutation has %u entries for rank %d", f.permutation.size, in.rank);
    bool used[kMaxRank] = {};
    output_.rank = in.rank;
    for (int32_t d = 0; d < in.rank; ++d) {
      const uint32_t from = f.permutation[d];
      if (!axis(op, from, in)) return false;
      if (used[from]) return fail(op, "its permutation holds %u twice", from);
      used[from] = true;
      output_.dims[d] = in.dims[from];
    }
    follows_batch_ = in.rank > 0 && f.permutation[0] == 0;
    return true;
  }

  bool operator()(const OpRecord& op, const ReshapeOp& f) {
    const Shape& in = input(op, 0);
    output_.rank = int32_t(f.shape.size);
    for (uint32_t d = 0; d < f.shape.size; ++d) output_.dims[d] = f.shape[d];
    int64_t elements = 1;
    for (uint32_t d = 0; d < f.shape.size; ++d) {
      elements *= f.shape[d];
      if (elements > kMaxElements) return fail(op, "its shape has more than %u elements", kMaxElements);
    }
    if (elements != in.elements()) return fail(op, "%lld elements do not fill a shape of %lld", ll(in.elements()), ll(elements));
    follows_batch_ = in.rank > 0 && in.dims[0] == 1 && output_.rank > 0 && output_.dims[0] == 1;
    return true;
  }

  bool operator()(const OpRecord& op, const TakeOp& f) {
    output_ = input(op, 0);
    if (!axis(op, f.axis, output_)) return false;
    if (f.indices.size == 0) return fail(op, "it takes no indices");
    for (const uint32_t index : f.indices)
      if (index >= output_.dims[f.axis]) return fail(op, "index %u is outside of axis %u of %lld", index, f.axis, ll(output_.dims[f.axis]));
    output_.dims[f.axis] = f.indices.size;
    follows_batch_ = f.axis != 0;
    return limit(op);
  }

  bool operator()(const OpRecord& op, const IdentityOp&) {
    output_ = input(op, 0);
    return true;
  }

 private:
  static long long ll(int64_t value) { return value; }

  const Shape& input(const OpRecord& op, uint32_t index) const { return file_.tensors[op.inputs[index]].shape; }

  __attribute__((format(printf, 3, 4))) bool fail(const OpRecord& op, const char* format, ...) {
    char reason[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    return status_.fail(DGC_INVALID_FILE, "op %u (%s): %s", op.index, op_name(op.code), reason);
  }

  static void print(const Shape& shape, char* text) {
    int at = snprintf(text, 128, "[");
    for (int32_t d = 0; d < shape.rank; ++d) at += snprintf(text + at, size_t(128 - at), d ? ", %lld" : "%lld", ll(shape.dims[d]));
    snprintf(text + at, size_t(128 - at), "]");
  }

  bool rank(const OpRecord& op, const Shape& shape, int32_t needed) {
    return shape.rank == needed || fail(op, "its input has rank %d, needed is %d", shape.rank, needed);
  }
  bool axis(const OpRecord& op, uint32_t axis, const Shape& shape) {
    return axis < uint32_t(shape.rank) || fail(op, "axis %u is outside of rank %d", axis, shape.rank);
  }
  bool channels(const OpRecord& op, const Shape& shape, uint32_t needed) {
    if (shape.rank < 1) return fail(op, "its input has rank 0");
    return shape.dims[shape.rank - 1] == needed || fail(op, "its input has %lld channels, needed are %u", ll(shape.dims[shape.rank - 1]), needed);
  }
  bool lengths(const OpRecord& op, const Shape& in, uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t rank = uint32_t(in.rank);
    return (a == rank && b == rank && c == rank) || fail(op, "its lists have %u, %u and %u entries for rank %u", a, b, c, rank);
  }
  bool limit(const OpRecord& op) {
    int64_t elements = 1;
    for (int32_t d = 0; d < output_.rank; ++d) {
      elements *= output_.dims[d];
      if (output_.dims[d] > kMaxDimension || elements > kMaxElements) return fail(op, "its output has more than %u elements", kMaxElements);
    }
    return true;
  }
  bool constant(const OpRecord& op, const char* name, uint32_t tensor, int64_t a, int64_t b) {
    const int64_t elements = file_.tensors[tensor].shape.elements();
    if (a <= kMaxElements && b <= kMaxElements && a * b == elements) return true;
    return fail(op, "%s has %lld elements, needed are %lld × %lld", name, ll(elements), ll(a), ll(b));
  }
  bool vector(const OpRecord& op, const char* name, uint32_t tensor, uint32_t size) {
    return tensor == kNoTensor || constant(op, name, tensor, size, 1);
  }

  // Output of a convolution or pooling, floor mode.
  bool window(const OpRecord& op, const WindowFields& w, const Shape& in, uint32_t channels_out) {
    const int64_t height = in.dims[1] + w.paddingTop + w.paddingBottom - int64_t{w.kernelHeight - 1} * w.dilationHeight - 1;
    const int64_t width = in.dims[2] + w.paddingLeft + w.paddingRight - int64_t{w.kernelWidth - 1} * w.dilationWidth - 1;
    if (height < 0 || width < 0) return fail(op, "its window is larger than the padded input");
    output_ = {4, {in.dims[0], height / w.strideHeight + 1, width / w.strideWidth + 1, channels_out}};
    return limit(op);
  }
  bool pool(const OpRecord& op, const WindowFields& w) {
    const Shape& in = input(op, 0);
    return rank(op, in, 4) && window(op, w, in, uint32_t(in.dims[3]));
  }

  bool broadcast(const OpRecord& op, const Shape& a, const Shape& b) {
    output_.rank = a.rank > b.rank ? a.rank : b.rank;
    for (int32_t d = 0; d < output_.rank; ++d) {
      const int32_t from_a = d - (output_.rank - a.rank), from_b = d - (output_.rank - b.rank);
      const int64_t size_a = from_a < 0 ? 1 : a.dims[from_a], size_b = from_b < 0 ? 1 : b.dims[from_b];
      if (size_a != size_b && size_a != 1 && size_b != 1) return fail(op, "sizes %lld and %lld do not broadcast", ll(size_a), ll(size_b));
      output_.dims[d] = size_a == 1 ? size_b : size_a;
    }
    return limit(op);
  }
  bool batch_is_outermost(const OpRecord& op, int32_t rank) const {
    for (const uint32_t tensor : op.inputs)
      if (facts_.batched[tensor] && file_.tensors[tensor].shape.rank != rank) return false;
    return true;
  }

  const File& file_;
  GraphFacts& facts_;
  Status& status_;
  Shape output_;
  bool follows_batch_ = true;
};

}  // namespace

bool check_shapes(const File& file, GraphFacts& facts, Status& status) { return ShapeChecker(file, facts, status).check(); }

}  // namespace dgc::edge
