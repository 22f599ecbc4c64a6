/** Channels in blocks: the order of the blocks is decided, that within a block is free. */
export type OrderedPartition = readonly (readonly number[])[];

/** Where the parts of a demand may stand: parts of one rank in any order, after all parts of lower rank; undefined: anywhere. */
export type Ranks = readonly (number | undefined)[];

/**
 * Ranks of the parts of `demand` (disjoint, covering; empty parts allowed) under which each part is a run of channels, or undefined
 * if `partition` does not allow it: a part lies within one block, or ends one block, fills the next ones, and begins another.
 */
export function ranksIn(partition: OrderedPartition, demand: OrderedPartition): Ranks | undefined {
  const partOf = new Map<number, number>();
  demand.forEach((part, index) => part.forEach((channel) => partOf.set(channel, index)));
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  const partsOf = partition.map((block, index) => {
    const parts = new Set(block.map((channel) => partOf.get(channel)!));
    for (const part of parts) {
      if (!first.has(part)) first.set(part, index);
      last.set(part, index);
    }
    return parts;
  });
  const isAllowed = partsOf.every((parts, index) => {
    const [begun, continued] = [[], []] as [number[], number[]];
    for (const part of parts) {
      if (first.get(part)! < index) begun.push(part);
      if (last.get(part)! > index) continued.push(part);
    }
    // What comes from the block before stands first, what goes on in the next one last; what does both fills the block.
    const fills = begun.some((part) => continued.includes(part));
    return begun.length <= 1 && continued.length <= 1 && (!fills || parts.size === 1);
  });
  // A part that leaves out a block between its own ones is no run.
  const isRun = [...first].every(([part, from]) => {
    for (let index = from; index <= last.get(part)!; index += 1) if (!partsOf[index]!.has(part)) return false;
    return true;
  });
  if (!isAllowed || !isRun) return undefined;
  return demand.map((part, index) =>
    part.length === 0 ? undefined : 2 * first.get(index)! + (first.get(index) === last.get(index) ? 0 : 1),
  );
}

/**
 * An order of the parts that all ranks allow, or undefined.
 * @param sizes - what parts are alike; alike ones come side by side where the ranks leave the choice.
 */
export function commonOrder(sizes: readonly string[], ...ranks: readonly Ranks[]): readonly number[] | undefined {
  const levels = ranks.map((rank) => new Levels(rank));
  const waiting = new Set(sizes.keys());
  const order: number[] = [];
  while (waiting.size > 0) {
    let next: number | undefined;
    for (const part of waiting) {
      if (!levels.every((level) => level.allows(part))) continue;
      next ??= part;
      if (order.length > 0 && sizes[part] !== sizes[order.at(-1)!]) continue;
      next = part;
      break;
    }
    if (next === undefined) return undefined;
    waiting.delete(next);
    order.push(next);
    for (const level of levels) level.place(next);
  }
  return order;
}

/** The ranks of one side while parts are placed: a part may come once all parts of lower rank are there. */
class Levels {
  readonly #left: number[];

  constructor(readonly ranks: Ranks) {
    this.#left = ranks.filter((rank) => rank !== undefined).sort((a, b) => a - b);
  }

  allows(part: number): boolean {
    const rank = this.ranks[part];
    return rank === undefined || rank === this.#left[0];
  }

  place(part: number): void {
    if (this.ranks[part] !== undefined) this.#left.shift();
  }
}

/** Whether an order of the parts is one that the ranks allow. */
export function isOrderIn(ranks: Ranks, order: readonly number[]): boolean {
  const placed = order.flatMap((part) => ranks[part] ?? []);
  return placed.every((rank, index) => index === 0 || placed[index - 1]! <= rank);
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
