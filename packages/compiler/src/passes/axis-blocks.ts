import { type Permutation, type Shape } from '@dgconv/core';

/** Axes of two shapes that hold the same elements: a reshape keeps what lies outside apart. */
interface AxisBlock {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** The finest blocks of a reshape, in order; an axis of size 1 may be in a block of its own that has nothing on the other side. */
function axisBlocks(from: Shape, to: Shape): AxisBlock[] {
  const blocks: AxisBlock[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const block: { from: number[]; to: number[] } = { from: [], to: [] };
    let [left, right] = [1, 1];
    const take = (isFrom: boolean): void => {
      if (isFrom) {
        left *= from[i]!;
        block.from.push(i++);
      } else {
        right *= to[j]!;
        block.to.push(j++);
      }
    };
    if (i < from.length && j < to.length && from[i] === to[j]) {
      take(true);
      take(false);
    } else if (i < from.length && from[i] === 1) {
      take(true);
    } else if (j < to.length && to[j] === 1) {
      take(false);
    } else {
      take(true);
      take(false);
      while (left !== right) take(left < right);
    }
    blocks.push(block);
  }
  return blocks;
}

/**
 * The order of a reshape's axes that fits the order of its input's, or undefined where the reshape joins or splits axes that do not
 * lie side by side any more. The first axis, the batch, has to be first on both sides.
 * @param order - of the input's axes: stored axis k is axis `order[k]`.
 */
export function reshapedOrder(from: Shape, to: Shape, order: Permutation): Permutation | undefined {
  const blocks = axisBlocks(from, to);
  const blockOf = new Map(blocks.flatMap((block) => block.from.map((axis) => [axis, block] as const)));
  const result: number[] = [];
  const isPlaced = new Set<AxisBlock>();
  for (let place = 0; place < order.length;) {
    const block = blockOf.get(order[place]!)!;
    if (!block.from.every((axis, offset) => order[place + offset] === axis)) return undefined;
    place += block.from.length;
    result.push(...block.to);
    isPlaced.add(block);
  }
  // New axes of size 1 may stand anywhere: behind the axis that they follow.
  for (const block of blocks) {
    if (isPlaced.has(block)) continue;
    const before = block.to[0]! === 0 ? -1 : result.indexOf(block.to[0]! - 1);
    result.splice(before + 1, 0, ...block.to);
  }
  return result[0] === 0 && order[0] === 0 ? result : undefined;
}
