import {
  expandWeight,
  type Grouping,
  Mask,
  type Model,
  readWeight,
  recogniseGrouping,
  type Weight,
  type WeightSource,
} from '@dgconv/core';
import { rewriteNodes } from '../passes/rewrite.js';

/** A convolution in whose kernel zeros were found. */
export interface FoundMask {
  readonly node: string;
  /** Channel pairs without any weight above the threshold. */
  readonly zeros: number;
  /** Of those, the pairs that the threshold made zero, and the largest magnitude among them. */
  readonly dropped: number;
  readonly largestDropped: number;
}

export interface MaskedModel {
  readonly model: Model;
  readonly found: readonly FoundMask[];
}

/**
 * Takes zeros in a convolution's kernel that repeat over its positions for what they are: a mask. A kernel whose zeros have no
 * structure and leave no channel without connections stays as it is, because nothing could be gained.
 * @param threshold - weights up to this magnitude count as zero (default 0); `dropped` says what that changes.
 */
export function masksFromZeros(model: Model, threshold = 0): MaskedModel {
  const found: FoundMask[] = [];
  const graph = rewriteNodes(model.graph, (node, { emit }) => {
    if (node.op !== 'conv2d') return emit(node);
    const { connectivity } = node.attrs;
    if (connectivity.kind !== 'dense' && connectivity.kind !== 'equal') return emit(node);
    // A depthwise kernel has one pair a channel: nothing to split.
    if (connectivity.groups === connectivity.channelsIn && connectivity.groups === connectivity.channelsOut)
      return emit(node);
    const { channelsOut, channelsIn } = connectivity;
    if (!hasSmallValues(node.weights.kernel, model.weights, threshold)) return emit(node);
    const kernel = expandWeight(node.weights.kernel, connectivity);
    const values = readWeight(kernel, model.weights);
    const mask = Mask.fromWeights(values, channelsOut, channelsIn, threshold);
    const connections = (channelsOut * channelsIn) / connectivity.groups;
    if (mask.nonZeros === connections || !isWorthKnowing(recogniseGrouping(mask))) return emit(node);
    found.push({ node: node.id, zeros: connections - mask.nonZeros, ...droppedPairs(values, mask) });
    return emit({
      ...node,
      attrs: { ...node.attrs, connectivity: { kind: 'masked', channelsOut, channelsIn, mask } },
      weights: { ...node.weights, kernel },
    });
  });
  return { model: { graph, weights: model.weights }, found };
}

/** Whether any value is within the threshold: decided on the stored tensor where the kernel only moves its values. */
function hasSmallValues(kernel: Weight, source: WeightSource, threshold: number): boolean {
  let moved = kernel;
  while (moved.kind === 'transpose' || moved.kind === 'reshape') moved = moved.of;
  return readWeight(moved, source).some((value) => Math.abs(value) <= threshold);
}

function isWorthKnowing(grouping: Grouping): boolean {
  if (grouping.kind !== 'unstructured') return true;
  const { mask } = grouping;
  const seen = new Set<number>();
  for (let row = 0; row < mask.rows; row += 1) {
    const support = mask.rowSupport(row);
    if (support.length === 0) return true;
    for (const column of support) seen.add(column);
  }
  return seen.size < mask.cols;
}

function droppedPairs(values: Float32Array, mask: Mask): { dropped: number; largestDropped: number } {
  const patch = values.length / (mask.rows * mask.cols);
  let [dropped, largestDropped] = [0, 0];
  for (let row = 0; row < mask.rows; row += 1) {
    for (let column = 0; column < mask.cols; column += 1) {
      if (mask.get(row, column) === 1) continue;
      const start = (row * mask.cols + column) * patch;
      let largest = 0;
      for (let tap = 0; tap < patch; tap += 1) largest = Math.max(largest, Math.abs(values[start + tap]!));
      if (largest > 0) dropped += 1;
      largestDropped = Math.max(largestDropped, largest);
    }
  }
  return { dropped, largestDropped };
}
