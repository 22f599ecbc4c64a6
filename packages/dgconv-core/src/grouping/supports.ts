import type { GroupBlock, Grouping } from './grouping.js';
import { Mask } from './mask.js';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/**
 * The disjoint or overlapping full blocks whose union the mask of a structured grouping is; null where it has none.
 * Channels ascend within a block where the grouping is canonical.
 */
export function blocksOf(grouping: Grouping): readonly GroupBlock[] | null {
  switch (grouping.kind) {
    case 'dense':
      return [{ outputs: range(grouping.channelsOut), inputs: range(grouping.channelsIn) }];
    case 'equal': {
      const outputs = grouping.channelsOut / grouping.groups;
      const inputs = grouping.channelsIn / grouping.groups;
      return range(grouping.groups).map((group) => ({
        outputs: grouping.outputOrder.slice(group * outputs, (group + 1) * outputs),
        inputs: grouping.inputOrder.slice(group * inputs, (group + 1) * inputs),
      }));
    }
    case 'unequal':
      return grouping.blocks;
    case 'shared-inputs':
    case 'shared-outputs':
      return grouping.classes;
    case 'unstructured':
      return null;
  }
}

/**
 * Inputs of every output, `[channelsOut]`, each ascending. Outputs with the same inputs may share one array, so this is cheap
 * and tells them apart by identity.
 */
export function supportsOf(grouping: Grouping): readonly (readonly number[])[] {
  switch (grouping.kind) {
    case 'dense':
    case 'equal':
    case 'unequal':
    case 'shared-inputs': {
      const supports = new Array<readonly number[]>(grouping.channelsOut).fill([]);
      for (const { outputs, inputs } of blocksOf(grouping)!) for (const output of outputs) supports[output] = inputs;
      return supports;
    }
    case 'shared-outputs': {
      const supports: number[][] = range(grouping.channelsOut).map(() => []);
      for (const { outputs, inputs } of grouping.classes)
        for (const output of outputs) supports[output]!.push(...inputs);
      for (const support of supports) support.sort((left, right) => left - right);
      return supports;
    }
    case 'unstructured':
      return range(grouping.channelsOut).map((output) => grouping.mask.rowSupport(output));
  }
}

/** Inputs of one output, ascending; {@link supportsOf} is cheaper for all of them. */
export function inputsOf(grouping: Grouping, output: number): readonly number[] {
  return supportsOf(grouping)[output]!;
}

/** The mask `[channelsOut, channelsIn]` that a grouping stands for: the inverse of `recogniseGrouping`. */
export function maskOf(grouping: Grouping): Mask {
  return grouping.kind === 'unstructured'
    ? grouping.mask
    : Mask.fromSupports(grouping.channelsIn, supportsOf(grouping));
}

/** Number of connections ζ of a grouping: the ones in its mask. */
export function connectionsOf(grouping: Grouping): number {
  switch (grouping.kind) {
    case 'dense':
    case 'equal':
      return (grouping.channelsOut * grouping.channelsIn) / grouping.groups;
    case 'unequal':
    case 'shared-inputs':
    case 'shared-outputs':
      return blocksOf(grouping)!.reduce((sum, { outputs, inputs }) => sum + outputs.length * inputs.length, 0);
    case 'unstructured':
      return grouping.mask.nonZeros;
  }
}
