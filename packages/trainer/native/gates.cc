#include "gates.h"

#include <string.h>

#include "parallel.h"

namespace dgc {
namespace {

// Calls visit(dense, compact, outputs) for every run of a row of the compact kernel: outputs[position] is the column in the dense row.
template <typename Visit>
void forEachRow(const PairsParams& p, const int32_t* inputOrder, const int32_t* pairing, Visit visit) {
  const long groupIn = p.channelsIn / p.groups, groupOut = p.channelsOut / p.groups;
  for (long row = 0; row < p.taps * groupIn; row++) {
    const long tap = row / groupIn, i = row % groupIn;
    for (long g = 0; g < p.groups; g++) {
      const long from = pairing[g] * groupIn + i, input = inputOrder ? inputOrder[from] : from;
      visit((tap * p.channelsIn + input) * p.channelsOut, row * p.channelsOut, g * groupOut, (g + 1) * groupOut);
    }
  }
}

}  // namespace

void compactKernel(const PairsParams& p, const float* dense, const int32_t* inputOrder, const int32_t* outputOrder, const int32_t* pairing, float* compact) {
  forEachRow(p, inputOrder, pairing, [&](long denseRow, long compactRow, long first, long end) {
    for (long position = first; position < end; position++)
      compact[compactRow + position] = dense[denseRow + (outputOrder ? outputOrder[position] : position)];
  });
}

void expandKernel(const PairsParams& p, const float* compact, const int32_t* inputOrder, const int32_t* outputOrder, const int32_t* pairing, float* dense) {
  memset(dense, 0, sizeof(float) * p.taps * p.channelsIn * p.channelsOut);
  forEachRow(p, inputOrder, pairing, [&](long denseRow, long compactRow, long first, long end) {
    for (long position = first; position < end; position++)
      dense[denseRow + (outputOrder ? outputOrder[position] : position)] = compact[compactRow + position];
  });
}

void gateSums(const GateSumsParams& p, const float* left, const float* right, const int32_t* inputDigits, const int32_t* outputDigits, float* sums) {
  const long groupOut = p.channelsOut / p.groups, row = p.groupIn * p.channelsOut;
  // Taps first: the sums over groups and places run over what is left.
  float* byPlace = scratch(0, 0, row);
  memset(byPlace, 0, sizeof(float) * row);
  for (long tap = 0; tap < p.taps; tap++)
    for (long k = 0; k < row; k++) byPlace[k] += left[tap * row + k] * right[tap * row + k];
  double all = 0;
  for (long k = 0; k < row; k++) all += byPlace[k];
  sums[p.digits] = static_cast<float>(all);
  for (long digit = 0; digit < p.digits; digit++) {
    double sum = 0;
    for (long i = 0; i < p.groupIn; i++)
      for (long position = 0; position < p.channelsOut; position++)
        if (inputDigits[digit * p.groupIn + i] != outputDigits[digit * groupOut + position % groupOut]) sum += byPlace[i * p.channelsOut + position];
    sums[digit] = static_cast<float>(sum);
  }
}

}  // namespace dgc
