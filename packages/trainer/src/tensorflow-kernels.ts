import { invertPermutation } from '@dgconv/core';
import {
  GroupedConv2D,
  type GroupedConv2DAttrs,
  GroupedConv2DFilterGradient,
  type GroupedConv2DFilterGradientAttrs,
  GroupedConv2DInputGradient,
  type GroupedConv2DInputGradientAttrs,
} from './ops/grouped-conv-signatures.js';
import * as tf from './tf.js';

/** An attribute of a TensorFlow op, as tfjs-node's backend takes it. */
interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** What is used of tfjs-node's backend. */
interface NodeBackend {
  readonly binding: Readonly<
    Record<'TF_ATTR_INT' | 'TF_ATTR_STRING' | 'TF_ATTR_TYPE' | 'TF_ATTR_BOOL' | 'TF_FLOAT', number>
  >;
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: tf.TensorInfo[]): tf.Tensor;
}

type Operation<Attrs> = (inputs: Record<string, tf.Tensor4D>, attrs: Attrs, backend: NodeBackend) => tf.Tensor;

/**
 * Lets TensorFlow's own kernels do the grouped convolutions: they take grouped filters, which tfjs's checks refuse. What they
 * cannot, gradients of dilated convolutions, stays with the plain kernels.
 */
export function registerTensorflowKernels(): void {
  register<GroupedConv2DAttrs>(GroupedConv2D, ({ x, filter }, attrs, backend) => {
    const y = run(backend, 'Conv2D', attrs, [padded(toPositions(x!, attrs.inputOrder), attrs), filter!]);
    return toChannels(y, attrs.outputOrder);
  });
  register<GroupedConv2DInputGradientAttrs>(GroupedConv2DInputGradient, ({ dy, filter }, attrs, backend) => {
    const [batch, height, width, channels] = attrs.inputShape as [number, number, number, number];
    const [top, bottom, left, right] = attrs.padding;
    const sizes = tf.tensor1d([batch, height + top + bottom, width + left + right, channels], 'int32');
    const dx = run(backend, 'Conv2DBackpropInput', attrs, [sizes, filter!, toPositions(dy!, attrs.outputOrder)]);
    return toChannels(tf.slice(dx, [0, top, left, 0], [batch, height, width, channels]), attrs.inputOrder);
  });
  register<GroupedConv2DFilterGradientAttrs>(GroupedConv2DFilterGradient, ({ x, dy }, attrs, backend) => {
    const { inputOrder, inputGroups, groups } = attrs;
    const groupIn = x!.shape[3] / groups;
    const order = inputOrder ?? Array.from({ length: x!.shape[3] }, (_, channel) => channel);
    const paired = inputGroups?.flatMap((group) => order.slice(group * groupIn, (group + 1) * groupIn)) ?? inputOrder;
    const sizes = tf.tensor1d([...attrs.filterShape], 'int32');
    const inputs = [padded(toPositions(x!, paired), attrs), sizes, toPositions(dy!, attrs.outputOrder)];
    return run(backend, 'Conv2DBackpropFilter', attrs, inputs);
  });
}

function register<Attrs extends GroupedConv2DAttrs>(kernelName: string, operation: Operation<Attrs>): void {
  const backendName = 'tensorflow';
  const plain = tf.getKernel(kernelName, backendName);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    kernelName,
    backendName,
    kernelFunc: (call) => {
      const attrs = call.attrs as unknown as Attrs;
      const isGradient = kernelName !== GroupedConv2D;
      if (isGradient && attrs.dilations.some((step) => step > 1)) return plain.kernelFunc(call);
      const inputs = call.inputs as unknown as Record<string, tf.Tensor4D>;
      return tf.tidy(() => operation(inputs, attrs, call.backend as NodeBackend));
    },
  });
}

function run(
  backend: NodeBackend,
  name: string,
  { strides, dilations }: GroupedConv2DAttrs,
  inputs: tf.Tensor[],
): tf.Tensor4D {
  const { binding } = backend;
  const integers = (attribute: string, value: readonly number[]): OpAttribute => ({
    name: attribute,
    type: binding.TF_ATTR_INT,
    value,
  });
  const text = (attribute: string, value: string): OpAttribute => ({
    name: attribute,
    type: binding.TF_ATTR_STRING,
    value,
  });
  const attributes = [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    integers('strides', [1, ...strides, 1]),
    integers('dilations', [1, ...dilations, 1]),
    text('padding', 'VALID'),
    text('data_format', 'NHWC'),
    { name: 'use_cudnn_on_gpu', type: binding.TF_ATTR_BOOL, value: false },
  ];
  return backend.executeSingleOutput(name, attributes, inputs) as tf.Tensor4D;
}

/** Zeros around x, because TensorFlow has no grouped gradients with padding of its own. */
function padded(x: tf.Tensor4D, { padding: [top, bottom, left, right] }: GroupedConv2DAttrs): tf.Tensor4D {
  if (top + bottom + left + right === 0) return x;
  return tf.pad(x, [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
}

/** Channels in place → channels by position. */
function toPositions(x: tf.Tensor4D, order: readonly number[] | null): tf.Tensor4D {
  return order ? tf.gather(x, [...order], 3) : x;
}

/** The inverse of {@link toPositions}. */
function toChannels(x: tf.Tensor4D, order: readonly number[] | null): tf.Tensor4D {
  return order ? tf.gather(x, [...invertPermutation(order)], 3) : x;
}
