import type { Graph, Node, NodeOf } from './graph.js';
import { fillWeight } from './weight-constructors.js';

/**
 * What CondenseNet's convolutions cost once they are condensed, before anybody knows which inputs they keep: every `condense` rule
 * becomes the grouping that it ends in, filters `o mod groups` alike sharing `channelsIn / condenseFactor` inputs (here the first ones
 * of a running window, so that groups overlap as they may). For counting; its weights are zeros.
 */
export function condensedForm(graph: Graph): Graph {
  return { ...graph, nodes: graph.nodes.map(condensed) };
}

function condensed(node: Node): Node {
  if (node.op !== 'conv2d') return node;
  const { connectivity } = node.attrs;
  return connectivity.kind === 'learned' && connectivity.rule === 'condense'
    ? withKeptInputs(node, connectivity)
    : node;
}

function withKeptInputs(
  node: NodeOf<'conv2d'>,
  rule: { channelsOut: number; channelsIn: number; groups: number; condenseFactor: number },
): NodeOf<'conv2d'> {
  const { channelsOut, channelsIn, groups, condenseFactor } = rule;
  const kept = channelsIn / condenseFactor;
  const classes = Array.from({ length: groups }, (_, group) => ({
    outputs: Array.from({ length: channelsOut / groups }, (_, index) => group + index * groups),
    inputs: Array.from({ length: kept }, (_, index) => (group * kept + index) % channelsIn).sort((a, b) => a - b),
  }));
  const { mask: _, ...weights } = node.weights;
  return {
    ...node,
    attrs: {
      ...node.attrs,
      connectivity: { kind: 'shared-inputs', channelsOut, channelsIn, groups, classes },
    },
    weights: { ...weights, kernel: fillWeight([channelsOut, kept, ...node.attrs.kernelSize], 0) },
  };
}
