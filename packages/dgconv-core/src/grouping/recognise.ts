import type { GroupBlock, Grouping } from './grouping.js';
import { Mask, type MaskView } from './mask.js';
import { invertPermutation } from './permutation.js';
import { blocksOf, maskOf } from './supports.js';

/** Rows with equal support as one block each, numbered by first row. */
function rowBlocks(mask: Mask): GroupBlock[] {
  const blocks: { outputs: number[]; inputs: number[] }[] = [];
  mask.rowClasses().forEach((id, row) => {
    if (id === blocks.length) blocks.push({ outputs: [row], inputs: mask.rowSupport(row) });
    else blocks[id]!.outputs.push(row);
  });
  return blocks;
}

/** Blocks of equal size in both directions, at least two of them. */
function areUniform(blocks: readonly GroupBlock[]): boolean {
  return (
    blocks.length >= 2 &&
    blocks.every(
      ({ outputs, inputs }) =>
        outputs.length === blocks[0]!.outputs.length && inputs.length === blocks[0]!.inputs.length,
    )
  );
}

function bySmallestInput(left: GroupBlock, right: GroupBlock): number {
  if (left.inputs.length === 0 || right.inputs.length === 0)
    return right.inputs.length - left.inputs.length || left.outputs[0]! - right.outputs[0]!;
  return left.inputs[0]! - right.inputs[0]!;
}

/**
 * The canonical grouping of disjoint full blocks that cover all channels (channels ascend within each): dense, equal or unequal.
 * A block without inputs or without outputs has one channel.
 */
function disjointGrouping(blocks: readonly GroupBlock[], channelsOut: number, channelsIn: number): Grouping {
  const counts = { channelsOut, channelsIn };
  const [first] = blocks;
  if (blocks.length === 1 && first!.outputs.length > 0 && first!.inputs.length > 0)
    return { kind: 'dense', ...counts, groups: 1 };
  const sorted = [...blocks].sort(bySmallestInput);
  if (areUniform(sorted) && first!.inputs.length > 0 && first!.outputs.length > 0)
    return {
      kind: 'equal',
      ...counts,
      groups: sorted.length,
      outputOrder: sorted.flatMap(({ outputs }) => outputs),
      inputOrder: sorted.flatMap(({ inputs }) => inputs),
    };
  return { kind: 'unequal', ...counts, groups: sorted.length, blocks: sorted };
}

/** CondenseNet's form: classes of at least two rows, equally many, that share equally many inputs. */
function isShared(blocks: readonly GroupBlock[]): boolean {
  return areUniform(blocks) && blocks[0]!.outputs.length >= 2 && blocks[0]!.inputs.length >= 1;
}

/**
 * What a mask is, exactly; every mask is something. In this order: `dense`; `equal` or `unequal` where every connected component
 * is a full block (isolated channels are blocks of their own); `shared-inputs` and `shared-outputs` where at least two classes of
 * at least two rows (columns) share equally many, overlapping inputs (outputs); `unstructured`.
 * @param matrix - `[channelsOut, channelsIn]`
 */
export function recogniseGrouping(matrix: MaskView): Grouping {
  const mask = Mask.from(matrix);
  const counts = { channelsOut: mask.rows, channelsIn: mask.cols };
  const rows = rowBlocks(mask);
  const seen = new Uint8Array(mask.cols);
  let areDisjoint = true;
  for (const { inputs } of rows)
    for (const input of inputs) {
      areDisjoint &&= seen[input] === 0;
      seen[input] = 1;
    }
  if (areDisjoint) {
    const blocks = rows.flatMap((block) =>
      block.inputs.length > 0 ? [block] : block.outputs.map((output) => ({ outputs: [output], inputs: [] })),
    );
    seen.forEach((used, input) => {
      if (used === 0) blocks.push({ outputs: [], inputs: [input] });
    });
    return disjointGrouping(blocks, mask.rows, mask.cols);
  }
  if (isShared(rows)) return { kind: 'shared-inputs', ...counts, groups: rows.length, classes: rows };
  const columns = rowBlocks(mask.transpose());
  if (isShared(columns))
    return {
      kind: 'shared-outputs',
      ...counts,
      groups: columns.length,
      classes: columns.map(({ outputs, inputs }) => ({ outputs: inputs, inputs: outputs })),
    };
  return { kind: 'unstructured', ...counts, groups: 1, mask };
}

/** The one form of all that have the same mask, which `recogniseGrouping` gives; without building the mask of equal groups. */
export function canonicalGrouping(grouping: Grouping): Grouping {
  if (grouping.kind !== 'equal') return recogniseGrouping(maskOf(grouping));
  const ascending = (channels: readonly number[]): number[] => channels.toSorted((left, right) => left - right);
  const blocks = blocksOf(grouping)!.map(({ outputs, inputs }) => ({
    outputs: ascending(outputs),
    inputs: ascending(inputs),
  }));
  return disjointGrouping(blocks, grouping.channelsOut, grouping.channelsIn);
}

/**
 * The grouping after its channels are re-indexed: output o' of the result is `outputOrder[o']`, input i' is `inputOrder[i']`.
 * `maskOf(result).get(o', i') = maskOf(grouping).get(outputOrder[o'], inputOrder[i'])`.
 */
export function reorderGrouping(
  grouping: Grouping,
  outputOrder: readonly number[],
  inputOrder: readonly number[],
): Grouping {
  if (grouping.kind === 'dense') return grouping;
  const { channelsOut, channelsIn } = grouping;
  const newOutput = invertPermutation(outputOrder);
  const newInput = invertPermutation(inputOrder);
  const move = (channels: readonly number[], position: readonly number[]): number[] =>
    channels.map((channel) => position[channel]!).sort((left, right) => left - right);
  const moved = blocksOf(grouping)?.map(({ outputs, inputs }) => ({
    outputs: move(outputs, newOutput),
    inputs: move(inputs, newInput),
  }));
  switch (grouping.kind) {
    case 'equal':
    case 'unequal':
      return disjointGrouping(moved!, channelsOut, channelsIn);
    case 'shared-inputs':
      return { ...grouping, classes: moved!.sort((left, right) => left.outputs[0]! - right.outputs[0]!) };
    case 'shared-outputs':
      return { ...grouping, classes: moved!.sort((left, right) => left.inputs[0]! - right.inputs[0]!) };
    case 'unstructured':
      return { ...grouping, mask: grouping.mask.reorder(outputOrder, inputOrder) };
  }
}
