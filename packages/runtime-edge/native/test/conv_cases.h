// The convolutions that every kernel is tested on: shapes at, above, below and between the tiles.
#pragma once

#include "test_support.h"

namespace dgc_test {

struct ConvCase {
  dgc::ConvDesc desc;
  std::vector<int32_t> index;  // input index list, empty: none
  int pad_bottom, pad_right;
};

inline int output_size(int input, int kernel, int stride, int dilation, int pad_before, int pad_after) {
  return (input + pad_before + pad_after - (kernel - 1) * dilation - 1) / stride + 1;
}

// Square kernel, stride, dilation and padding; dense strides. Height and width of the input are given.
inline ConvCase conv_case(int batch, int height, int width, int groups, int group_inputs, int group_outputs, int kernel,
                          int stride = 1, int dilation = 1, int pad = -1) {
  const int padding = pad >= 0 ? pad : (kernel - 1) * dilation / 2;
  ConvCase c = {};
  dgc::ConvDesc& d = c.desc;
  d.batch = batch;
  d.input_height = height;
  d.input_width = width;
  d.input_channels = groups * group_inputs;
  d.output_height = output_size(height, kernel, stride, dilation, padding, padding);
  d.output_width = output_size(width, kernel, stride, dilation, padding, padding);
  d.output_channels = groups * group_outputs;
  d.groups = groups;
  d.group_inputs = group_inputs;
  d.kernel_height = d.kernel_width = kernel;
  d.stride_height = d.stride_width = stride;
  d.dilation_height = d.dilation_width = dilation;
  d.pad_top = d.pad_left = padding;
  d.activation = {dgc::ActivationKind::kIdentity, 0.0f, 0.0f};
  d.pre = dgc::PreKind::kNone;
  d.input_pixel_stride = d.input_channels;
  d.output_pixel_stride = d.output_channels;
  d.residual_pixel_stride = d.output_channels;
  return c;
}

// Transposed convolutions: the output is what a convolution of these attributes would read. `extra` rows and columns at the
// bottom and right.
inline std::vector<ConvCase> transposed_cases() {
  std::vector<ConvCase> cases;
  for (int size : {1, 3, 4, 8, 16, 20}) {
    for (int kernel : {1, 2, 3, 4, 5}) {
      for (int stride : {1, 2, 3}) {
        for (int dilation : {1, 2}) {
          const int groups = size > 8 ? 2 : 3;
          ConvCase c = conv_case(2, 5, 4, groups, size, (size * 2 + groups) / 2, kernel, stride, dilation);
          dgc::ConvDesc& d = c.desc;
          d.pad_top = kernel / 2;
          d.pad_left = (kernel - 1) / 2;
          const int extra = stride - 1;
          d.output_height = (5 - 1) * stride + (kernel - 1) * dilation + 1 - 2 * d.pad_top + extra;
          d.output_width = (4 - 1) * stride + (kernel - 1) * dilation + 1 - 2 * d.pad_left + extra;
          if (d.output_height < 1 || d.output_width < 1) continue;
          d.has_residual = stride == 2;
          d.activation.kind = kernel == 3 ? dgc::ActivationKind::kRelu : dgc::ActivationKind::kIdentity;
          d.input_pixel_stride += dilation - 1;
          d.output_pixel_stride += kernel % 2;
          cases.push_back(c);
        }
      }
    }
  }
  return cases;
}

inline std::string describe(const dgc::ConvDesc& d) {
  char text[256];
  snprintf(text, sizeof(text), "%dx%dx%dx%d->%dx%dx%d groups %d(%d) kernel %dx%d stride %dx%d dilation %dx%d pad %d,%d%s%s%s act %d",
           d.batch, d.input_height, d.input_width, d.input_channels, d.output_height, d.output_width, d.output_channels,
           d.groups, d.group_inputs, d.kernel_height, d.kernel_width, d.stride_height, d.stride_width,
           d.dilation_height, d.dilation_width, d.pad_top, d.pad_left, d.has_residual ? " residual" : "",
           d.pre == dgc::PreKind::kNone ? "" : " pre", d.input_index ? " index" : "", (int)d.activation.kind);
  return text;
}

inline double multiply_adds(const dgc::ConvDesc& d) {
  return (double)d.batch * d.output_height * d.output_width * d.output_channels * d.group_inputs * d.kernel_height *
         d.kernel_width;
}

// All small ones, and every `step`-th of the large ones, which take nearly all of the time.
inline std::vector<ConvCase> conv_cases(size_t step) {
  std::vector<ConvCase> cases;
  const int sizes[][2] = {{7, 7}, {14, 14}, {1, 1}, {2, 3}, {5, 55}, {13, 1}, {1, 13}, {9, 8}, {17, 16}, {4, 29}};
  // Grouped 3x3: group sizes with their own tile and others, channels a multiple of the vector and not.
  for (const auto& s : sizes) {
    for (int size : {1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 32}) {
      for (int stride : {1, 2}) {
        for (int channels : {16, 32, 40, 60, 96}) {
          if (channels % size != 0 || channels / size < 2) continue;
          if ((channels == 96 || channels == 40) && s[1] > 14) continue;
          cases.push_back(conv_case(1, s[0], s[1], channels / size, size, size, 3, stride));
        }
      }
    }
  }
  // Other kernels, strides, dilations and paddings; groups of unequal inputs and outputs; depth multipliers.
  for (int size : {1, 2, 4, 8, 16}) {
    for (int kernel : {1, 2, 3, 5, 7}) {
      cases.push_back(conv_case(2, 11, 10, 32 / size, size, size, kernel));
      cases.push_back(conv_case(1, 11, 10, 48 / size, size, size, kernel, 2, 1, 0));
      cases.push_back(conv_case(1, 12, 15, 32 / size, size, size, kernel, 1, 2));
      cases.push_back(conv_case(1, 12, 15, 32 / size, size, size, kernel, 3, 1, 1));
      cases.push_back(conv_case(1, 9, 9, 32 / size, size, size, kernel, 1, 1, kernel));
    }
    cases.push_back(conv_case(1, 9, 10, 5, size, 2 * size, 3));
    cases.push_back(conv_case(1, 9, 10, 7, 2 * size, size, 3));
    cases.push_back(conv_case(1, 9, 16, 6, size, 2 * size, 3, 2));
    cases.push_back(conv_case(1, 8, 9, 10, 2 * size, size, 3, 2));
    cases.push_back(conv_case(1, 9, 10, 6, size, 3 * size, 1));
    cases.push_back(conv_case(1, 9, 10, 3, 3 * size, size, 5, 2));
  }
  // Dense: 1x1, k x k, stems.
  for (int in : {1, 3, 4, 7, 16, 33, 64}) {
    for (int out : {1, 5, 8, 16, 31, 64, 72, 100}) {
      cases.push_back(conv_case(1, 6, 9, 1, in, out, 1));
      cases.push_back(conv_case(2, 5, 8, 1, in, out, 3));
      cases.push_back(conv_case(1, 1, 13, 1, in, out, 1));
      if (in <= 4) cases.push_back(conv_case(1, 20, 21, 1, in, out, 7, 2, 1, 3));
      if (in <= 4) cases.push_back(conv_case(1, 20, 21, 1, in, out, 3, 2, 1, 1));
      cases.push_back(conv_case(1, 9, 9, 1, in, out, 1, 2));
    }
  }
  cases.push_back(conv_case(1, 14, 14, 1, 300, 130, 1));
  cases.push_back(conv_case(1, 6, 6, 1, 130, 300, 3));
  cases.push_back(conv_case(70, 1, 1, 1, 20, 30, 1));
  // Several groups of many outputs.
  for (int stride : {1, 2}) {
    cases.push_back(conv_case(2, 9, 7, 3, 10, 24, 1, stride));
    cases.push_back(conv_case(1, 9, 16, 2, 7, 28, 1, stride));
  }
  // More rows than a strip holds.
  for (int size : {1, 2, 4, 12}) {
    cases.push_back(conv_case(1, 61, 23, 60 / size, size, size, 3));
    cases.push_back(conv_case(1, 61, 24, 60 / size, size, size, 3, 2));
  }
  // Pixels 2 KiB apart; an even and an odd number of vectors, and a last one that overlaps.
  for (int size : {2, 4}) {
    for (int channels : {16, 40, 60}) {
      for (const auto& s : {sizes[0], sizes[5], sizes[7], sizes[9]}) {
        cases.push_back(conv_case(1, s[0], s[1], channels / size, size, size, 3));
        cases.back().desc.input_pixel_stride = 512;
      }
    }
  }
  // Unequal sides.
  for (int i = 0; i < 6; i++) {
    ConvCase c = conv_case(1, 10, 12, i % 2 ? 1 : 8, 4, 4 + 4 * (i % 2), 3);
    dgc::ConvDesc& d = c.desc;
    d.kernel_height = 1 + i;
    d.stride_width = 1 + i % 3;
    d.pad_top = i % 2;
    d.pad_left = 2 - i % 3;
    d.dilation_width = 1 + i % 2;
    d.output_height = output_size(10, d.kernel_height, 1, 1, d.pad_top, 1);
    d.output_width = output_size(12, 3, d.stride_width, d.dilation_width, d.pad_left, 0);
    cases.push_back(c);
  }
  // Asymmetric padding at stride 2, as TensorFlow's SAME gives it.
  for (int size : {1, 2, 4, 8, 16}) {
    ConvCase c = conv_case(1, 14, 14, 32 / size, size, size, 3, 2);
    c.desc.pad_top = c.desc.pad_left = 0;
    cases.push_back(c);
  }

  // Every other case gets an epilogue, gaps between pixels, a pre-activation or an index list.
  const dgc::ActivationKind kinds[] = {dgc::ActivationKind::kRelu, dgc::ActivationKind::kRelu6,
                                       dgc::ActivationKind::kHardSwish, dgc::ActivationKind::kLeakyRelu};
  const size_t plain = cases.size();
  for (size_t i = 0; i < plain; i++) {
    ConvCase c = cases[i];
    dgc::ConvDesc& d = c.desc;
    d.activation = {kinds[i % 4], i % 4 == 3 ? 0.25f : 0.0f, 0.0f};
    d.has_residual = i % 3 != 0;
    if (i % 5 == 0) d.input_pixel_stride += 3;
    if (i % 7 == 0) d.output_pixel_stride += 5;
    if (i % 11 == 0) d.residual_pixel_stride += 1;
    if (i % 4 == 1) d.pre = dgc::PreKind::kAffineRelu;
    if (i % 6 == 5) {
      const int used = d.groups * d.group_inputs;
      d.input_channels = used / 2 + 1;
      d.input_pixel_stride = d.input_channels + i % 3;
      for (int k = 0; k < used; k++) c.index.push_back((int32_t)((k * 7 + i) % (size_t)d.input_channels));
    }
    cases.push_back(c);
  }
  std::vector<ConvCase> chosen;
  for (size_t i = 0; i < cases.size(); i++) {
    if (i % step == 0 || multiply_adds(cases[i].desc) < 2e5) chosen.push_back(cases[i]);
  }
  for (ConvCase& c : chosen) c.desc.input_index = c.index.empty() ? nullptr : c.index.data();
  return chosen;
}

}  // namespace dgc_test
