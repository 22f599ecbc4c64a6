import { expandWeight, type Graph, type Grouping, type Model, type Node } from '@dgconv/core';

const isGrouping = (kind: string): boolean => kind !== 'masked' && kind !== 'learned' && kind !== 'dense';

/** A convolution that multiplies the zeros between the groups too. */
const denseNode = (node: Node): Node => {
  if (node.op !== 'conv2d' || !isGrouping(node.attrs.connectivity.kind)) return node;
  const grouping = node.attrs.connectivity as Grouping;
  const { channelsIn, channelsOut } = grouping;
  return {
    ...node,
    attrs: { ...node.attrs, connectivity: { kind: 'dense', groups: 1, channelsIn, channelsOut } },
    weights: { ...node.weights, kernel: expandWeight(node.weights.kernel, grouping) },
  };
};

/**
 * The masked-dense form of a network whose groups are explicit: what one deploys without a compiler, every kernel dense with zeros.
 */
export const denseForm = ({ graph, weights }: Model): Model => {
  const nodes: Graph['nodes'] = graph.nodes.map(denseNode);
  return { graph: { ...graph, nodes }, weights };
};
