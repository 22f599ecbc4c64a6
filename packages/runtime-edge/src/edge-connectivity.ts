import {
  type Connectivity,
  type GroupBlock,
  type Grouping,
  InvalidInputError,
  Mask,
  UnsupportedError,
} from '@dgconv/core';
import type { OpFields } from './edge-fields.js';

type ConnectivityFields = Pick<
  OpFields<'conv2d'>,
  | 'connectivity'
  | 'channelsOut'
  | 'channelsIn'
  | 'groups'
  | 'outputOrder'
  | 'inputOrder'
  | 'blockOutputs'
  | 'blockInputs'
  | 'mask'
>;

const ascending = (channels: readonly number[]): number[] => [...channels].sort((a, b) => a - b);

/** A channel order with each group ascending, empty where it is the identity: the order within a group means nothing. */
function orderField(order: readonly number[], groups: number): number[] {
  const size = order.length / groups;
  const sorted = Array.from({ length: groups }, (_, g) => ascending(order.slice(g * size, (g + 1) * size))).flat();
  return sorted.every((channel, index) => channel === index) ? [] : sorted;
}

const runs = (blocks: readonly GroupBlock[], side: keyof GroupBlock): number[] =>
  blocks.flatMap((block) => [block[side].length, ...ascending(block[side])]);

/**
 * The fields that say who is connected with whom.
 * @throws {UnsupportedError} for masked and learned connectivity: those are for training, the compiler turns them into groupings.
 */
export function connectivityFields(connectivity: Connectivity): ConnectivityFields {
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned')
    throw new UnsupportedError(`.edge holds no ${connectivity.kind} connectivity: compile the network first`);
  const { channelsOut, channelsIn, groups, kind } = connectivity;
  const fields = {
    connectivity: kind,
    channelsOut,
    channelsIn,
    groups,
    outputOrder: [],
    inputOrder: [],
    blockOutputs: [],
    blockInputs: [],
    mask: [],
  };
  switch (connectivity.kind) {
    case 'dense':
      return fields;
    case 'equal':
      return {
        ...fields,
        outputOrder: orderField(connectivity.outputOrder, groups),
        inputOrder: orderField(connectivity.inputOrder, groups),
      };
    case 'unequal':
      return { ...fields, ...blockFields(connectivity.blocks) };
    case 'shared-inputs':
    case 'shared-outputs':
      return { ...fields, ...blockFields(connectivity.classes) };
    case 'unstructured':
      return { ...fields, mask: maskWords(connectivity.mask) };
  }
}

const blockFields = (blocks: readonly GroupBlock[]) => ({
  groups: blocks.length,
  blockOutputs: runs(blocks, 'outputs'),
  blockInputs: runs(blocks, 'inputs'),
});

function maskWords(mask: Mask): number[] {
  const stride = Math.ceil(mask.cols / 32);
  const words = new Uint32Array(stride * mask.rows);
  for (let row = 0; row < mask.rows; row++)
    for (const col of mask.rowSupport(row)) words[row * stride + (col >>> 5)]! |= 1 << (col & 31);
  return [...words];
}

/**
 * The grouping that fields of a file describe.
 * @throws {InvalidInputError} if they contradict each other.
 */
export function connectivityOf(fields: ConnectivityFields): Grouping {
  const { channelsOut, channelsIn, groups } = fields;
  const counts = { channelsOut, channelsIn };
  const uses = { dense: [], equal: ['outputOrder', 'inputOrder'], unstructured: ['mask'] } as const;
  const used: readonly string[] =
    fields.connectivity === 'dense' || fields.connectivity === 'equal' || fields.connectivity === 'unstructured'
      ? uses[fields.connectivity]
      : ['blockOutputs', 'blockInputs'];
  for (const name of ['outputOrder', 'inputOrder', 'blockOutputs', 'blockInputs', 'mask'] as const)
    if (fields[name].length > 0 && !used.includes(name))
      throw new InvalidInputError(`${name} must be empty for ${fields.connectivity} connectivity`);
  switch (fields.connectivity) {
    case 'dense':
      return { kind: 'dense', groups: 1, ...counts };
    case 'equal':
      return {
        kind: 'equal',
        groups,
        ...counts,
        outputOrder: orderOf(fields.outputOrder, channelsOut, groups, 'outputOrder'),
        inputOrder: orderOf(fields.inputOrder, channelsIn, groups, 'inputOrder'),
      };
    case 'unequal':
    case 'shared-inputs':
    case 'shared-outputs': {
      const blocks = blocksOfFields(fields);
      return fields.connectivity === 'unequal'
        ? { kind: 'unequal', groups, ...counts, blocks }
        : { kind: fields.connectivity, groups, ...counts, classes: blocks };
    }
    case 'unstructured':
      return { kind: 'unstructured', groups: 1, ...counts, mask: maskOfWords(fields.mask, channelsOut, channelsIn) };
  }
}

const isAscending = (list: readonly number[]): boolean =>
  list.every((channel, index) => index === 0 || channel > list[index - 1]!);

function orderOf(list: readonly number[], channels: number, groups: number, name: string): number[] {
  if (channels % groups !== 0) throw new InvalidInputError(`${groups} groups do not divide ${channels} channels`);
  if (list.length === 0) return Array.from({ length: channels }, (_, channel) => channel);
  const size = channels / groups;
  let ok = list.length === channels && new Set(list).size === channels && list.every((channel) => channel < channels);
  for (let g = 0; ok && g < groups; g++) ok = isAscending(list.slice(g * size, (g + 1) * size));
  if (!ok) throw new InvalidInputError(`${name} is no permutation of ${channels} channels that ascends within groups`);
  return [...list];
}

function runsOf(list: readonly number[], groups: number, channels: number): number[][] {
  const result: number[][] = [];
  let at = 0;
  for (let g = 0; g < groups; g++) {
    const count = list[at++];
    const run = list.slice(at, at + (count ?? 0));
    at += run.length;
    if (count === undefined || run.length !== count || !isAscending(run) || (run.at(-1) ?? 0) >= channels)
      throw new InvalidInputError('its blocks are not runs of a count and as many ascending channels');
    result.push(run);
  }
  if (at !== list.length) throw new InvalidInputError('its blocks are more than its groups');
  return result;
}

function blocksOfFields(fields: ConnectivityFields): GroupBlock[] {
  const { channelsOut, channelsIn, groups, connectivity } = fields;
  const outputs = runsOf(fields.blockOutputs, groups, channelsOut);
  const inputs = runsOf(fields.blockInputs, groups, channelsIn);
  const checkPartition = (blocks: readonly number[][], channels: number, isComplete: boolean): void => {
    const all = blocks.flat();
    if (new Set(all).size !== all.length) throw new InvalidInputError('a channel is in two of its blocks');
    if (isComplete && all.length !== channels) throw new InvalidInputError('its blocks leave out a channel');
  };
  if (connectivity !== 'shared-outputs') checkPartition(outputs, channelsOut, true);
  if (connectivity !== 'shared-inputs') checkPartition(inputs, channelsIn, connectivity === 'shared-outputs');
  return outputs.map((channels, g) => ({ outputs: channels, inputs: inputs[g]! }));
}

function maskOfWords(words: readonly number[], rows: number, cols: number): Mask {
  const stride = Math.ceil(cols / 32);
  if (words.length !== stride * rows) throw new InvalidInputError('its mask has not one bit for each pair of channels');
  const used = cols % 32 === 0 ? 0xffffffff : 2 ** (cols % 32) - 1;
  for (let row = 0; row < rows; row++)
    if ((words[(row + 1) * stride - 1]! & ~used) !== 0)
      throw new InvalidInputError('its mask has bits behind the last input');
  return Mask.fromFunction(rows, cols, (row, col) => ((words[row * stride + (col >>> 5)]! >>> (col & 31)) & 1) === 1);
}
