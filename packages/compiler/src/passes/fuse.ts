import {
  type Activation,
  type Graph,
  inferShapes,
  type Node,
  type NodeOf,
  type Padding,
  sameShape,
} from '@dgconv/core';
import { graphPass } from './pass.js';
import { mergedOrigin, rewriteNodes, usesOf } from './rewrite.js';

/**
 * Joins what is computed in one go: zero padding, a residual addition and an activation become part of the layer that they follow or
 * precede, if nothing else reads the value between. Emitters of formats that cannot say so take them apart again.
 *
 * before: `p = pad x` `c = conv2d p` `s = add c r` `y = relu s` · after: `c = conv2d x r padding=1 activation=relu`
 */
export const fuse = graphPass('fuse', (graph) => fuseActivations(fuseResiduals(fusePadding(graph))));

function fusePadding(graph: Graph): Graph {
  const uses = usesOf(graph);
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  return rewriteNodes(graph, (node, { emit }) => {
    const pad = node.op === 'conv2d' || node.op === 'average-pool' ? byId.get(node.inputs[0]!) : undefined;
    if (pad?.op !== 'pad' || uses.only(pad.id) === undefined) return emit(node);
    const extra = zeroPadding(pad);
    if (extra === undefined) return emit(node);
    const inputs = [pad.inputs[0]!, ...node.inputs.slice(1)];
    const origin = mergedOrigin(pad, node);
    // `pre` would not be applied to the padded zeros.
    if (node.op === 'conv2d' && node.attrs.pre === 'none') {
      return emit({ ...node, inputs, origin, attrs: { ...node.attrs, padding: sum(node.attrs.padding, extra) } });
    }
    if (node.op === 'average-pool' && (node.attrs.countPadding || isNone(node.attrs.padding))) {
      const padding = sum(node.attrs.padding, extra);
      // Runtimes refuse windows that could lie in the padding altogether.
      if (isNarrower(padding, node.attrs.kernelSize)) {
        return emit({ ...node, inputs, origin, attrs: { ...node.attrs, padding, countPadding: true } });
      }
    }
    return emit(node);
  });
}

/** Padding of an image by zeros, or undefined if the pad does something else. */
function zeroPadding({ attrs }: NodeOf<'pad'>): Padding | undefined {
  const { before, after, mode, value } = attrs;
  if (mode !== 'constant' || value !== 0 || before.length !== 4) return undefined;
  if (before[0] !== 0 || after[0] !== 0 || before[3] !== 0 || after[3] !== 0) return undefined;
  return { top: before[1]!, bottom: after[1]!, left: before[2]!, right: after[2]! };
}

function sum(one: Padding, other: Padding): Padding {
  return {
    top: one.top + other.top,
    bottom: one.bottom + other.bottom,
    left: one.left + other.left,
    right: one.right + other.right,
  };
}

function isNarrower({ top, bottom, left, right }: Padding, [height, width]: readonly [number, number]): boolean {
  return Math.max(top, bottom) < height && Math.max(left, right) < width;
}

function isNone({ top, bottom, left, right }: Padding): boolean {
  return top === 0 && bottom === 0 && left === 0 && right === 0;
}

/** An addition becomes the second input of the later of the two convolutions that it adds. */
function fuseResiduals(graph: Graph): Graph {
  const uses = usesOf(graph);
  const shapes = inferShapes(graph);
  const place = new Map(graph.nodes.map((node, index) => [node.id, index]));
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const additionOf = new Map<string, string>();
  for (const node of graph.nodes) {
    if (node.op !== 'binary' || node.attrs.function !== 'add') continue;
    const [left, right] = node.inputs as [string, string];
    if (left === right || !sameShape(shapes.get(left)!, shapes.get(right)!)) continue;
    const candidates = [left, right].filter((value) => {
      const layer = byId.get(value);
      return layer?.op === 'conv2d' && takesResidual(layer) && uses.only(value) === node;
    });
    const [latest] = candidates.sort((a, b) => place.get(b)! - place.get(a)!);
    if (latest !== undefined) additionOf.set(latest, node.id);
  }
  const waiting = new Map<string, NodeOf<'conv2d'>>();
  return rewriteNodes(graph, (node, { emit }) => {
    if (node.op === 'conv2d' && additionOf.has(node.id)) {
      // Emitted where the addition stands: only there the other operand is sure to exist.
      waiting.set(node.id, node);
      return node.id;
    }
    if (node.op !== 'binary') return emit(node);
    const layer = node.inputs
      .map((value) => waiting.get(value))
      .find((conv) => conv !== undefined && additionOf.get(conv.id) === node.id);
    if (layer === undefined) return emit(node);
    const residual = node.inputs.find((value) => value !== layer.id)!;
    return emit({
      ...layer,
      inputs: [layer.inputs[0]!, residual],
      attrs: { ...layer.attrs, activation: node.attrs.activation },
      origin: mergedOrigin(layer, node),
    });
  });
}

function takesResidual(node: NodeOf<'conv2d'>): boolean {
  return node.inputs.length === 1 && node.attrs.activation.function === 'identity';
}

function fuseActivations(graph: Graph): Graph {
  const uses = usesOf(graph);
  const fused = new Set<string>();
  return rewriteNodes(graph, (node, { emit }) => {
    if (fused.has(node.id)) return node.inputs[0]!;
    const reader = uses.only(node.id);
    if (reader?.op !== 'activation') return emit(node);
    const { activation } = reader.attrs;
    const withActivation = fuseActivation(node, activation);
    if (withActivation === undefined) return emit(node);
    fused.add(reader.id);
    return emit({ ...withActivation, origin: mergedOrigin(node, reader) });
  });
}

/** The layer with an activation computed in it, or undefined if it has one or takes none. */
function fuseActivation(node: Node, activation: Activation): Node | undefined {
  if (node.op !== 'conv2d' && node.op !== 'conv2d-transpose' && node.op !== 'dense' && node.op !== 'binary')
    return undefined;
  if (node.attrs.activation.function !== 'identity') return undefined;
  return { ...node, attrs: { ...node.attrs, activation } } as Node;
}
