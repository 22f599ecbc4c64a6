import { contiguousGrouping, elementCount, type Padding, reshapeWeight, type Shape, type Weight } from '@dgconv/core';
import type { Constant, Dynamic } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { windowOf } from '../onnx-window.js';

const none = { function: 'identity' } as const;

export function Conv(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const kernel = context.constant(1);
  const bias = context.optionalConstant(2);
  const { spatial, shape, weight } = kernelOf(context, x, kernel);
  const groups = context.int('group', 1);
  const [channelsOut = 0, perGroup = 0] = shape;
  if (groups < 1 || channelsOut % groups !== 0 || perGroup * groups !== x.shape[1]) {
    context.refuse(
      `${groups} groups of a kernel of shape [${kernel.shape.join(', ')}] do not fit ${x.shape[1]} channels`,
    );
  }
  const connectivity = contiguousGrouping(channelsOut, perGroup * groups, groups);
  const attrs = {
    ...windowOf(context, x.shape.slice(2), [shape[2]!, shape[3]!]).window,
    connectivity,
    pre: 'none',
    activation: none,
  } as const;
  const weights = { kernel: weight, ...biasOf(context, bias, channelsOut) };
  const inputs = [imageOf(context, x, spatial)];
  return fromImage(context, context.add({ op: 'conv2d', inputs, attrs, weights }), spatial);
}

export function ConvTranspose(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const kernel = context.constant(1);
  const bias = context.optionalConstant(2);
  const { spatial, shape, weight } = kernelOf(context, x, kernel);
  const groups = context.int('group', 1);
  const [channelsIn = 0, perGroup = 0, kernelHeight = 1, kernelWidth = 1] = shape;
  if (groups < 1 || channelsIn % groups !== 0 || channelsIn !== x.shape[1]) {
    context.refuse(
      `${groups} groups of a kernel of shape [${kernel.shape.join(', ')}] do not fit ${x.shape[1]} channels`,
    );
  }
  const channelsOut = perGroup * groups;
  const { strides, dilations, padding, outputPadding } = transposedWindow(context, x.shape.slice(2), [
    kernelHeight,
    kernelWidth,
  ]);
  const attrs = {
    kernelSize: [kernelHeight, kernelWidth],
    strides,
    dilations,
    padding,
    outputPadding,
    channelsIn,
    channelsOut,
    groups,
    activation: none,
  } as const;
  const weights = { kernel: weight, ...biasOf(context, bias, channelsOut) };
  const inputs = [imageOf(context, x, spatial)];
  return fromImage(context, context.add({ op: 'conv2d-transpose', inputs, attrs, weights }), spatial);
}

/** Padding of a transposed convolution, where ONNX gives it, its result's size, or neither. */
function transposedWindow(
  context: OnnxNodeContext,
  input: Shape,
  kernel: readonly [number, number],
): {
  strides: [number, number];
  dilations: [number, number];
  padding: Padding;
  outputPadding: [number, number];
} {
  const spatial = input.length;
  const pair = (name: string, fallback: number): [number, number] => {
    const values = context.ints(name);
    if (values === null || values.length === 0) return [fallback, fallback];
    if (values.length !== spatial) context.refuse(`'${name}' has ${values.length} entries, not ${spatial}`);
    return spatial === 1 ? [name === 'strides' || name === 'dilations' ? 1 : 0, values[0]!] : [values[0]!, values[1]!];
  };
  const strides = pair('strides', 1);
  const dilations = pair('dilations', 1);
  const outputPadding = pair('output_padding', 0);
  const autoPad = context.string('auto_pad', 'NOTSET');
  const pads = context.ints('pads') ?? [];
  const outputShape = context.ints('output_shape');
  const sizes = spatial === 1 ? [1, input[0]!] : input;
  const before: number[] = [];
  const after: number[] = [];
  for (const axis of [0, 1]) {
    const given = spatial === 1 ? axis - 1 : axis;
    const extent = (kernel[axis]! - 1) * dilations[axis]! + 1;
    const unpadded = strides[axis]! * (sizes[axis]! - 1) + outputPadding[axis]! + extent;
    const isSame = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER';
    const wanted =
      given < 0 ? null : (outputShape?.slice(-spatial)[given] ?? (isSame ? sizes[axis]! * strides[axis]! : null));
    if (wanted === null || wanted === undefined) {
      before.push(given < 0 ? 0 : (pads[given] ?? 0));
      after.push(given < 0 ? 0 : (pads[given + spatial] ?? 0));
      continue;
    }
    const total = unpadded - wanted;
    if (total < 0) outputPadding[axis] = outputPadding[axis]! - total;
    const small = Math.floor(Math.max(total, 0) / 2);
    const large = Math.max(total, 0) - small;
    before.push(autoPad === 'SAME_UPPER' ? small : large);
    after.push(autoPad === 'SAME_UPPER' ? large : small);
  }
  const padding = { top: before[0]!, bottom: after[0]!, left: before[1]!, right: after[1]! };
  if (Object.values(padding).some((pixels) => pixels < 0)) context.refuse('negative padding is not supported');
  return { strides, dilations, padding, outputPadding };
}

/** Kernel with two spatial axes: one-dimensional convolutions get a height of 1. */
function kernelOf(
  context: OnnxNodeContext,
  x: Dynamic,
  kernel: Constant,
): { spatial: number; shape: Shape; weight: Weight } {
  const spatial = x.shape.length - 2;
  if (spatial !== 1 && spatial !== 2) context.refuse(`${spatial} spatial dimensions are not supported, only 1 and 2`);
  if (kernel.shape.length !== x.shape.length) {
    context.refuse(
      `a kernel of shape [${kernel.shape.join(', ')}] does not fit a value of ${x.shape.length} dimensions`,
    );
  }
  const declared = context.ints('kernel_shape');
  if (declared !== null && declared.join() !== kernel.shape.slice(2).join()) {
    context.refuse(`'kernel_shape' is [${declared.join(', ')}], the kernel has shape [${kernel.shape.join(', ')}]`);
  }
  if (spatial === 2) return { spatial, shape: kernel.shape, weight: kernel.weight };
  const shape = [kernel.shape[0]!, kernel.shape[1]!, 1, kernel.shape[2]!];
  return { spatial, shape, weight: reshapeWeight(kernel.weight, shape) };
}

function biasOf(context: OnnxNodeContext, bias: Constant | null, channels: number): { bias?: Weight } {
  if (bias === null) return {};
  if (elementCount(bias.shape) !== channels) {
    context.refuse(`a bias of shape [${bias.shape.join(', ')}] does not fit ${channels} channels`);
  }
  return { bias: reshapeWeight(bias.weight, [channels]) };
}

/** The id of x as `[N, H, W, C]`; one-dimensional signals get a height of 1. */
export function imageOf(context: OnnxNodeContext, x: Dynamic, spatial: number): string {
  const id = context.builder.in('last', x);
  if (spatial === 2) return id;
  const [batch = 1, length = 1, channels = 1] = context.builder.shape(id);
  const shape = [batch, 1, length, channels];
  return context.add({ op: 'reshape', inputs: [id], attrs: { shape }, weights: {} }, 'image');
}

/** The ONNX value of an image: the inverse of {@link imageOf}. */
export function fromImage(context: OnnxNodeContext, id: string, spatial: number): Dynamic {
  if (spatial === 2) return context.result('last', id);
  const [batch = 1, , length = 1, channels = 1] = context.builder.shape(id);
  const shape = [batch, length, channels];
  return context.result('last', context.add({ op: 'reshape', inputs: [id], attrs: { shape }, weights: {} }, 'signal'));
}
