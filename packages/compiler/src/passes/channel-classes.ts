import {
  composePermutations,
  type Graph,
  identityPermutation,
  inferShapes,
  invertPermutation,
  isIdentityPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  type Permutation,
  type Shape,
} from '@dgconv/core';
import { isMergeOfLast } from './apply-orders.js';

/**
 * Values whose channels have to be stored in one order, because an op ties each channel of one to a channel of the other: a weighted
 * union-find over relative permutations. Channel c of a value is channel `channelsOf(value)[c]` of its class.
 */
export class ChannelClasses {
  /** For each value: the value that it is tied to, and where its channels are there. A root is tied to itself. */
  readonly #links = new Map<string, { readonly parent: string; readonly channels: Permutation }>();
  readonly #fixed = new Set<string>();

  /** The class that a value belongs to, by the name of one of its values. */
  classOf(value: string): string {
    return this.#find(value).root;
  }

  /** `[C]`: the channel of the class that each channel of the value is. */
  channelsOf(value: string): Permutation {
    return this.#find(value).channels;
  }

  /** Classes of values that have to stay as the source network has them. */
  isFixed(classId: string): boolean {
    return this.#fixed.has(classId);
  }

  add(value: string, channels: number): void {
    this.#links.set(value, { parent: value, channels: identityPermutation(channels) });
  }

  /** Channel c of `value` is channel `map[c]` of `other`. What contradicts earlier ties is left to a `take`. */
  tie(value: string, other: string, map: Permutation): void {
    const [mine, theirs] = [this.#find(value), this.#find(other)];
    if (mine.root === theirs.root) return;
    // My root's channel r is, through value and other, their root's channel theirs[map[mine⁻¹[r]]].
    const channels = composePermutations(composePermutations(theirs.channels, map), invertPermutation(mine.channels));
    if (this.#fixed.has(mine.root)) {
      // Two fixed classes stay apart unless they agree; a fixed class stays a root, so that its order is that of its channels.
      if (this.#fixed.has(theirs.root)) {
        if (isIdentityPermutation(channels)) this.#links.set(theirs.root, { parent: mine.root, channels });
        return;
      }
      this.#links.set(theirs.root, { parent: mine.root, channels: invertPermutation(channels) });
    } else {
      this.#links.set(mine.root, { parent: theirs.root, channels });
    }
  }

  /** The value keeps its order: it is at the border of the graph, or an op needs it so. */
  fix(value: string): void {
    const { root, channels } = this.#find(value);
    if (this.#fixed.has(root)) return;
    // Make this value the root, so that the order of the class is the order of its channels.
    if (root !== value) {
      this.#links.set(root, { parent: value, channels: invertPermutation(channels) });
      this.#links.set(value, { parent: value, channels: identityPermutation(channels.length) });
    }
    this.#fixed.add(value);
  }

  #find(value: string): { readonly root: string; readonly channels: Permutation } {
    const link = this.#links.get(value);
    if (link === undefined) throw new Error(`internal: the value ${value} is in no class`);
    if (link.parent === value) return { root: value, channels: link.channels };
    const above = this.#find(link.parent);
    const channels = composePermutations(above.channels, link.channels);
    this.#links.set(value, { parent: above.root, channels });
    return { root: above.root, channels };
  }
}

/** Classes of a graph's values, and the values whose order follows from other values' orders. */
export function channelClasses(graph: Graph): ChannelClasses {
  const shapes = inferShapes(graph);
  const classes = new ChannelClasses();
  for (const [value, shape] of shapes) classes.add(value, shape.at(-1) ?? 1);
  for (const { name } of graph.inputs) classes.fix(name);
  for (const { value } of graph.outputs) classes.fix(value);
  const tying: Tying = {
    classes,
    shapeOf: (value) => shapes.get(value)!,
    together: (value, other) => {
      const channels = shapes.get(value)!.at(-1);
      if (channels === shapes.get(other)!.at(-1)) classes.tie(value, other, identityPermutation(channels ?? 1));
    },
    fix: (node) => {
      for (const value of [node.id, ...node.inputs]) classes.fix(value);
    },
  };
  // Fixed values first: a class can only be fixed in the order of one of its values.
  for (const node of graph.nodes) if (isRigid(node, tying)) tying.fix(node);
  for (const node of graph.nodes) {
    // The table is indexed by the op of the same node that the rule gets.
    if (!isRigid(node, tying)) (rules[node.op] as (node: Node, tying: Tying) => void)(node, tying);
  }
  return classes;
}

interface Tying {
  readonly classes: ChannelClasses;
  shapeOf(value: string): Shape;
  /** Same channels in the same order, where there are equally many. */
  together(value: string, other: string): void;
  fix(node: Node): void;
}

type TieRule<K extends OpKind> = (node: NodeOf<K>, tying: Tying) => void;

const perChannel = (node: Node, { together }: Tying): void => {
  for (const input of node.inputs) together(node.id, input);
};
const free = (): void => undefined;

type RigidRule<K extends OpKind> = (node: NodeOf<K>, input: Shape, output: Shape) => boolean;

/** The ops that can be in the way of every order (see `applyOrders`), and when they are. */
const rigidRules: { readonly [K in OpKind]?: RigidRule<K> } = {
  'conv2d-transpose': ({ attrs }) => attrs.groups > 1,
  reduce: ({ attrs }, input) => attrs.axes.includes(input.length - 1),
  slice: ({ attrs }, input) => attrs.sizes.at(-1) !== input.at(-1),
  pad: ({ attrs }) => attrs.before.at(-1) !== 0 || attrs.after.at(-1) !== 0,
  transpose: ({ attrs }) => attrs.permutation.at(-1) !== attrs.permutation.length - 1,
  reshape: (_, input, output) => input.at(-1) !== output.at(-1) && !isMergeOfLast(input, output),
};

function isRigid(node: Node, { shapeOf }: Tying): boolean {
  const [input] = node.inputs;
  if (input === undefined) return false;
  // The table is indexed by the op of the same node that the rule gets.
  const rule = rigidRules[node.op] as ((node: Node, input: Shape, output: Shape) => boolean) | undefined;
  return rule?.(node, shapeOf(input), shapeOf(node.id)) ?? false;
}

/** What each op ties; `isRigid` ops do not get here. */
const rules: { readonly [K in OpKind]: TieRule<K> } = {
  conv2d: (node, { classes, together }) => {
    const { connectivity } = node.attrs;
    if (node.inputs[1] !== undefined) together(node.id, node.inputs[1]);
    if (connectivity.kind !== 'equal' || connectivity.groups !== connectivity.channelsIn) return;
    if (connectivity.channelsOut !== connectivity.channelsIn) return;
    // Depthwise: output outputOrder[g] is input inputOrder[g].
    const map = composePermutations(connectivity.inputOrder, invertPermutation(connectivity.outputOrder));
    classes.tie(node.id, node.inputs[0]!, map);
  },
  'conv2d-transpose': free,
  dense: free,
  matmul: (node, { classes, together }) => {
    classes.fix(node.inputs[0]!);
    together(node.id, node.inputs[1]!);
  },
  'batch-norm': perChannel,
  affine: perChannel,
  activation: perChannel,
  prelu: perChannel,
  binary: perChannel,
  constant: free,
  softmax: perChannel,
  'max-pool': perChannel,
  'average-pool': perChannel,
  reduce: perChannel,
  concat: (node, { shapeOf, together }) => {
    const isAlongChannels = node.attrs.axis === shapeOf(node.id).length - 1;
    if (!isAlongChannels) for (const input of node.inputs) together(node.id, input);
  },
  slice: perChannel,
  pad: perChannel,
  resize: perChannel,
  transpose: perChannel,
  reshape: perChannel,
  take: (node, { classes, shapeOf, together }) => {
    const [input] = node.inputs as [string];
    if (node.attrs.axis !== shapeOf(input).length - 1) return together(node.id, input);
    const { indices } = node.attrs;
    if (indices.length === shapeOf(input).at(-1) && new Set(indices).size === indices.length) {
      classes.tie(node.id, input, indices);
    }
  },
  identity: perChannel,
  dropout: perChannel,
};
