import { type GateFactor, hardFactors } from './gates.js';
import type { Grouping } from './grouping.js';
import { type Mask } from './mask.js';
import { maskOf } from './supports.js';

/**
 * Group of every channel, read off its digits in the mixed radix of the factors: the digits of split factors, in order.
 * Groups are numbered by their smallest channel.
 * @param channels - a multiple of the product of the factors; the quotient is the innermost, dense factor.
 * @returns `[channels]`
 */
export function groupIds(factors: readonly GateFactor[], channels: number): Int32Array {
  const inner = channels / factors.reduce((product, { size }) => product * size, 1);
  const ids = new Int32Array(channels);
  for (let channel = 0; channel < channels; channel++) {
    let rest = Math.floor(channel / inner);
    let id = 0;
    let weight = 1;
    for (let k = factors.length - 1; k >= 0; k--) {
      const { size, isMerge } = factors[k]!;
      if (!isMerge) {
        id += weight * (rest % size);
        weight *= size;
      }
      rest = Math.floor(rest / size);
    }
    ids[channel] = id;
  }
  return ids;
}

/** Channels sorted by group, ascending within a group. */
function orderByGroup(ids: Int32Array, groups: number): number[] {
  const size = ids.length / groups;
  const next = Int32Array.from({ length: groups }, (_, group) => group * size);
  const order = new Array<number>(ids.length);
  ids.forEach((group, channel) => (order[next[group]!++] = channel));
  return order;
}

/**
 * The grouping that gates choose, in closed form (no mask is built): dense, or `G = Π split factors` equal groups.
 * @param gates - `[K]` raw gates, on where > 0; gate 0 is the outermost Kronecker factor.
 * @throws {InvalidInputError} if the number of gates does not fit the channel counts, or a gate is NaN.
 */
export function groupingFromGates(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): Grouping {
  const factors = hardFactors(gates, channelsOut, channelsIn);
  const groups = factors.reduce((product, { size, isMerge }) => (isMerge ? product : product * size), 1);
  if (groups === 1) return { kind: 'dense', channelsOut, channelsIn, groups: 1 };
  return {
    kind: 'equal',
    channelsOut,
    channelsIn,
    groups,
    outputOrder: orderByGroup(groupIds(factors, channelsOut), groups),
    inputOrder: orderByGroup(groupIds(factors, channelsIn), groups),
  };
}

/**
 * The mask `U = U_0 ⊗ … ⊗ U_{K-1} ⊗ 1`, `U_k` ones where gate k is on and the identity where it is off, the last factor a dense
 * block `[channelsOut / c, channelsIn / c]` for `c = gcd(channelsOut, channelsIn)`.
 * @param gates - `[K]` raw gates, on where > 0.
 * @returns `[channelsOut, channelsIn]`
 * @throws {InvalidInputError} if the number of gates does not fit the channel counts, or a gate is NaN.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 6-8
 */
export function kroneckerMask(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): Mask {
  return maskOf(groupingFromGates(gates, channelsOut, channelsIn));
}
