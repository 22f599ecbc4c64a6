import {
  blocksOf,
  elementCount,
  expandWeight,
  type Graph,
  type GroupBlock,
  type Grouping,
  inferShapes,
  type NodeOf,
} from '@dgconv/core';
import type { FormCosts } from './form-costs.js';

/** Another form has to be this much faster on paper: measurements scatter, and a form that is kept keeps its layer recognisable. */
export const worthwhile = 0.9;

/** Where a convolution is computed: output pixels and kernel positions. */
export interface Extent {
  readonly pixels: number;
  readonly positions: number;
}

/** Predicted time of a convolution whose blocks run one beside the other, in multiply-adds of a dense one. */
export function blocksTime(blocks: readonly GroupBlock[], extent: Extent, costs: FormCosts): number {
  return blocks.reduce((sum, { inputs, outputs }) => {
    const channelsPerGroup = Math.min(inputs.length, outputs.length);
    if (channelsPerGroup === 0) return sum;
    return sum + costs.convolution({ connections: inputs.length * outputs.length, channelsPerGroup, ...extent });
  }, 0);
}

/** Predicted time of a grouping in the form that a target gives it, without moving channels into order. */
export function groupedTime(grouping: Grouping, extent: Extent, inputPixels: number, costs: FormCosts): number {
  const { channelsIn, channelsOut } = grouping;
  switch (grouping.kind) {
    case 'dense':
    case 'unstructured':
      return denseTime(grouping, extent, costs);
    case 'equal':
      return blocksTime(blocksOf(grouping)!, extent, costs);
    case 'unequal': {
      const values = inputPixels * channelsIn + extent.pixels * channelsOut;
      return blocksTime(grouping.blocks, extent, costs) + costs.buckets(bucketCount(grouping.blocks), values);
    }
    case 'shared-inputs': {
      const gathered = grouping.classes.reduce((sum, { inputs }) => sum + inputs.length, 0);
      return blocksTime(grouping.classes, extent, costs) + costs.move(inputPixels * gathered) + costs.start(1);
    }
    case 'shared-outputs':
      return blocksTime(grouping.classes, extent, costs);
  }
}

/** Sizes of blocks that have outputs: as many grouped convolutions are needed at least. */
function bucketCount(blocks: readonly GroupBlock[]): number {
  const sizes = blocks.filter(({ outputs }) => outputs.length > 0);
  const count = new Set(sizes.map(({ inputs, outputs }) => `${inputs.length} ${outputs.length}`)).size;
  return count === 1 ? 0 : count;
}

/** Predicted time of the same convolution with zeros where nothing is connected. */
export function denseTime(
  { channelsIn, channelsOut }: Pick<Grouping, 'channelsIn' | 'channelsOut'>,
  extent: Extent,
  costs: FormCosts,
): number {
  const channelsPerGroup = Math.min(channelsIn, channelsOut);
  return costs.convolution({ connections: channelsIn * channelsOut, channelsPerGroup, ...extent });
}

/** What a graph's convolutions save by their groups, and what bringing those into order costs. */
export interface MovePrices {
  /** Predicted time that the groups save against a dense convolution with zeros, moves left out. */
  saving(node: NodeOf<'conv2d'>, grouping: Grouping): number;
  /** Predicted time of moving the channels of one side. */
  move(node: NodeOf<'conv2d'>, side: 'inputs' | 'outputs'): number;
}

/** The prices of a graph, whose convolutions keep their names and shapes in whatever order their channels are. */
export function movePrices(graph: Graph, costs: FormCosts): MovePrices {
  const shapes = inferShapes(graph);
  const pixelsOf = (value: string): number => elementCount(shapes.get(value)!.slice(1, 3));
  return {
    saving: (node, grouping) => {
      const extent = { pixels: pixelsOf(node.id), positions: elementCount(node.attrs.kernelSize) };
      const grouped = groupedTime(grouping, extent, pixelsOf(node.inputs[0]!), costs);
      return denseTime(grouping, extent, costs) - grouped;
    },
    move: (node, side) =>
      costs.start(1) + costs.move(elementCount(shapes.get(side === 'inputs' ? node.inputs[0]! : node.id)!)),
  };
}

/** The same convolution with zeros where nothing is connected. */
export function asDense(node: NodeOf<'conv2d'>): NodeOf<'conv2d'> {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return node;
  const { channelsIn, channelsOut } = connectivity;
  return {
    ...node,
    attrs: { ...node.attrs, connectivity: { kind: 'dense', channelsIn, channelsOut, groups: 1 } },
    weights: { ...node.weights, kernel: expandWeight(node.weights.kernel, connectivity) },
  };
}
