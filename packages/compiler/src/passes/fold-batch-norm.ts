import {
  addWeights,
  type Connectivity,
  fillWeight,
  inverseRootWeight,
  multiplyWeights,
  type Node,
  type NodeOf,
  type OpKind,
  reshapeWeight,
  scaleOutputsWeight,
  scaleWeight,
  subtractWeights,
  transposeWeight,
  type Weight,
} from '@dgconv/core';
import { graphPass } from './pass.js';
import { mergedOrigin, rewriteNodes, type Uses, usesOf } from './rewrite.js';

/** `scale · x + shift` per channel, as expressions of vectors `[channels]`. */
interface Affine {
  readonly channels: number;
  readonly scale: Weight;
  readonly shift: Weight;
}

/**
 * Batch norm at inference is one multiplication and one addition a channel. Both vanish in the kernel and the bias of the
 * convolution or dense layer before it, if nothing else reads that layer; otherwise an `affine` stays.
 *
 * before: `y = conv2d x kernel=w` `z = batch-norm y` · after: `y = conv2d x kernel=scale-outputs(w, γ/√(σ²+ε)) bias=β-μ·γ/√(σ²+ε)`
 */
export const foldBatchNorm = graphPass('fold-batch-norm', (graph) => {
  const uses = usesOf(graph);
  const folded = new Set<string>();
  return rewriteNodes(graph, (node, { emit }) => {
    if (folded.has(node.id)) return node.inputs[0]!;
    let result = node;
    for (let follower = nextAffine(node, uses); follower !== undefined; follower = nextAffine(follower, uses)) {
      const affine = affineOf(follower)!;
      const scaled = scaleLayer(result, affine);
      if (scaled === undefined) break;
      result = { ...scaled, origin: mergedOrigin(result, follower) };
      folded.add(follower.id);
    }
    return emit(result.op === 'batch-norm' ? affineNode(result) : result);
  });
});

/** The batch norm or affine that is the only reader of a node. */
function nextAffine(node: Node, uses: Uses): Node | undefined {
  const reader = uses.only(node.id);
  return reader !== undefined && affineOf(reader) !== undefined ? reader : undefined;
}

function affineOf(node: Node): Affine | undefined {
  if (node.op === 'affine') return { channels: node.attrs.channels, ...node.weights };
  if (node.op !== 'batch-norm') return undefined;
  const { channels, epsilon } = node.attrs;
  const { gamma, beta, mean, variance } = node.weights;
  const scale = multiplyWeights(gamma ?? fillWeight([channels], 1), inverseRootWeight(variance, epsilon));
  return { channels, scale, shift: subtractWeights(beta ?? fillWeight([channels], 0), multiplyWeights(mean, scale)) };
}

function affineNode(node: NodeOf<'batch-norm'>): NodeOf<'affine'> {
  const { scale, shift } = affineOf(node)!;
  const { id, inputs, origin } = node;
  return { id, op: 'affine', inputs, attrs: { channels: node.attrs.channels }, weights: { scale, shift }, origin };
}

type ScaleRule<K extends OpKind> = (node: NodeOf<K>, affine: Affine) => Node | undefined;

/** The ops that can take an affine of their outputs into their weights. */
const scaleRules: { readonly [K in OpKind]?: ScaleRule<K> } = {
  conv2d: (node, affine) => {
    const { connectivity, activation } = node.attrs;
    if (activation.function !== 'identity' || node.inputs.length > 1 || connectivity.kind === 'learned')
      return undefined;
    const kernel = scaleOutputs(node.weights.kernel, connectivity, affine.scale);
    return { ...node, weights: { ...node.weights, kernel, bias: scaledBias(node.weights.bias, affine) } };
  },
  'conv2d-transpose': (node, affine) => {
    if (node.attrs.activation.function !== 'identity') return undefined;
    const kernel = scaleTransposedKernel(node, affine.scale);
    return { ...node, weights: { kernel, bias: scaledBias(node.weights.bias, affine) } };
  },
  dense: (node, affine) => {
    if (node.attrs.activation.function !== 'identity') return undefined;
    const kernel = scaleWeight(node.weights.kernel, 0, affine.scale);
    return { ...node, weights: { kernel, bias: scaledBias(node.weights.bias, affine) } };
  },
  affine: scaleAffine,
  'batch-norm': scaleAffine,
};

/** The layer with an affine of its outputs folded in, or undefined if it cannot take one. */
function scaleLayer(node: Node, affine: Affine): Node | undefined {
  // The table is indexed by the op of the same node that the rule gets.
  return (scaleRules[node.op] as ((node: Node, affine: Affine) => Node | undefined) | undefined)?.(node, affine);
}

function scaledBias(bias: Weight | undefined, { channels, scale, shift }: Affine): Weight {
  return addWeights(multiplyWeights(bias ?? fillWeight([channels], 0), scale), shift);
}

function scaleAffine(node: NodeOf<'affine'> | NodeOf<'batch-norm'>, affine: Affine): NodeOf<'affine'> {
  const first = affineOf(node)!;
  const { id, inputs, origin } = node;
  const weights = {
    scale: multiplyWeights(first.scale, affine.scale),
    shift: addWeights(multiplyWeights(first.shift, affine.scale), affine.shift),
  };
  return { id, op: 'affine', inputs, attrs: { channels: first.channels }, weights, origin };
}

function scaleOutputs(kernel: Weight, connectivity: Exclude<Connectivity, { kind: 'learned' }>, by: Weight): Weight {
  return connectivity.kind === 'masked' ? scaleWeight(kernel, 0, by) : scaleOutputsWeight(kernel, connectivity, by);
}

/** Kernel `[I, O/G, kh, kw]` of a transposed convolution, scaled by output: through `[O, I/G, kh, kw]`, where outputs are one axis. */
function scaleTransposedKernel(node: NodeOf<'conv2d-transpose'>, by: Weight): Weight {
  const { channelsIn, channelsOut, groups, kernelSize } = node.attrs;
  if (groups === 1) return scaleWeight(node.weights.kernel, 1, by);
  const [inputs, outputs] = [channelsIn / groups, channelsOut / groups];
  const swap = (of: Weight, from: number, to: number): Weight =>
    transposeWeight(reshapeWeight(of, [groups, from, to, ...kernelSize]), [0, 2, 1, 3, 4]);
  const outputMajor = reshapeWeight(swap(node.weights.kernel, inputs, outputs), [channelsOut, inputs, ...kernelSize]);
  return reshapeWeight(swap(scaleWeight(outputMajor, 0, by), outputs, inputs), [channelsIn, outputs, ...kernelSize]);
}
