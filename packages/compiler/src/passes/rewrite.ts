import type { Graph, Node } from '@dgconv/core';
import { NodeList } from './node-list.js';

/** What a rewrite rule may do beside giving the value that stands for the visited node. */
export type RewriteContext = Pick<NodeList, 'emit' | 'freshId'>;

/**
 * Visits the nodes in topological order, their inputs already renamed. `rule` gives the value that stands for the node from there
 * on: one that it emitted, or one that exists. Nodes that nothing needs any more are dropped.
 */
export function rewriteNodes(graph: Graph, rule: (node: Node, context: RewriteContext) => string): Graph {
  const replacements = new Map<string, string>();
  const list = new NodeList(graph);
  const renamed = (value: string): string => replacements.get(value) ?? value;
  for (const node of graph.nodes) {
    replacements.set(node.id, rule(withInputs(node, node.inputs.map(renamed)), list));
  }
  const outputs = graph.outputs.map(({ name, value }) => ({ name, value: renamed(value) }));
  return removeUnusedNodes({ ...graph, nodes: list.nodes, outputs });
}

/** The node with other inputs. */
export function withInputs<N extends Node>(node: N, inputs: readonly string[]): N {
  return { ...node, inputs };
}

/** The graph without the nodes that no output needs. Inputs of the graph stay: they are its interface. */
export function removeUnusedNodes(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ value }) => value));
  for (const node of graph.nodes.toReversed()) {
    if (needed.has(node.id)) for (const input of node.inputs) needed.add(input);
  }
  return { ...graph, nodes: graph.nodes.filter(({ id }) => needed.has(id)) };
}

/** Nodes that read each value; the graph's outputs count as readers in `isOutput`. */
export interface Uses {
  of(value: string): readonly Node[];
  isOutput(value: string): boolean;
  /** The only reader of the value, or undefined if there are several or the graph gives it out. */
  only(value: string): Node | undefined;
}

/** Who reads which value. */
export function usesOf(graph: Graph): Uses {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      const list = readers.get(input);
      if (list === undefined) readers.set(input, [node]);
      else list.push(node);
    }
  }
  const outputs = new Set(graph.outputs.map(({ value }) => value));
  const of = (value: string): readonly Node[] => readers.get(value) ?? [];
  return {
    of,
    isOutput: (value) => outputs.has(value),
    only: (value) => (of(value).length === 1 && !outputs.has(value) ? of(value)[0] : undefined),
  };
}

/** The origins of merged nodes, each once. */
export function mergedOrigin(...nodes: readonly Node[]): readonly string[] {
  return [...new Set(nodes.flatMap(({ origin }) => origin))];
}
