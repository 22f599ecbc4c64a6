import type { Mask } from './mask.js';
import type { Permutation } from './permutation.js';

/** Channel counts that every kind of grouping carries. */
interface ChannelCounts {
  readonly channelsOut: number;
  readonly channelsIn: number;
}

/** Every output sees every input. */
export interface DenseGrouping extends ChannelCounts {
  readonly kind: 'dense';
  readonly groups: 1;
}

/**
 * `groups` disjoint full blocks of equal size. Group g holds outputs `outputOrder[g·O/G … (g+1)·O/G)` and inputs
 * `inputOrder[g·I/G … (g+1)·I/G)`; groups are numbered by their smallest input, channels ascend within a group.
 */
export interface EqualGrouping extends ChannelCounts {
  readonly kind: 'equal';
  readonly groups: number;
  readonly outputOrder: Permutation;
  readonly inputOrder: Permutation;
}

/** One full block of an unequal grouping; an output without inputs, or an input without outputs, is a block of its own. */
export interface GroupBlock {
  readonly outputs: readonly number[];
  readonly inputs: readonly number[];
}

/** Disjoint full blocks of unequal sizes (FLGC), ordered by smallest input, then the blocks without inputs by output. */
export interface UnequalGrouping extends ChannelCounts {
  readonly kind: 'unequal';
  readonly groups: number;
  readonly blocks: readonly GroupBlock[];
}

/**
 * CondenseNet: `groups` classes of equally many outputs, the outputs of one class share equally many inputs, and supports
 * of different classes overlap. Class g is `classes[g]`; classes are numbered by their smallest output.
 */
export interface SharedInputsGrouping extends ChannelCounts {
  readonly kind: 'shared-inputs';
  readonly groups: number;
  readonly classes: readonly GroupBlock[];
}

/** CondenseNet V2: the transpose of {@link SharedInputsGrouping}; classes of inputs share outputs, numbered by smallest input. */
export interface SharedOutputsGrouping extends ChannelCounts {
  readonly kind: 'shared-outputs';
  readonly groups: number;
  readonly classes: readonly GroupBlock[];
}

/** A mask with none of the structures above. */
export interface UnstructuredGrouping extends ChannelCounts {
  readonly kind: 'unstructured';
  readonly groups: 1;
  readonly mask: Mask;
}

/** What a 0/1 mask `[channelsOut, channelsIn]` *is*; `maskOf` gives the mask back. Plain data, so it can be stored as JSON. */
export type Grouping =
  DenseGrouping | EqualGrouping | UnequalGrouping | SharedInputsGrouping | SharedOutputsGrouping | UnstructuredGrouping;
