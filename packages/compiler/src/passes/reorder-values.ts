import {
  composePermutations,
  type Graph,
  identityPermutation,
  inferShapes,
  invertPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { NodeList } from './node-list.js';

/** What is put in order: the channels of values, or their axes. Item k of a stored value is item `order[k]` of the source network's. */
export interface Reordering {
  /** How many items a value has. */
  countOf(shape: Shape): number;
  /** The node that brings a value from one order into another. */
  move(id: string, value: Moved): Node;
  /** What is put behind the name of a value that is moved, and of one that a node gives before it is moved. */
  readonly suffixes: { readonly moved: string; readonly before: string };
  readonly rules: { readonly [K in OpKind]: OrderRule<K> };
}

/** A value that is moved; `shape` is that in the source network. */
export interface Moved {
  readonly input: string;
  readonly shape: Shape;
  readonly from: Permutation;
  readonly to: Permutation;
}

/** What a rule sees of the values around its node. */
export interface Surroundings {
  /** The order that the node's value has to have. */
  readonly wanted: Permutation;
  /** The order of the node's value in the source network. */
  readonly natural: Permutation;
  readonly outputShape: Shape;
  /** The order that an input has now. */
  orderOf(input: number): Permutation;
  /** Shape of an input in the source network. */
  shapeOf(input: number): Shape;
  /** The node that gives an input in the source network; undefined: an input of the network. */
  sourceOf(input: number): Node | undefined;
  /** An input in an order: itself, or moved into it, which is done once. */
  inOrder(input: number, order: Permutation): string;
  /** An input as the source network has it. */
  inNaturalOrder(input: number): string;
  readonly once: NodeList['once'];
}

/** A node on reordered inputs, and the order of what it gives. */
export interface Reordered {
  readonly node: Node;
  readonly order: Permutation;
}

/** How an op deals with the orders of its inputs. */
export type OrderRule<K extends OpKind> = (node: NodeOf<K>, surroundings: Surroundings) => Reordered;

/**
 * Stores values in other orders without changing what the network computes: each op's rule gives a node on inputs in some order, and a
 * move stands before or after it where that is not the order that they have, or that is wanted. Inputs and outputs of the graph keep
 * their order. Right for any orders.
 * @param orders - by value; one that is absent keeps its order.
 * @param shapes - of the graph, if they are known.
 */
export function reorderValues(
  graph: Graph,
  orders: ReadonlyMap<string, Permutation>,
  { countOf, move, suffixes, rules }: Reordering,
  shapes: ReadonlyMap<string, Shape> = inferShapes(graph),
): Graph {
  const sources = new Map(graph.nodes.map((node) => [node.id, node]));
  const list = new NodeList(graph);
  /** Order of each value that exists in the new graph under its old name. */
  const current = new Map<string, Permutation>();
  const naturalOf = (value: string): Permutation => identityPermutation(countOf(shapes.get(value)!));
  const inOrder = (input: string, to: Permutation): string => {
    const from = current.get(input)!;
    if (isSameOrder(from, to)) return input;
    return list.once(`${to.join()}:${input}`, input + suffixes.moved, (id) =>
      move(id, { input, shape: shapes.get(input)!, from, to }),
    );
  };

  for (const { name } of graph.inputs) current.set(name, naturalOf(name));
  for (const node of graph.nodes) {
    const { id, inputs } = node;
    const natural = naturalOf(id);
    const wanted = orders.get(id) ?? natural;
    // The table is indexed by the op of the same node that the rule gets.
    const result = (rules[node.op] as (node: Node, surroundings: Surroundings) => Reordered)(node, {
      wanted,
      natural,
      outputShape: shapes.get(id)!,
      orderOf: (input) => current.get(inputs[input]!)!,
      shapeOf: (input) => shapes.get(inputs[input]!)!,
      sourceOf: (input) => sources.get(inputs[input]!),
      inOrder: (input, order) => inOrder(inputs[input]!, order),
      inNaturalOrder: (input) => inOrder(inputs[input]!, naturalOf(inputs[input]!)),
      once: list.once,
    });
    if (isSameOrder(result.order, wanted)) {
      list.emit(result.node);
    } else {
      const input = list.emit({ ...result.node, id: list.freshId(id + suffixes.before) });
      list.emit(move(id, { input, shape: shapes.get(id)!, from: result.order, to: wanted }));
    }
    current.set(id, wanted);
  }
  const outputs = graph.outputs.map(({ name, value }) => ({ name, value: inOrder(value, naturalOf(value)) }));
  return { ...graph, nodes: list.nodes, outputs };
}

/** Ops that treat all items alike: the value has the order of its input, so the input is brought into the wanted one. */
export function inAnyOrder(node: Node, { wanted, inOrder }: Surroundings): Reordered {
  return { node: { ...node, inputs: [inOrder(0, wanted)] }, order: wanted };
}

/** Ops that no order passes: as in the source network. */
export function asInSource(node: Node, { natural, inNaturalOrder }: Surroundings): Reordered {
  return { node: { ...node, inputs: node.inputs.map((_, input) => inNaturalOrder(input)) }, order: natural };
}

/** What makes items that lie in one order lie in another: item k of the result is item `indices[k]` of what there is. */
export function movesBetween(from: Permutation, to: Permutation): Permutation {
  return composePermutations(invertPermutation(from), to);
}

function isSameOrder(one: Permutation, other: Permutation): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
