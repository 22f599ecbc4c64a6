import {
  type Connectivity,
  contiguousGrouping,
  reshapeWeight,
  transposeWeight,
  type Weight,
  type Window,
} from '@dgconv/core';
import { addNamedActivation } from './activations.js';
import type { LayersGraphBuilder } from './builder.js';
import type { LayerConfig } from './fields.js';
import { imageSize, noPadding, windowOf } from './windows.js';

/** A layer's rule: what it makes of its inputs. */
export type LayerRule = (context: LayerContext) => string;

/** A call of a layer. */
export interface LayerContext {
  readonly layer: string;
  readonly config: LayerConfig;
  readonly inputs: readonly string[];
  readonly builder: LayersGraphBuilder;
}

/** Kernel `[kh, kw, I, O]` → `[O, I, kh, kw]`. */
function outputMajor(kernel: Weight): Weight {
  return transposeWeight(kernel, [3, 2, 0, 1]);
}

function channelsOf({ builder, inputs }: LayerContext): number {
  return builder.shape(inputs[0]!).at(-1)!;
}

interface ConvolutionParts {
  readonly window: Window;
  readonly connectivity: Connectivity;
  readonly kernel: Weight;
  readonly deciding?: Readonly<Record<string, Weight>>;
}

/** The convolution, its bias and its activation. */
function addConvolution(context: LayerContext, x: string, parts: ConvolutionParts, hasBias: boolean): string {
  const { builder, layer, config } = context;
  const value = builder.add(layer, {
    op: 'conv2d',
    inputs: [x],
    attrs: {
      ...parts.window,
      connectivity: parts.connectivity,
      pre: 'none',
      activation: { function: 'identity' },
    },
    weights: {
      kernel: parts.kernel,
      ...(hasBias ? { bias: builder.weight(layer, 'bias') } : {}),
      ...parts.deciding,
    },
  });
  return addNamedActivation(builder, layer, value, config);
}

const conv2d: LayerRule = (context) => {
  const { builder, layer, config, inputs } = context;
  const window = windowOf(config, builder.shape(inputs[0]!), 'kernel_size');
  const connectivity = contiguousGrouping(config.count('filters'), channelsOf(context), config.count('groups', 1));
  const kernel = outputMajor(builder.weight(layer, 'kernel'));
  return addConvolution(context, inputs[0]!, { window, connectivity, kernel }, config.boolean('use_bias', true));
};

/** The depthwise convolution of a depthwise or separable layer, kernel `[kh, kw, C, multiplier]`; output c·multiplier + m is input c. */
function depthwiseParts(context: LayerContext): ConvolutionParts {
  const { builder, layer, config, inputs } = context;
  const window = windowOf(config, builder.shape(inputs[0]!), 'kernel_size');
  const channels = channelsOf(context);
  const channelsOut = channels * config.count('depth_multiplier', 1);
  const kernel = transposeWeight(builder.weight(layer, 'depthwise_kernel'), [2, 3, 0, 1]);
  return {
    window,
    connectivity: contiguousGrouping(channelsOut, channels, channels),
    kernel: reshapeWeight(kernel, [channelsOut, 1, ...window.kernelSize]),
  };
}

const depthwiseConv2d: LayerRule = (context) =>
  addConvolution(context, context.inputs[0]!, depthwiseParts(context), context.config.boolean('use_bias', true));

const separableConv2d: LayerRule = (context) => {
  const { builder, layer, config } = context;
  const { window, connectivity, kernel } = depthwiseParts(context);
  const middle = builder.add(layer, {
    op: 'conv2d',
    inputs: [context.inputs[0]!],
    attrs: { ...window, connectivity, pre: 'none', activation: { function: 'identity' } },
    weights: { kernel },
  });
  const pointwise: ConvolutionParts = {
    window: { kernelSize: [1, 1], strides: [1, 1], dilations: [1, 1], padding: noPadding },
    connectivity: contiguousGrouping(config.count('filters'), connectivity.channelsOut, 1),
    kernel: outputMajor(builder.weight(layer, 'pointwise_kernel')),
  };
  return addConvolution(context, middle, pointwise, config.boolean('use_bias', true));
};

const conv2dTranspose: LayerRule = (context) => {
  const { builder, layer, config, inputs } = context;
  config.choice('data_format', ['channels_last'], 'channels_last');
  imageSize(builder.shape(inputs[0]!), config);
  const kernelSize = config.pair('kernel_size', [1, 1]);
  const strides = config.pair('strides', [1, 1]);
  const isSame = config.choice('padding', ['same', 'valid'], 'valid') === 'same';
  const along = (axis: 0 | 1) => {
    const total = isSame ? Math.max(kernelSize[axis] - strides[axis], 0) : 0;
    return {
      before: Math.floor(total / 2),
      after: Math.ceil(total / 2),
      extra: Math.max(strides[axis] - kernelSize[axis], 0),
    };
  };
  const [vertical, horizontal] = [along(0), along(1)];
  const value = builder.add(layer, {
    op: 'conv2d-transpose',
    inputs: [inputs[0]!],
    attrs: {
      kernelSize,
      strides,
      dilations: config.pair('dilation_rate', [1, 1]),
      padding: { top: vertical.before, bottom: vertical.after, left: horizontal.before, right: horizontal.after },
      outputPadding: [vertical.extra, horizontal.extra],
      channelsIn: channelsOf(context),
      channelsOut: config.count('filters'),
      groups: 1,
      activation: { function: 'identity' },
    },
    weights: {
      // [kh, kw, O, I] → [I, O, kh, kw]
      kernel: transposeWeight(builder.weight(layer, 'kernel'), [3, 2, 0, 1]),
      ...(config.boolean('use_bias', true) ? { bias: builder.weight(layer, 'bias') } : {}),
    },
  });
  return addNamedActivation(builder, layer, value, config);
};

/** What the learned layers of `@dgconv/trainer` share. */
function learnedConvolution(
  context: LayerContext,
  connectivity: Connectivity,
  deciding: Readonly<Record<string, Weight>>,
): string {
  const { builder, layer, config, inputs } = context;
  const window = windowOf(config, builder.shape(inputs[0]!), 'kernel_size');
  const kernel = outputMajor(builder.weight(layer, 'kernel'));
  return addConvolution(
    context,
    inputs[0]!,
    { window, connectivity, kernel, deciding },
    config.boolean('use_bias', true),
  );
}

function counts(context: LayerContext): { channelsOut: number; channelsIn: number } {
  return { channelsOut: context.config.count('filters'), channelsIn: channelsOf(context) };
}

const dgConv2d: LayerRule = (context) =>
  learnedConvolution(
    context,
    { kind: 'learned', rule: 'dgconv', ...counts(context) },
    { gates: context.builder.weight(context.layer, 'gates') },
  );

const flgcConv2d: LayerRule = (context) =>
  learnedConvolution(
    context,
    { kind: 'learned', rule: 'flgc', ...counts(context), groups: context.config.count('groups') },
    {
      inputAssignment: context.builder.weight(context.layer, 'inputAssignment'),
      outputAssignment: context.builder.weight(context.layer, 'outputAssignment'),
    },
  );

const condenseConv2d: LayerRule = (context) =>
  learnedConvolution(
    context,
    {
      kind: 'learned',
      rule: 'condense',
      ...counts(context),
      groups: context.config.count('groups'),
      condenseFactor: context.config.count('condense_factor'),
    },
    { mask: outputMajor(context.builder.weight(context.layer, 'mask')) },
  );

/** Keras's convolution layers, and ours, by class name. */
export const convolutionLayers: Readonly<Record<string, LayerRule>> = {
  Conv2D: conv2d,
  DepthwiseConv2D: depthwiseConv2d,
  SeparableConv2D: separableConv2d,
  Conv2DTranspose: conv2dTranspose,
  DGConv2D: dgConv2d,
  FlgcConv2D: flgcConv2d,
  CondenseConv2D: condenseConv2d,
};
