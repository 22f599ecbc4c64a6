import {
  type GroupBlock,
  type Grouping,
  blocksOf,
  elementCount,
  expandWeight,
  identityPermutation,
  inferShapes,
  invertPermutation,
  isIdentityPermutation,
  type NodeOf,
  type Permutation,
  reorderGrouping,
  reorderWeight,
  takeWeight,
} from '@dgconv/core';
import type { FormCosts } from './form-costs.js';
import { graphPass, type Pass } from './pass.js';
import { type RewriteContext, rewriteNodes } from './rewrite.js';

/**
 * Where the groups of a convolution are still not runs of channels, the channels are moved by a `take` before or after it: only on
 * the side that needs it, on both where neither is in order. Inputs that classes share (CondenseNet) are gathered anyway; of their
 * outputs the classes become runs.
 *
 * before: `y = conv2d x {equal 0 2 | 1 3 → 0 1 | 2 3}` · after: `x' = take x 0 2 1 3` `y = conv2d x' {equal 0 1 | 2 3}`
 * @param anywhere - kinds of groupings that the target gathers and scatters itself.
 * @param costs - where moving the channels costs more than the groups save, the convolution becomes dense instead.
 */
export function separateShuffles(anywhere: ReadonlySet<Grouping['kind']>, costs: FormCosts): Pass {
  return graphPass('separate-shuffles', (graph) => {
    const shapes = inferShapes(graph);
    const inputPixels = new Map(
      graph.nodes.map(({ id, inputs }) => [id, elementCount(shapes.get(inputs[0] ?? id)!.slice(1, 3))]),
    );
    return rewriteNodes(graph, (node, context) => {
      if (node.op !== 'conv2d' || anywhere.has(node.attrs.connectivity.kind as Grouping['kind']))
        return context.emit(node);
      const orders = contiguousOrders(node);
      if (orders === undefined) return context.emit(node);
      const pixels = elementCount(shapes.get(node.id)!.slice(1, 3));
      return isWorthMoving(node, orders, pixels, inputPixels.get(node.id)!, costs)
        ? emitShuffled(node, orders, context)
        : context.emit(asDense(node));
    });
  });
}

/** Whether the groups with their moves are predicted to be faster than a dense convolution with zeros. */
function isWorthMoving(
  { attrs }: NodeOf<'conv2d'>,
  orders: Orders,
  pixels: number,
  inputPixels: number,
  costs: FormCosts,
): boolean {
  const { connectivity, kernelSize } = attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return true;
  const { channelsIn, channelsOut } = connectivity;
  const taps = pixels * elementCount(kernelSize);
  const grouped = (blocksOf(connectivity) ?? []).reduce((sum, { inputs, outputs }) => {
    const size = Math.min(inputs.length, outputs.length);
    return size === 0 ? sum : sum + costs.convolution(inputs.length * outputs.length, taps, size);
  }, 0);
  const moves = [
    ...(isIdentityPermutation(orders.inputs) ? [] : [inputPixels * channelsIn]),
    ...(isIdentityPermutation(orders.outputs) ? [] : [pixels * channelsOut]),
  ];
  const moved = costs.start(moves.length) + moves.reduce((sum, values) => sum + costs.move(values), 0);
  const dense = costs.convolution(channelsIn * channelsOut, taps, Math.min(channelsIn, channelsOut));
  return grouped + moved < dense;
}

/** The same convolution with zeros where nothing is connected. */
function asDense(node: NodeOf<'conv2d'>): NodeOf<'conv2d'> {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return node;
  const { channelsIn, channelsOut } = connectivity;
  return {
    ...node,
    attrs: { ...node.attrs, connectivity: { kind: 'dense', channelsIn, channelsOut, groups: 1 } },
    weights: { ...node.weights, kernel: expandWeight(node.weights.kernel, connectivity) },
  };
}

interface Orders {
  readonly inputs: Permutation;
  readonly outputs: Permutation;
}

/** Orders of the two sides under which the groups are runs, as few moved as possible; undefined if they are or have none. */
function contiguousOrders(node: NodeOf<'conv2d'>): Orders | undefined {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return undefined;
  if (connectivity.kind === 'dense' || connectivity.kind === 'unstructured') return undefined;
  const { channelsIn, channelsOut } = connectivity;
  const blocks = blocksOf(connectivity)!;
  const sides = { inputs: connectivity.kind !== 'shared-inputs', outputs: connectivity.kind !== 'shared-outputs' };
  const inputRuns = sides.inputs ? runOrder(blocks, 'inputs') : undefined;
  const outputRuns = sides.outputs ? runOrder(blocks, 'outputs') : undefined;
  const order = inputRuns ?? outputRuns ?? blocks.map((_, block) => block);
  const flat = (side: 'inputs' | 'outputs', channels: number): Permutation =>
    sides[side] ? order.flatMap((block) => blocks[block]![side]) : identityPermutation(channels);
  const orders = { inputs: flat('inputs', channelsIn), outputs: flat('outputs', channelsOut) };
  return isIdentityPermutation(orders.inputs) && isIdentityPermutation(orders.outputs) ? undefined : orders;
}

/** The blocks by their first channel, if each is a run of channels; blocks without channels come last. */
function runOrder(blocks: readonly GroupBlock[], side: 'inputs' | 'outputs'): readonly number[] | undefined {
  const first = (block: number): number => blocks[block]![side][0] ?? Infinity;
  const order = blocks.map((_, block) => block).sort((a, b) => (first(a) === first(b) ? a - b : first(a) - first(b)));
  return isIdentityPermutation(order.flatMap((block) => blocks[block]![side])) ? order : undefined;
}

function emitShuffled(node: NodeOf<'conv2d'>, orders: Orders, { emit, freshId }: RewriteContext): string {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked' || connectivity.kind === 'learned') {
    throw new Error(`internal: the groups of ${node.id} are not known yet`);
  }
  const move = (value: string, base: string, indices: Permutation): string =>
    isIdentityPermutation(indices)
      ? value
      : emit({
          id: freshId(base),
          op: 'take',
          inputs: [value],
          attrs: { axis: 3, indices },
          weights: {},
          origin: node.origin,
        });
  const [input, residual] = node.inputs as [string, string?];
  const vector = (name: 'bias' | 'preScale' | 'preShift', order: Permutation): Partial<typeof node.weights> => {
    const weight = node.weights[name];
    return weight === undefined ? {} : { [name]: takeWeight(weight, 0, order, order.length) };
  };
  const convolution = emit({
    ...node,
    inputs: [
      move(input, `${node.id}.input-order`, orders.inputs),
      ...(residual === undefined ? [] : [move(residual, `${node.id}.residual-order`, orders.outputs)]),
    ],
    attrs: { ...node.attrs, connectivity: reorderGrouping(connectivity, orders.outputs, orders.inputs) },
    weights: {
      ...node.weights,
      kernel: reorderWeight(node.weights.kernel, connectivity, orders.outputs, orders.inputs),
      ...vector('bias', orders.outputs),
      ...vector('preScale', orders.inputs),
      ...vector('preShift', orders.inputs),
    },
  });
  return move(convolution, `${node.id}.output-order`, invertPermutation(orders.outputs));
}
