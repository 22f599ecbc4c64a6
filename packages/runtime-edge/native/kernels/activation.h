// Activations on vectors, on rows, and as a pair of limits where clamping is all that a kernel's epilogue has to do.
#pragma once

#include "kernel_api.h"
#include "vector_math.h"

namespace dgc {
namespace {

DGC_INLINE V activate(const Activation& activation, V x) {
  const V zero = splat(0.0f);
  const V one = splat(1.0f);
  switch (activation.kind) {
    case ActivationKind::kIdentity:
      return x;
    case ActivationKind::kRelu:
      return at_least(x, zero);
    case ActivationKind::kRelu6:
      return at_most(at_least(x, zero), splat(6.0f));
    case ActivationKind::kSigmoid:
      return sigmoid(x);
    case ActivationKind::kHardSwish:
      return x * at_most(at_least(x + splat(3.0f), zero), splat(6.0f)) / splat(6.0f);
    case ActivationKind::kSwish:
      return x * sigmoid(x);
    case ActivationKind::kTanh:
      return hyperbolic_tangent(x);
    case ActivationKind::kExp:
      return exponential(x);
    case ActivationKind::kSqrt:
      return square_root(x);
    case ActivationKind::kAbs:
      return absolute(x);
    case ActivationKind::kNegate:
      return -x;
    case ActivationKind::kGelu:
      return splat(0.5f) * x * (one + error_function(x * splat(0.707106781f)));
    case ActivationKind::kSoftplus:
      return softplus(x);
    case ActivationKind::kErf:
      return error_function(x);
    case ActivationKind::kLog:
      return logarithm(x);
    case ActivationKind::kFloor:
      return round_down(x);
    case ActivationKind::kCeil:
      return -round_down(-x);
    case ActivationKind::kReciprocal:
      return one / x;
    case ActivationKind::kLeakyRelu:
      return x < zero ? x * splat(activation.alpha) : x;
    case ActivationKind::kElu:
      return x < zero ? splat(activation.alpha) * (exponential(x) - one) : x;
    case ActivationKind::kClip:
      return at_most(at_least(x, splat(activation.alpha)), splat(activation.beta));
    case ActivationKind::kHardSigmoid:
      return at_most(at_least(multiply_add(x, splat(activation.alpha), splat(activation.beta)), zero), one);
  }
  return x;
}

// output[c] = activation(input[c]) for c < count; in place allowed.
DGC_NOINLINE void activate_row(const Activation& activation, const float* input, float* output, int64_t count) {
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) store(output + c, activate(activation, load(input + c)));
  if (c < count) store_partial(output + c, activate(activation, load_partial(input + c, count - c)), count - c);
}

// What a convolution's epilogue does in registers: at_most(at_least(x, low), high). Other activations follow as a pass of
// their own over the freshly written pixels.
struct Clamp {
  float low;
  float high;
  bool complete;  // whether clamping is the whole activation
};

DGC_INLINE Clamp clamp_of(const Activation& activation) {
  const float infinity = __builtin_inff();
  switch (activation.kind) {
    case ActivationKind::kIdentity:
      return {-infinity, infinity, true};
    case ActivationKind::kRelu:
      return {0.0f, infinity, true};
    case ActivationKind::kRelu6:
      return {0.0f, 6.0f, true};
    case ActivationKind::kClip:
      return {activation.alpha, activation.beta, true};
    default:
      return {-infinity, infinity, false};
  }
}

}  // namespace
}  // namespace dgc
