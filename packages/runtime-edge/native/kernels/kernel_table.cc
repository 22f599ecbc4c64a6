// Compiled once for each instruction set of sources.json, with -DDGC_ISA=<name> -DDGC_ISA_<name> and its machine flags.
#include "conv_dense.h"
#include "conv_depthwise.h"
#include "conv_fours.h"
#include "conv_paired.h"
#include "conv_planes.h"
#include "conv_points.h"
#include "conv_pointwise.h"
#include "conv_ragged.h"
#include "conv_reference.h"
#include "conv_staged.h"
#include "conv_transpose.h"
#include "data_movement.h"
#include "elementwise.h"
#include "kernel_api.h"
#include "matmul.h"
#include "pool.h"
#include "reduce.h"
#include "resize.h"
#include "softmax.h"

#define DGC_TEXT_(x) #x
#define DGC_TEXT(x) DGC_TEXT_(x)
#define DGC_JOIN_(a, b) a##b
#define DGC_JOIN(a, b) DGC_JOIN_(a, b)
#define DGC_NAME(op, tile) "dgc_f32_" #op "_ukernel_" #tile "__" DGC_TEXT(DGC_ISA)

#define DGC_BEGIN(op, type) constexpr type k_##op[] = {
#define DGC_END(op) \
  }                 \
  ;
#define DGC_CONV(op, tile, ...) conv_kernel<__VA_ARGS__>(DGC_NAME(op, tile)),
#define DGC_KERNEL(op, tile, ...) simple_kernel<__VA_ARGS__>(DGC_NAME(op, tile)),

namespace dgc {
namespace {

template <typename Implementation>
constexpr ConvKernel conv_kernel(const char* name) {
  return {name,
          Implementation::supports,
          Implementation::packed_bytes,
          Implementation::pack,
          Implementation::scratch_bytes,
          Implementation::work_items,
          Implementation::run};
}

template <typename Desc, typename Args>
constexpr SimpleKernel<Desc, Args> with_run(const char* name, bool (*supports)(const Desc&), uint64_t (*scratch)(const Desc&),
                                            int64_t (*items)(const Desc&),
                                            void (*run)(const Desc&, const Args&, int64_t, int64_t, void*)) {
  return {name, supports, scratch, items, run};
}

template <typename Implementation>
constexpr auto simple_kernel(const char* name) {
  return with_run(name, Implementation::supports, Implementation::scratch_bytes, Implementation::work_items,
                  Implementation::run);
}

#include "kernels.inc"

template <typename Kernel, int kCount>
constexpr KernelList<Kernel> list(const Kernel (&items)[kCount]) {
  return {items, kCount};
}

constexpr KernelTable kTable = {
    DGC_TEXT(DGC_ISA), kLanes,           list(k_conv2d),     list(k_conv2d_transpose), list(k_matmul),
    list(k_pool),      list(k_resize),   list(k_softmax),    list(k_binary),           list(k_activation),
    list(k_channelwise), list(k_reduce), list(k_copy),       list(k_pad),              list(k_take),
};

}  // namespace
}  // namespace dgc

extern "C" const dgc::KernelTable* DGC_JOIN(dgc_kernels_, DGC_ISA)(void) { return &dgc::kTable; }
