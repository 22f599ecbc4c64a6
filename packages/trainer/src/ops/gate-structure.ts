import type { CompactKernelAttrs } from './compact-kernel.js';
import { type GateFactor, groupingFromGates, hardFactors, isIdentityPermutation } from '@dgconv/core';

/** One gate's pairs: which compact products make up `∂L/∂g` (the J - I factor at its place). */
export type GateTerm =
  /** Off: products between each output group and its partner input groups. */
  | { readonly on: false; readonly partners: readonly CompactKernelAttrs[] }
  /** On: pairs inside the groups whose digits differ; `[I/G]` and `[O/G]`, the same in every group. */
  | { readonly on: true; readonly inputDigits: readonly number[]; readonly outputDigits: readonly number[] };

/** What hard gates say about a convolution, ready for the grouped kernels. */
export interface GateStructure {
  /** The connected pairs; orders are null where they are the identity. */
  readonly pairs: CompactKernelAttrs;
  /** One a gate. */
  readonly terms: readonly GateTerm[];
}

const structures = new Map<string, GateStructure>();

/** Enough for every layer of a deep network while its gates wander; a full cache starts over. */
const cachedStructures = 4096;

/**
 * The groups of `U = U_0 ⊗ … ⊗ U_{K-1} ⊗ 1`, hard gate k on iff `gates[k] > 0`, and the products that each gate's exact
 * gradient needs. Equal gates give the same object, so that engines can keep what they derive from its lists.
 * @param gates - `[K]`, one for each of core's `gateFactors`.
 * @throws {InvalidInputError} if there are not K gates or one is NaN.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 5-7; any channel counts are ours
 */
export function gateStructure(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): GateStructure {
  const factors = hardFactors(gates, channelsOut, channelsIn);
  const key = `${channelsOut},${channelsIn},${factors.map(({ isMerge }) => Number(isMerge)).join('')}`;
  let structure = structures.get(key);
  if (!structure) {
    structure = build(factors, gates, channelsOut, channelsIn);
    if (structures.size >= cachedStructures) structures.clear();
    structures.set(key, structure);
  }
  return structure;
}

function build(
  factors: readonly GateFactor[],
  gates: ArrayLike<number>,
  channelsOut: number,
  channelsIn: number,
): GateStructure {
  const grouping = groupingFromGates(gates, channelsOut, channelsIn);
  const { groups } = grouping;
  const identity = (channels: number) => Array.from({ length: channels }, (_, channel) => channel);
  const inputOrder = grouping.kind === 'equal' ? grouping.inputOrder : identity(channelsIn);
  const outputOrder = grouping.kind === 'equal' ? grouping.outputOrder : identity(channelsOut);
  const pairs: CompactKernelAttrs = {
    groups,
    channelsIn,
    inputOrder: isIdentityPermutation(inputOrder) ? null : inputOrder,
    outputOrder: isIdentityPermutation(outputOrder) ? null : outputOrder,
    inputGroups: null,
  };
  const terms = factors.map(({ size, isMerge }, gate): GateTerm => {
    if (isMerge) {
      const outer = factors.slice(0, gate + 1).reduce((product, factor) => product * factor.size, 1);
      const digits = (order: readonly number[]) =>
        order.slice(0, order.length / groups).map((channel) => Math.floor(channel / (order.length / outer)) % size);
      return { on: true, inputDigits: digits(inputOrder), outputDigits: digits(outputOrder) };
    }
    // Groups are numbered by the digits of the split factors, the outermost most significant.
    const weight = factors
      .slice(gate + 1)
      .reduce((product, inner) => (inner.isMerge ? product : product * inner.size), 1);
    const partners = Array.from({ length: size - 1 }, (_, index) => {
      const inputGroups = Array.from({ length: groups }, (_unused, group) => {
        const digit = Math.floor(group / weight) % size;
        return group + (((digit + index + 1) % size) - digit) * weight;
      });
      return { ...pairs, inputGroups };
    });
    return { on: false, partners };
  });
  return { pairs, terms };
}
