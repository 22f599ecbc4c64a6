// Grouped convolution for pixels that lie a multiple of 2 KiB apart, with vectors of half a cache line. Such pixels share so few
// sets of the first-level cache that a tile's lines do not stay there until the next block of channels reads their other halves.
// Here two blocks take turns, one kernel row each; the sums of the one whose turn it is not lie in memory.
#pragma once

#include "conv_grouped.h"

namespace dgc {
namespace {

#ifdef DGC_ISA_avx2

// kGroup as in GroupedTile, whose packing it shares.
template <int kGroup, int kPixelCount>
struct PairedTile {
  using Single = GroupedTile<kGroup, 1, kPixelCount, 3, 1>;
  static constexpr int kRows = 1, kPixels = kPixelCount, kKernel = 3, kStride = 1;
  static constexpr int kColumns = Single::kColumns, kInputRows = kKernel, kBlock = kLanes;
  static constexpr bool kBlocksInside = true;
  using RowTile = PairedTile;

  static bool fits_groups(const ConvDesc& d) { return d.input_pixel_stride % 512 == 0 && Single::fits_groups(d); }

  static void pack_block(const ConvDesc& d, const float* kernel, int32_t first, float* to) {
    Single::pack_block(d, kernel, first, to);
  }

  template <bool kGuarded>
  static DGC_NOINLINE void run(const TileJob& shared) {
    KeptJob job = shared;
    BlockCursor at(job);
    int32_t left = job.blocks;
    DGC_ROLLED for (; left > 1; left -= 2) {
      BlockCursor second(at);
      second.next(job, kTaps, kLanes);
      run_pair<kGuarded>(job, at, second);
      at = second;
      at.next(job, kTaps, kLanes);
    }
    if (left == 1) Single::template run_block<kGuarded>(job, at);
  }

 private:
  static constexpr int64_t kTaps = kKernel * kKernel * kGroup * kLanes;
  using Kept = float[kPixels][kLanes];
  using Sums = V[1][kPixels];

  template <bool kGuarded>
  static DGC_INLINE void run_pair(const TileJob& job, const BlockCursor& first, const BlockCursor& second) {
    alignas(64) Kept kept[2];
    const V biases[2] = {load(first.bias), load(second.bias)};
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) {
      store(kept[0][pixel], biases[0]);
      store(kept[1][pixel], biases[1]);
    }
    DGC_UNROLL for (int ky = 0; ky < kKernel; ky++) {
      const float* x = job.rows[ky];
      if (!x) continue;
      take_turn<kGuarded>(job, ky, x + first.input_channel, first.weights, kept[0][0]);
      take_turn<kGuarded>(job, ky, x + second.input_channel, second.weights, kept[1][0]);
    }
    Sums sums;
    load_sums(kept[0][0], sums);
    store_tile<1, kPixels>(job, first, sums);
    load_sums(kept[1][0], sums);
    store_tile<1, kPixels>(job, second, sums);
  }

  static DGC_INLINE void load_sums(const float* kept, Sums& sums) {
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) sums[0][pixel] = load(kept + pixel * kLanes);
  }

  template <bool kGuarded>
  static DGC_INLINE void take_turn(const TileJob& job, int ky, const float* x, const float* weights, float* kept) {
    asm volatile("" : "+r"(kept));  // in memory indeed: the compiler would keep all sums in registers, and spill others
    Sums sums;
    load_sums(kept, sums);
    DGC_UNROLL for (int j = 0; j < kGroup; j++) {
      const float* from = x;
      asm volatile("" : "+r"(from));  // loaded again in every step, not spilled
      Single::template step<kGuarded>(job, ky, weights + j * kKernel * kLanes, kGroup, sums,
                                      [&](int) { return exchange(load(from), j); },
                                      [&] { Single::advance(from, job.input_pixel_stride); });
    }
    DGC_UNROLL for (int pixel = 0; pixel < kPixels; pixel++) store(kept + pixel * kLanes, sums[0][pixel]);
  }
};

template <int kGroup, int kPixels>
using PairedConv = DirectConv<PairedTile<kGroup, kPixels>>;

#endif

}  // namespace
}  // namespace dgc
