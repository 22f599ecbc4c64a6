import { InvalidInputError } from '@dgconv/core';

/** One gate's pairs: which compact products make up `∂L/∂g` (design §3, the J - I factor at its place). */
export type GateTerm =
  /** Off: products between each output group and its partner input groups, one `[G]` list a partner. */
  | { readonly on: false; readonly partners: readonly (readonly number[])[] }
  /** On: pairs inside the groups whose digits differ; `[I/G]` and `[O/G]`, the same in every group. */
  | { readonly on: true; readonly inputDigits: readonly number[]; readonly outputDigits: readonly number[] };

/** What hard gates say about a convolution, ready for the grouped kernels. */
export interface GateStructure {
  readonly groups: number;
  /** Channels by position, groups contiguous; null where that is the identity. */
  readonly inputOrder: readonly number[] | null;
  readonly outputOrder: readonly number[] | null;
  readonly terms: readonly GateTerm[];
}

const structures = new Map<string, GateStructure>();

/** Enough for every layer of a deep network while its gates wander; a full cache starts over. */
const cachedStructures = 4096;

/** Prime factors of gcd(channelsOut, channelsIn), ascending: one gate each, the first is the outermost Kronecker factor. */
export function gateFactors(channelsOut: number, channelsIn: number): number[] {
  let [a, b] = [channelsOut, channelsIn];
  while (b > 0) [a, b] = [b, a % b];
  const factors: number[] = [];
  for (let rest = a, prime = 2; rest > 1;) {
    if (rest % prime === 0) {
      factors.push(prime);
      rest /= prime;
    } else prime = prime * prime > rest ? rest : prime + 1;
  }
  return factors;
}

/**
 * The groups of `U = U_0 ⊗ … ⊗ U_{K-1} ⊗ 1`, hard gate k on iff `gates[k] > 0`, and the products that each gate's exact
 * gradient needs. Equal gates give the same object, so that engines can keep what they derive from its lists.
 * @param gates - `[K]`, one for each of {@link gateFactors}.
 * @throws {InvalidInputError} if there are not K gates or one is NaN.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 5-7; any channel counts are ours
 */
export function gateStructure(gates: ArrayLike<number>, channelsOut: number, channelsIn: number): GateStructure {
  const factors = gateFactors(channelsOut, channelsIn);
  if (gates.length !== factors.length) {
    throw new InvalidInputError(
      `${gates.length} gates do not fit ${channelsIn} input and ${channelsOut} output channels: these need ${factors.length}, ` +
        `one for each prime factor of their greatest common divisor.`,
    );
  }
  const on = Array.from(gates, (gate, index) => {
    if (Number.isNaN(gate))
      throw new InvalidInputError(`Gate ${index} is NaN: training diverged, or the file is damaged.`);
    return gate > 0;
  });
  const key = `${channelsOut},${channelsIn},${on.map(Number).join('')}`;
  const known = structures.get(key);
  if (known) return known;
  if (structures.size >= cachedStructures) structures.clear();
  const structure = build(factors, on, channelsOut, channelsIn);
  structures.set(key, structure);
  return structure;
}

function build(
  factors: readonly number[],
  on: readonly boolean[],
  channelsOut: number,
  channelsIn: number,
): GateStructure {
  const inputs = sideOrder(factors, on, channelsIn);
  const outputs = sideOrder(factors, on, channelsOut);
  const { groups } = inputs;
  const terms = factors.map((factor, gate): GateTerm => {
    if (on[gate]!) {
      const digitsOf = ({ order, digits }: Side) =>
        order.slice(0, order.length / groups).map((channel) => digits(channel)[gate]!);
      return { on: true, inputDigits: digitsOf(inputs), outputDigits: digitsOf(outputs) };
    }
    // Groups are numbered by their off digits, the outermost most significant.
    const weight = factors.reduce(
      (product, other, index) => (index > gate && !on[index]! ? product * other : product),
      1,
    );
    const partners = Array.from({ length: factor - 1 }, (_, index) =>
      Array.from({ length: groups }, (_unused, group) => {
        const digit = Math.floor(group / weight) % factor;
        return group + (((digit + index + 1) % factor) - digit) * weight;
      }),
    );
    return { on: false, partners };
  });
  return { groups, inputOrder: unlessIdentity(inputs.order), outputOrder: unlessIdentity(outputs.order), terms };
}

interface Side {
  readonly groups: number;
  readonly order: readonly number[];
  readonly digits: (channel: number) => number[];
}

/** Channels of one side sorted by group, ascending within a group. */
function sideOrder(factors: readonly number[], on: readonly boolean[], channels: number): Side {
  const innermost = channels / factors.reduce((product, factor) => product * factor, 1);
  const digits = (channel: number): number[] => {
    const result: number[] = [];
    let rest = Math.floor(channel / innermost);
    for (const factor of factors.toReversed()) {
      result.unshift(rest % factor);
      rest = Math.floor(rest / factor);
    }
    return result;
  };
  const groupOf = (channel: number) =>
    digits(channel).reduce((group, digit, gate) => (on[gate]! ? group : group * factors[gate]! + digit), 0);
  const order = Array.from({ length: channels }, (_, channel) => ({ channel, group: groupOf(channel) }))
    .sort((a, b) => a.group - b.group || a.channel - b.channel)
    .map(({ channel }) => channel);
  const groups = factors.reduce((product, factor, gate) => (on[gate]! ? product : product * factor), 1);
  return { groups, order, digits };
}

function unlessIdentity(order: readonly number[]): readonly number[] | null {
  return order.every((channel, position) => channel === position) ? null : order;
}
