import { hardFactors } from './gates.js';

/**
 * Connections ζ of one learned layer: the ones in its Kronecker mask, `channelsOut · channelsIn / Π split factors`; for C = 2^K
 * channels on both sides `C · Π (1 + g_k)`. Counts channel pairs, not multiply-adds.
 * @param gates - `[K]` raw gates, on where > 0.
 * @throws {InvalidInputError} if the number of gates does not fit the channel counts, or a gate is NaN.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 9
 */
export function gateComplexity(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): number {
  const groups = hardFactors(gates, channelsOut, channelsIn).reduce(
    (product, { size, isMerge }) => (isMerge ? product : product * size),
    1,
  );
  return (channelsOut * channelsIn) / groups;
}
