import {
  activationFunction,
  addWeights,
  compactWeight,
  contractInputsWeight,
  elementCount,
  expandWeight,
  fillWeight,
  hardGrouping,
  inferShapes,
  literalWeight,
  type Model,
  type Node,
  type NodeOf,
  type OpKind,
  type Padding,
  readWeight,
  type Shape,
  supportsOf,
  type Weight,
  type WeightSource,
} from '@dgconv/core';

/** `[C]`: the value that a channel has at every pixel, whatever the input; NaN where it depends on the input. */
export type Constants = Float64Array;

/**
 * Follows the channels that are constant because an output is connected to nothing. A layer can take a constant input into its bias
 * where that is exact: with zero padding only if the constant is 0, because at the border the layer would see 0 instead.
 * @returns by layer that could, `[channelsIn]`: the constants, NaN for inputs that it has to read.
 */
export function foldableConstants({ graph, weights }: Model): ReadonlyMap<string, Constants> {
  const shapes = inferShapes(graph);
  const constants = new Map<string, Constants>();
  const foldable = new Map<string, Constants>();
  for (const { name } of graph.inputs) constants.set(name, unknown(shapes.get(name)!));
  for (const node of graph.nodes) {
    const context: Context = {
      inputs: node.inputs.map((value) => constants.get(value)!),
      inputShapes: node.inputs.map((value) => shapes.get(value)!),
      outputShape: shapes.get(node.id)!,
      weights,
      mayFold: (inputs) => void foldable.set(node.id, inputs),
    };
    // The table is indexed by the op of the same node that the rule gets.
    const rule = rules[node.op] as ((node: Node, context: Context) => Constants) | undefined;
    constants.set(node.id, rule?.(node, context) ?? unknown(context.outputShape));
  }
  return foldable;
}

interface Context {
  readonly inputs: readonly Constants[];
  readonly inputShapes: readonly Shape[];
  readonly outputShape: Shape;
  readonly weights: WeightSource;
  mayFold(inputs: Constants): void;
}

function unknown(shape: Shape): Constants {
  return new Float64Array(shape.at(-1) ?? 1).fill(NaN);
}

const same = (_: Node, { inputs }: Context): Constants => inputs[0]!;
const onlyZero = (constants: Constants): Constants => constants.map((value) => (value === 0 ? 0 : NaN));

function isNone({ top, bottom, left, right }: Padding): boolean {
  return top === 0 && bottom === 0 && left === 0 && right === 0;
}

/** How constants pass each op; through ops that are not here none does. */
const rules: { readonly [K in OpKind]?: (node: NodeOf<K>, context: Context) => Constants } = {
  conv2d: (node, context) => {
    const { attrs, weights: slots } = node;
    const [input] = context.inputs as [Constants];
    const grouping = hardGrouping(node, context.weights);
    const seen = attrs.pre === 'none' ? input : afterPre(node, input, context.weights);
    const usable = isNone(attrs.padding) ? seen : onlyZero(seen);
    context.mayFold(usable);
    // Kernels are dense until masks are recognised.
    const isCompact = grouping === attrs.connectivity;
    const kernel = expandWeight(isCompact ? slots.kernel : compactWeight(slots.kernel, grouping), grouping);
    const bias = withConstants(slots.bias, grouping.channelsOut, kernel, usable);
    const supports = supportsOf(grouping);
    // Outputs of one group share one array.
    const known = new Set(
      [...new Set(supports)].filter((inputs) => inputs.every((input) => !Number.isNaN(usable[input]))),
    );
    const isConstant = supports.map((inputs) => known.has(inputs));
    if (node.inputs.length > 1 || !isConstant.includes(true)) return unknown(context.outputShape);
    const values = bias === undefined ? new Float32Array(supports.length) : readWeight(bias, context.weights);
    const activation = activationFunction(attrs.activation);
    return Float64Array.from(isConstant, (constant, output) => (constant ? activation(values[output]!) : NaN));
  },
  dense: (_, context) => {
    context.mayFold(context.inputs[0]!);
    return unknown(context.outputShape);
  },
  affine: (node, { inputs, weights }) => {
    const [scale, shift] = [readWeight(node.weights.scale, weights), readWeight(node.weights.shift, weights)];
    return inputs[0]!.map((value, channel) => value * scale[channel]! + shift[channel]!);
  },
  activation: (node, { inputs }) => inputs[0]!.map(activationFunction(node.attrs.activation)),
  prelu: (node, { inputs, weights }) => {
    const slope = readWeight(node.weights.slope, weights);
    return inputs[0]!.map((value, channel) => (value < 0 ? value * slope[channel]! : value));
  },
  'max-pool': same,
  'average-pool': ({ attrs }, { inputs }) =>
    isNone(attrs.padding) || !attrs.countPadding ? inputs[0]! : onlyZero(inputs[0]!),
  resize: same,
  identity: same,
  dropout: same,
  reduce: ({ attrs }, { inputs, inputShapes: [shape], outputShape }) => {
    if (attrs.axes.includes(shape!.length - 1)) return unknown(outputShape);
    const count = attrs.function === 'sum' ? elementCount(attrs.axes.map((axis) => shape![axis]!)) : 1;
    return inputs[0]!.map((value) => value * count);
  },
  reshape: (_, { inputs, inputShapes: [shape], outputShape }) =>
    shape!.at(-1) === outputShape.at(-1) ? inputs[0]! : unknown(outputShape),
  concat: ({ attrs }, { inputs, outputShape }) =>
    attrs.axis === outputShape.length - 1
      ? Float64Array.from(inputs.flatMap((constants) => [...constants]))
      : unknown(outputShape),
  slice: ({ attrs }, { inputs, outputShape }) =>
    Float64Array.from(
      { length: outputShape.at(-1) ?? 1 },
      (_, channel) => inputs[0]![attrs.starts.at(-1)! + channel * attrs.steps.at(-1)!]!,
    ),
  take: ({ attrs }, { inputs, outputShape }) =>
    attrs.axis === outputShape.length - 1
      ? Float64Array.from(attrs.indices, (index) => inputs[0]![index]!)
      : inputs[0]!,
  pad: ({ attrs }, { inputs, outputShape }) =>
    attrs.before.at(-1) === 0 && attrs.after.at(-1) === 0
      ? inputs[0]!.map((value) => (attrs.mode !== 'constant' || value === attrs.value ? value : NaN))
      : unknown(outputShape),
};

/** What a convolution makes of constants before it sums. */
function afterPre(node: NodeOf<'conv2d'>, input: Constants, weights: WeightSource): Constants {
  const scale = readWeight(node.weights.preScale!, weights);
  const shift = readWeight(node.weights.preShift!, weights);
  return input.map((value, channel) => Math.max(value * scale[channel]! + shift[channel]!, 0));
}

/** A bias with the contribution of constant inputs to a dense kernel `[O, I, …]`; NaN and 0 contribute nothing. */
export function withConstants(
  bias: Weight | undefined,
  channelsOut: number,
  kernel: Weight,
  constants: Constants,
): Weight | undefined {
  const values = Array.from(constants, (value) => (Number.isNaN(value) ? 0 : value));
  if (values.every((value) => value === 0)) return bias;
  const contribution = contractInputsWeight(kernel, literalWeight([values.length], values));
  return addWeights(bias ?? fillWeight([channelsOut], 0), contribution);
}
