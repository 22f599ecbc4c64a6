import type { Graph, Node } from '@dgconv/core';

/** A network before it is trained: convolutions that learn their groups are dense, the others as they are. */
export function withoutLearning(graph: Graph): Graph {
  return { ...graph, nodes: graph.nodes.map(settled) };
}

function settled(node: Node): Node {
  if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'learned') return node;
  const { channelsIn, channelsOut } = node.attrs.connectivity;
  const { gates: _g, inputAssignment: _i, outputAssignment: _o, mask: _m, ...weights } = node.weights;
  const connectivity = { kind: 'dense', groups: 1, channelsIn, channelsOut } as const;
  return { ...node, attrs: { ...node.attrs, connectivity }, weights };
}
