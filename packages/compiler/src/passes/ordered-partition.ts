/** Channels of a class in blocks: the order of the blocks is decided, that within a block is free. */
export type OrderedPartition = readonly (readonly number[])[];

/** Where the parts of a demand may stand: parts of one rank in any order, after all parts of lower rank. */
export type Ranks = readonly number[];

/**
 * Ranks of the parts of `demand` (disjoint, covering; empty parts allowed) under which each part is a run of channels, or undefined
 * if `partition` does not allow it: a part has to lie within one block, or to be a run of whole blocks.
 */
export function ranksIn(partition: OrderedPartition, demand: OrderedPartition): Ranks | undefined {
  const partOf = new Map<number, number>();
  demand.forEach((part, index) => part.forEach((channel) => partOf.set(channel, index)));
  const ranks: number[] = demand.map(() => 0);
  const seen = new Set<number>();
  let previous: ReadonlySet<number> = new Set();
  let rank = 0;
  for (const block of partition) {
    const parts = new Set(block.map((channel) => partOf.get(channel)!));
    const [first] = parts as unknown as [number];
    const continues = parts.size === 1 && previous.size === 1 && previous.has(first);
    if (!continues) {
      rank += 1;
      for (const part of parts) {
        if (seen.has(part)) return undefined;
        seen.add(part);
        ranks[part] = rank;
      }
    }
    previous = parts;
  }
  // A part in several blocks of which one holds other parts as well is no run of whole blocks.
  const isRun = demand.every((part, index) => {
    const blocks = partition.filter((block) => block.some((channel) => partOf.get(channel) === index));
    return blocks.length <= 1 || blocks.reduce((sum, block) => sum + block.length, 0) === part.length;
  });
  return isRun ? ranks : undefined;
}

/** An order of the parts that all ranks allow, or undefined. */
export function commonOrder(count: number, ...ranks: readonly Ranks[]): readonly number[] | undefined {
  const order = Array.from({ length: count }, (_, part) => part);
  order.sort((left, right) => {
    for (const rank of ranks) if (rank[left] !== rank[right]) return rank[left]! - rank[right]!;
    return left - right;
  });
  const isAllowed = ranks.every((rank) =>
    order.every((part, index) => index === 0 || rank[order[index - 1]!]! <= rank[part]!),
  );
  return isAllowed ? order : undefined;
}

/** The partition with the parts of `demand` as blocks of their own, in `order`, which its ranks allow. */
export function refine(
  partition: OrderedPartition,
  demand: OrderedPartition,
  order: readonly number[],
): OrderedPartition {
  const place = new Map<number, number>();
  order.forEach((part, index) => demand[part]!.forEach((channel) => place.set(channel, index)));
  return partition.flatMap((block) => {
    const parts = new Map<number, number[]>();
    for (const channel of block) {
      const part = parts.get(place.get(channel)!);
      if (part === undefined) parts.set(place.get(channel)!, [channel]);
      else part.push(channel);
    }
    return [...parts].sort(([left], [right]) => left - right).map(([, channels]) => channels);
  });
}
