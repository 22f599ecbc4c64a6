import {
  connectionsOf,
  contiguousGrouping,
  fillWeight,
  type GroupBlock,
  identityPermutation,
  inferShapes,
  type NodeOf,
  reshapeWeight,
  type Shape,
  type SharedInputsGrouping,
  takeWeight,
  type UnequalGrouping,
  type Weight,
} from '@dgconv/core';
import { graphPass } from './pass.js';
import { type RewriteContext, rewriteNodes } from './rewrite.js';

/**
 * For formats that know equal groups only: shared inputs become a `take` that gathers each group's inputs, and a grouped
 * convolution; unequal groups become one grouped convolution for each run of groups of one size, on a slice of the input, and a
 * concatenation. The groups are runs of channels already (`separateShuffles`).
 *
 * before: `y = conv2d x {unequal 4+4+2}` · after: `a = slice x 0..8` `b = conv2d a {equal G=2}` `c = slice x 8..10` `d = conv2d c` `y = concat b d`
 */
export const lowerGroups = graphPass('lower-groups', (graph) => {
  const shapes = inferShapes(graph);
  return rewriteNodes(graph, (node, context) => {
    if (node.op !== 'conv2d') return context.emit(node);
    const { connectivity } = node.attrs;
    if (connectivity.kind === 'shared-inputs') return gatherInputs(node, connectivity, context);
    if (connectivity.kind === 'unequal') return splitIntoBuckets(node, connectivity, shapes, context);
    return context.emit(node);
  });
});

function gatherInputs(
  node: NodeOf<'conv2d'>,
  { channelsOut, classes, groups }: SharedInputsGrouping,
  { emit, freshId }: RewriteContext,
): string {
  const indices = classes.flatMap(({ inputs }) => inputs);
  const gathered = emit({
    id: freshId(`${node.id}.inputs`),
    op: 'take',
    inputs: [node.inputs[0]!],
    attrs: { axis: 3, indices },
    weights: {},
    origin: node.origin,
  });
  const { preScale, preShift, ...others } = node.weights;
  const channelsIn = indices.length;
  const vector = (of: Weight): Weight => takeWeight(of, 0, indices, -1);
  return emit({
    ...node,
    inputs: [gathered, ...node.inputs.slice(1)],
    attrs: { ...node.attrs, connectivity: contiguousGrouping(channelsOut, channelsIn, groups) },
    weights: {
      // Rows in order, in each the inputs of its class ascending: as the grouped kernel has them.
      ...others,
      ...(preScale === undefined ? {} : { preScale: vector(preScale) }),
      ...(preShift === undefined ? {} : { preShift: vector(preShift) }),
    },
  });
}

/** Groups of one size side by side. */
interface Bucket {
  readonly groups: number;
  readonly firstInput: number;
  readonly inputs: number;
  readonly firstOutput: number;
  readonly outputs: number;
}

function splitIntoBuckets(
  node: NodeOf<'conv2d'>,
  grouping: UnequalGrouping,
  shapes: ReadonlyMap<string, Shape>,
  { emit, freshId }: RewriteContext,
): string {
  const [input, residual] = node.inputs as [string, string?];
  const [inputShape, outputShape] = [shapes.get(input)!, shapes.get(node.id)!];
  const kernelSize = node.attrs.kernelSize;
  // One row a pair, whether or not all outputs have equally many inputs.
  const pairKernel = reshapeWeight(node.weights.kernel, [connectionsOf(grouping), ...kernelSize]);
  let firstPair = 0;
  const buckets = bucketsOf(grouping);
  const parts = buckets.map((bucket, index) => {
    const pairs = (bucket.inputs * bucket.outputs) / bucket.groups;
    const kernel = bucketKernel(pairKernel, firstPair, bucket, kernelSize);
    firstPair += pairs;
    // A bucket without inputs still needs one to be computed from; its kernel is zero.
    const channelsIn = Math.max(bucket.inputs, 1);
    const firstInput = Math.min(bucket.firstInput, inputShape[3]! - channelsIn);
    const slice = (value: string, shape: Shape, start: number, size: number, name: string): string =>
      start === 0 && size === shape[3]
        ? value
        : emit({
            id: freshId(`${node.id}.${name}${index}`),
            op: 'slice',
            inputs: [value],
            attrs: { starts: [0, 0, 0, start], sizes: shape.with(3, size), steps: [1, 1, 1, 1] },
            weights: {},
            origin: node.origin,
          });
    const vector = (of: Weight | undefined, start: number, size: number): Weight | undefined =>
      of === undefined
        ? undefined
        : takeWeight(
            of,
            0,
            identityPermutation(size).map((channel) => start + channel),
            -1,
          );
    const bias = vector(node.weights.bias, bucket.firstOutput, bucket.outputs);
    const preScale = vector(node.weights.preScale, firstInput, channelsIn);
    const preShift = vector(node.weights.preShift, firstInput, channelsIn);
    return emit({
      // Under the convolution's own name where it stays one.
      id: buckets.length === 1 ? node.id : freshId(`${node.id}.bucket${index}`),
      op: 'conv2d',
      inputs: [
        slice(input, inputShape, firstInput, channelsIn, 'input'),
        ...(residual === undefined
          ? []
          : [slice(residual, outputShape, bucket.firstOutput, bucket.outputs, 'residual')]),
      ],
      attrs: { ...node.attrs, connectivity: contiguousGrouping(bucket.outputs, channelsIn, bucket.groups) },
      weights: {
        kernel,
        ...(bias === undefined ? {} : { bias }),
        ...(preScale === undefined ? {} : { preScale }),
        ...(preShift === undefined ? {} : { preShift }),
      },
      origin: node.origin,
    });
  });
  if (parts.length === 1) return parts[0]!;
  return emit({ id: node.id, op: 'concat', inputs: parts, attrs: { axis: 3 }, weights: {}, origin: node.origin });
}

/** The rows of the pairs of one bucket as a grouped kernel `[O, I/G, kh, kw]`. */
function bucketKernel(
  kernel: Weight,
  firstPair: number,
  { groups, inputs, outputs }: Bucket,
  kernelSize: readonly [number, number],
): Weight {
  if (inputs === 0) return fillWeight([outputs, 1, ...kernelSize], 0);
  const count = (inputs * outputs) / groups;
  const pairs = identityPermutation(count).map((pair) => firstPair + pair);
  return reshapeWeight(takeWeight(kernel, 0, pairs, -1), [outputs, inputs / groups, ...kernelSize]);
}

/** Runs of blocks of one size that have outputs; blocks without inputs are one bucket. */
function bucketsOf({ blocks }: UnequalGrouping): Bucket[] {
  const buckets: Bucket[] = [];
  let [firstInput, firstOutput] = [0, 0];
  let previous: GroupBlock | undefined;
  for (const block of byOutput(blocks)) {
    const { inputs, outputs } = block;
    const last = buckets.at(-1);
    const isAlike = previous?.inputs.length === inputs.length && previous.outputs.length === outputs.length;
    firstInput = inputs[0] ?? firstInput;
    if (last !== undefined && isAlike && (inputs.length === 0 || firstInput === last.firstInput + last.inputs)) {
      const groups = inputs.length === 0 ? 1 : last.groups + 1;
      buckets[buckets.length - 1] = {
        ...last,
        groups,
        inputs: last.inputs + inputs.length,
        outputs: last.outputs + outputs.length,
      };
    } else {
      buckets.push({ groups: 1, firstInput, inputs: inputs.length, firstOutput, outputs: outputs.length });
    }
    firstOutput += outputs.length;
    previous = block;
  }
  return buckets;
}

/** Blocks that have outputs, by their first one. */
function byOutput(blocks: readonly GroupBlock[]): GroupBlock[] {
  return blocks.filter(({ outputs }) => outputs.length > 0).sort((a, b) => a.outputs[0]! - b.outputs[0]!);
}
