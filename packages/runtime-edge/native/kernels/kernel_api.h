// What kernels promise and what callers hand them. Plain data and function pointers only: no allocation, no globals, no
// libc, no exceptions, and no inline code that a linker could take from a translation unit built for another CPU.
//
// All values are float32, channels last. Pixel strides are in floats, so that a kernel can read and write a slice of a
// wider tensor (concat in place); a row is width * pixel stride, an image height * row.
//
// Work is split into items: `run(desc, args, begin, end, scratch)` computes items [begin, end). An item's result does not
// depend on which call computes it, so results do not depend on the number of threads, to the bit.
// Every concurrent call of `run` needs its own scratch of `scratch_bytes(desc)`. All buffers handed to a kernel for packed
// weights and scratch are aligned to kBufferAlignment; activations need only be aligned to 4 bytes.
// Kernels never read or write outside of the tensors they are given.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace dgc {

constexpr size_t kBufferAlignment = 64;
constexpr int kMaxRank = 8;

enum class ActivationKind : int32_t {
  kIdentity,
  kRelu,
  kRelu6,
  kSigmoid,
  kHardSwish,
  kSwish,
  kTanh,
  kExp,
  kSqrt,
  kAbs,
  kNegate,
  kGelu,
  kSoftplus,
  kErf,
  kLog,
  kFloor,
  kCeil,
  kReciprocal,
  kLeakyRelu,
  kElu,
  kClip,
  kHardSigmoid,
};

// alpha, beta: leaky-relu slope; elu alpha; clip minimum, maximum; hard-sigmoid slope, offset.
struct Activation {
  ActivationKind kind;
  float alpha;
  float beta;
};

enum class PreKind : int32_t { kNone, kAffineRelu };

// A convolution: output = activation(conv(pre(input)) + bias + residual), cross-correlation as in PyTorch and ONNX.
// `pre` is max(x * scale[c] + shift[c], 0) over the input channels c, applied before zero padding.
// The transposed convolution uses the same description: output pixel y collects input pixel i and tap k where
// y = i * stride + k * dilation - pad; its weights are [C_in, C_out / groups, kh, kw]. It has no `pre` and no input index.
// A dense layer of N rows is a 1x1 convolution with height 1 and width N.
struct ConvDesc {
  int32_t batch;
  int32_t input_height, input_width, input_channels;
  int32_t output_height, output_width, output_channels;
  int32_t groups;
  int32_t group_inputs;  // input channels of each group; input_channels / groups unless there is an input index
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t dilation_height, dilation_width;
  int32_t pad_top, pad_left;
  Activation activation;
  PreKind pre;
  bool has_residual;
  // Null, or [groups][group_inputs]: the input channel that each group's i-th input reads (repetitions allowed). Has to
  // stay alive as long as the description is used.
  const int32_t* input_index;
  int64_t input_pixel_stride;
  int64_t output_pixel_stride;
  int64_t residual_pixel_stride;
};

// Canonical weights: kernel [C_out, group_inputs, kh, kw]; bias [C_out] or null; pre_scale, pre_shift [C_in] if pre.
struct ConvWeights {
  const float* kernel;
  const float* bias;
  const float* pre_scale;
  const float* pre_shift;
};

// The output may be the residual itself (in place), never the input.
struct ConvArgs {
  const float* input;
  const float* residual;
  const void* packed;
  float* output;
};

struct ConvKernel {
  const char* name;
  bool (*supports)(const ConvDesc& desc);
  uint64_t (*packed_bytes)(const ConvDesc& desc);
  void (*pack)(const ConvDesc& desc, const ConvWeights& weights, void* packed);
  uint64_t (*scratch_bytes)(const ConvDesc& desc);
  int64_t (*work_items)(const ConvDesc& desc);
  void (*run)(const ConvDesc& desc, const ConvArgs& args, int64_t begin, int64_t end, void* scratch);
};

// output[b] = a[b] * b[b], for b < batch; element strides make transposed operands free. Output [batch, rows, columns], dense.
struct MatmulDesc {
  int32_t batch;
  int32_t rows, depth, columns;
  int64_t a_batch_stride, a_row_stride, a_depth_stride;
  int64_t b_batch_stride, b_depth_stride, b_column_stride;
};

enum class PoolKind : int32_t { kMax, kAverage };

// Average: `count_padding` divides by the whole window, otherwise by the pixels inside of the image.
// A window that lies outside of the image gives 0 (average) or -infinity (max).
struct PoolDesc {
  PoolKind kind;
  int32_t batch, channels;
  int32_t input_height, input_width;
  int32_t output_height, output_width;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t dilation_height, dilation_width;
  int32_t pad_top, pad_left;
  bool count_padding;
  int64_t input_pixel_stride;
  int64_t output_pixel_stride;
};

enum class ResizeMode : int32_t { kNearest, kLinear };
enum class ResizeCoordinates : int32_t { kHalfPixel, kPytorchHalfPixel, kAlignCorners, kAsymmetric };
enum class ResizeRounding : int32_t { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil };

struct ResizeDesc {
  ResizeMode mode;
  ResizeCoordinates coordinates;
  ResizeRounding rounding;
  int32_t batch, channels;
  int32_t input_height, input_width;
  int32_t output_height, output_width;
  float scale_height, scale_width;  // input pixels per output pixel; 0: input size / output size
};

// Softmax over the middle of [outer, size, inner], dense.
struct SoftmaxDesc {
  int64_t outer, size, inner;
};

enum class BinaryKind : int32_t { kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum, kPower };

// output = activation(a op b) over dims; output dense; a stride of 0 broadcasts. The output may be a or b where that
// operand has the output's shape.
struct BinaryDesc {
  BinaryKind kind;
  Activation activation;
  int32_t rank;
  int64_t dims[kMaxRank];
  int64_t a_strides[kMaxRank];
  int64_t b_strides[kMaxRank];
};

// output[row, c] = activation(input[row, c]). In place allowed.
struct ActivationDesc {
  Activation activation;
  int64_t rows, channels;
  int64_t input_row_stride, output_row_stride;
};

enum class ChannelwiseKind : int32_t { kAffine, kAffineRelu, kPrelu };

// Affine: input * first[c] + second[c]; PReLU: input < 0 ? input * first[c] : input. In place allowed.
struct ChannelwiseDesc {
  ChannelwiseKind kind;
  int64_t rows, channels;
  int64_t input_row_stride, output_row_stride;
};

enum class ReduceKind : int32_t { kMean, kSum, kMax, kMin };

// Reduces the dimensions marked in `reduced`; input dense over dims, output dense over the others.
struct ReduceDesc {
  ReduceKind kind;
  int32_t rank;
  int64_t dims[kMaxRank];
  bool reduced[kMaxRank];
};

// output[sum i_d * output_strides_d] = input[sum i_d * input_strides_d]: slice, transpose, concat, identity. Strides in
// floats, may be negative; the caller offsets the pointers.
struct CopyDesc {
  int32_t rank;
  int64_t dims[kMaxRank];
  int64_t input_strides[kMaxRank];
  int64_t output_strides[kMaxRank];
};

enum class PadMode : int32_t { kConstant, kReflect, kEdge };

// input dense over dims; output dense over before + dims + after. Negative padding crops.
struct PadDesc {
  PadMode mode;
  float value;
  int32_t rank;
  int64_t dims[kMaxRank];
  int64_t before[kMaxRank];
  int64_t after[kMaxRank];
};

// output[o, i, :] = input[o, indices[i], :], input [outer, axis_size, inner], output [outer, index_count, inner].
struct TakeDesc {
  int64_t outer, axis_size, inner;
  int64_t index_count;
  const int32_t* indices;
};

struct UnaryArgs {
  const float* input;
  float* output;
};

struct BinaryArgs {
  const float* a;
  const float* b;
  float* output;
};

struct ChannelwiseArgs {
  const float* input;
  const float* first;
  const float* second;
  float* output;
};

// A kernel without constant weights.
template <typename Desc, typename Args>
struct SimpleKernel {
  const char* name;
  bool (*supports)(const Desc& desc);
  uint64_t (*scratch_bytes)(const Desc& desc);
  int64_t (*work_items)(const Desc& desc);
  void (*run)(const Desc& desc, const Args& args, int64_t begin, int64_t end, void* scratch);
};

using MatmulKernel = SimpleKernel<MatmulDesc, BinaryArgs>;
using PoolKernel = SimpleKernel<PoolDesc, UnaryArgs>;
using ResizeKernel = SimpleKernel<ResizeDesc, UnaryArgs>;
using SoftmaxKernel = SimpleKernel<SoftmaxDesc, UnaryArgs>;
using BinaryKernel = SimpleKernel<BinaryDesc, BinaryArgs>;
using ActivationKernel = SimpleKernel<ActivationDesc, UnaryArgs>;
using ChannelwiseKernel = SimpleKernel<ChannelwiseDesc, ChannelwiseArgs>;
using ReduceKernel = SimpleKernel<ReduceDesc, UnaryArgs>;
using CopyKernel = SimpleKernel<CopyDesc, UnaryArgs>;
using PadKernel = SimpleKernel<PadDesc, UnaryArgs>;
using TakeKernel = SimpleKernel<TakeDesc, UnaryArgs>;

// Candidates in the order of preference: the first whose `supports` holds is the one to use. The last supports everything.
template <typename Kernel>
struct KernelList {
  const Kernel* items;
  int32_t count;
};

// All kernels of one instruction set; every op is present in every table.
struct KernelTable {
  const char* isa;
  int32_t vector_floats;
  KernelList<ConvKernel> conv2d;
  KernelList<ConvKernel> conv2d_transpose;
  KernelList<MatmulKernel> matmul;
  KernelList<PoolKernel> pool;
  KernelList<ResizeKernel> resize;
  KernelList<SoftmaxKernel> softmax;
  KernelList<BinaryKernel> binary;
  KernelList<ActivationKernel> activation;
  KernelList<ChannelwiseKernel> channelwise;
  KernelList<ReduceKernel> reduce;
  KernelList<CopyKernel> copy;
  KernelList<PadKernel> pad;
  KernelList<TakeKernel> take;
};

}  // namespace dgc

// One function for each instruction set that is linked in (see sources.json). Calling it executes no special instruction.
extern "C" {
const dgc::KernelTable* dgc_kernels_scalar(void);
const dgc::KernelTable* dgc_kernels_sse41(void);
const dgc::KernelTable* dgc_kernels_avx2(void);
const dgc::KernelTable* dgc_kernels_avx512f(void);
const dgc::KernelTable* dgc_kernels_neon(void);
const dgc::KernelTable* dgc_kernels_neon32(void);
const dgc::KernelTable* dgc_kernels_wasmsimd(void);
const dgc::KernelTable* dgc_kernels_wasmrelaxed(void);
}
