import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { compactKernel, expandKernel, gateSums, type CompactKernelAttrs } from './compact-kernel.js';
import { convGeometry, type ConvOptions } from './conv-options.js';
import { gateStructure, type GateTerm } from './gate-structure.js';
import { groupedConv2d, groupedConv2dFilterGradients, groupedConv2dInputGradient } from './grouped-conv.js';
import type { GroupedConv2DAttrs } from './grouped-conv-signatures.js';

/**
 * Dynamic grouping convolution: x `[N, H, W, C_in]` with the dense kernel `[kh, kw, C_in, C_out]` where the hard gates connect,
 * `gates` `[K]`, one for each prime factor of gcd(C_in, C_out), on iff > 0. Exact gradients in all three (straight-through in
 * the gates) at the cost of the groups and, for each gate that is off, of its partner groups.
 * @throws {InvalidInputError} if shapes, the number of gates or an option do not fit, or a gate is NaN.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 4-8
 */
export function dgConv2d(
  x: tfc.Tensor4D,
  kernel: tfc.Tensor4D,
  gates: tfc.Tensor1D,
  options: ConvOptions = {},
): tfc.Tensor4D {
  const geometry = convGeometry(x, kernel, options);
  const [, , channelsIn, channelsOut] = kernel.shape;
  const { pairs, terms } = gateStructure(gates.dataSync(), channelsOut, channelsIn);
  const { groups, inputOrder, outputOrder } = pairs;
  const conv: GroupedConv2DAttrs = { ...geometry, groups, inputOrder, outputOrder };
  const op = tf.customGrad((...args) => {
    // With customGrad's types the arguments are tensors and, last, the function that saves them for the gradient.
    const [inputs, weights, , save] = args as unknown as [tfc.Tensor4D, tfc.Tensor4D, tfc.Tensor1D, tfc.GradSaveFunc];
    const filter = compactKernel(weights, pairs);
    save([inputs, weights, filter]);
    const gradFunc = (dy: tfc.Tensor, saved: tfc.Tensor[]) => {
      const [savedX, savedKernel, savedFilter] = saved as [tfc.Tensor4D, tfc.Tensor4D, tfc.Tensor4D];
      const gradient = dy as tfc.Tensor4D;
      const partners = terms.flatMap((term) => (term.on ? [] : term.partners));
      const [filterGradient, ...partnerGradients] = groupedConv2dFilterGradients(savedX, gradient, {
        ...conv,
        filterShape: savedFilter.shape,
        pairings: [null, ...partners.map(({ inputGroups }) => inputGroups)],
      }) as [tfc.Tensor4D, ...tfc.Tensor4D[]];
      const gradientOf = new Map(partners.map((partner, place) => [partner, partnerGradients[place]!]));
      return [
        groupedConv2dInputGradient(gradient, savedFilter, { ...conv, inputShape: savedX.shape }),
        expandKernel(filterGradient, pairs),
        gateGradient(terms, groups, filterGradient, savedFilter, (partner) => ({
          left: gradientOf.get(partner)!,
          right: compactKernel(savedKernel, partner),
        })),
      ];
    };
    return { value: groupedConv2d(inputs, filter, conv), gradFunc };
  });
  return op(x, kernel, gates) as tfc.Tensor4D;
}

/** `∂L/∂g_k = Σ (∂L/∂Ŵ ⊙ W) ⊙ [U_0 ⊗ … ⊗ (J - I) ⊗ … ⊗ U_{K-1}]`, from the compact products that are not zero. */
function gateGradient(
  terms: readonly GateTerm[],
  groups: number,
  ownLeft: tfc.Tensor4D,
  ownRight: tfc.Tensor4D,
  partnerProduct: (partner: CompactKernelAttrs) => { left: tfc.Tensor4D; right: tfc.Tensor4D },
): tfc.Tensor1D {
  if (terms.length === 0) return tf.zeros([0]);
  const merged = terms.filter((term) => term.on);
  const own = gateSums(ownLeft, ownRight, {
    groups,
    inputDigits: merged.map(({ inputDigits }) => inputDigits),
    outputDigits: merged.map(({ outputDigits }) => outputDigits),
  });
  // A handful of numbers, which the gates' owner reads anyway: put together here, not by a tfjs op each.
  const ownSums = own.dataSync();
  let mergedSoFar = 0;
  const sums = terms.map((term) => {
    if (term.on) return ownSums[mergedSoFar++]!;
    return term.partners.reduce((sum, partner) => {
      const { left, right } = partnerProduct(partner);
      return sum + gateSums(left, right, { groups, inputDigits: [], outputDigits: [] }).dataSync()[0]!;
    }, 0);
  });
  return tf.tensor1d(sums);
}
