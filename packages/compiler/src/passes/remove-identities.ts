import {
  inferShapes,
  isIdentityPermutation,
  type Node,
  type NodeOf,
  type OpKind,
  sameShape,
  type Shape,
} from '@dgconv/core';
import { graphPass } from './pass.js';
import { rewriteNodes } from './rewrite.js';

/**
 * Removes what does nothing at inference: identity and dropout, an identity activation, a concat of one value, and slices, pads,
 * reshapes, transposes and takes that give their input back.
 *
 * before: `y = dropout x` … `z = relu y` · after: `z = relu x`
 */
export const removeIdentities = graphPass('remove-identities', (graph) => {
  const shapes = inferShapes(graph);
  return rewriteNodes(graph, (node, { emit }) => (isIdentity(node, shapes) ? node.inputs[0]! : emit(node)));
});

type IdentityRule<K extends OpKind> = (node: NodeOf<K>, input: Shape, output: Shape) => boolean;

/** The ops that can do nothing, and when they do. */
const rules: { readonly [K in OpKind]?: IdentityRule<K> } = {
  identity: () => true,
  dropout: () => true,
  activation: ({ attrs }) => attrs.activation.function === 'identity',
  concat: ({ inputs }) => inputs.length === 1,
  slice: ({ attrs }, input) => sameShape(attrs.sizes, input),
  pad: ({ attrs }) => [...attrs.before, ...attrs.after].every((pixels) => pixels === 0),
  reshape: (_, input, output) => sameShape(input, output),
  transpose: ({ attrs }) => isIdentityPermutation(attrs.permutation),
  take: ({ attrs }, input) => attrs.indices.length === input[attrs.axis] && isIdentityPermutation(attrs.indices),
};

function isIdentity(node: Node, shapes: ReadonlyMap<string, Shape>): boolean {
  const [input] = node.inputs;
  if (input === undefined) return false;
  // The table is indexed by the op of the same node that the rule gets.
  const rule = rules[node.op] as ((node: Node, input: Shape, output: Shape) => boolean) | undefined;
  return rule?.(node, shapes.get(input)!, shapes.get(node.id)!) ?? false;
}
