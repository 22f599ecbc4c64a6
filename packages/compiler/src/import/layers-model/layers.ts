import {
  type BinaryFunction,
  contiguousGrouping,
  elementCount,
  fillWeight,
  reshapeWeight,
  transposeWeight,
  type Weight,
} from '@dgconv/core';
import { addActivation, addBinary, addNamedActivation, addSoftmax, reluLayer } from './activations.js';
import { layerNormalization } from './normalization.js';
import { convolutionLayers, type LayerContext, type LayerRule } from './convolutions.js';
import { imageSize, noPadding, windowOf } from './windows.js';

const passThrough: LayerRule = ({ inputs }) => inputs[0]!;

const dropout: LayerRule = ({ builder, layer, inputs, config }) =>
  builder.add(layer, { op: 'dropout', inputs: [inputs[0]!], attrs: { rate: config.number('rate', 0) }, weights: {} });

const batchNormalization: LayerRule = ({ builder, layer, inputs, config }) => {
  const [x] = inputs as [string];
  const rank = builder.shape(x).length;
  const channels = builder.shape(x).at(-1)!;
  const field = config.fields['axis'];
  const axis: unknown = Array.isArray(field) ? field[0] : (field ?? -1);
  if (axis !== -1 && axis !== rank - 1)
    config.refuse(`"axis" is ${JSON.stringify(field)}: only the last axis is supported`);
  return builder.add(layer, {
    op: 'batch-norm',
    inputs: [x],
    attrs: { channels, epsilon: config.number('epsilon', 1e-3) },
    weights: {
      ...(config.boolean('scale', true) ? { gamma: builder.weight(layer, 'gamma') } : {}),
      ...(config.boolean('center', true) ? { beta: builder.weight(layer, 'beta') } : {}),
      mean: builder.weight(layer, 'moving_mean'),
      variance: builder.weight(layer, 'moving_variance'),
    },
  });
};

/** A slope for each channel; one for each value as `relu(x) + slope · (x - relu(x))`. */
const prelu: LayerRule = ({ builder, layer, inputs, config }) => {
  const [x] = inputs as [string];
  const channels = builder.shape(x).at(-1)!;
  const shape = builder.weightShape(layer, 'alpha');
  if (elementCount(shape) === elementCount(builder.shape(x)) && elementCount(shape) !== channels) {
    const value = reshapeWeight(builder.weight(layer, 'alpha'), builder.shape(x));
    const slopes = builder.add(layer, {
      op: 'constant',
      inputs: [],
      attrs: { shape: builder.shape(x) },
      weights: { value },
    });
    const positive = addActivation(builder, layer, x, { function: 'relu' });
    const negative = addBinary(builder, layer, 'subtract', x, positive);
    return addBinary(builder, layer, 'add', positive, addBinary(builder, layer, 'multiply', slopes, negative));
  }
  if (elementCount(shape) !== channels)
    config.refuse(`its slopes have shape [${shape.join(', ')}]: one a channel or one a value are supported`);
  const slope = reshapeWeight(builder.weight(layer, 'alpha'), [channels]);
  return builder.add(layer, { op: 'prelu', inputs: [inputs[0]!], attrs: { channels }, weights: { slope } });
};

const maxPooling: LayerRule = ({ builder, layer, inputs, config }) =>
  builder.add(layer, {
    op: 'max-pool',
    inputs: [inputs[0]!],
    attrs: windowOf(config, builder.shape(inputs[0]!), 'pool_size'),
    weights: {},
  });

const averagePooling: LayerRule = ({ builder, layer, inputs, config }) =>
  builder.add(layer, {
    op: 'average-pool',
    inputs: [inputs[0]!],
    attrs: { ...windowOf(config, builder.shape(inputs[0]!), 'pool_size'), countPadding: false },
    weights: {},
  });

const globalPooling =
  (reduction: 'mean' | 'max'): LayerRule =>
  ({ builder, layer, inputs, config }) => {
    config.choice('data_format', ['channels_last'], 'channels_last');
    imageSize(builder.shape(inputs[0]!), config);
    const attrs = { function: reduction, axes: [1, 2], keepDims: config.boolean('keepdims', false) };
    return builder.add(layer, { op: 'reduce', inputs: [inputs[0]!], attrs, weights: {} });
  };

const zeroPadding: LayerRule = ({ builder, layer, inputs, config }) => {
  config.choice('data_format', ['channels_last'], 'channels_last');
  imageSize(builder.shape(inputs[0]!), config);
  const { top, bottom, left, right } = config.has('padding')
    ? config.sides('padding')
    : { top: 1, bottom: 1, left: 1, right: 1 };
  const attrs = { before: [0, top, left, 0], after: [0, bottom, right, 0], mode: 'constant', value: 0 } as const;
  return builder.add(layer, { op: 'pad', inputs: [inputs[0]!], attrs, weights: {} });
};

const cropping: LayerRule = ({ builder, layer, inputs, config }) => {
  config.choice('data_format', ['channels_last'], 'channels_last');
  const shape = builder.shape(inputs[0]!);
  const [height, width] = imageSize(shape, config);
  const { top, bottom, left, right } = config.sides('cropping');
  const sizes = [shape[0]!, height - top - bottom, width - left - right, shape[3]!];
  return builder.add(layer, {
    op: 'slice',
    inputs: [inputs[0]!],
    attrs: { starts: [0, top, left, 0], sizes, steps: [1, 1, 1, 1] },
    weights: {},
  });
};

const upSampling: LayerRule = ({ builder, layer, inputs, config }) => {
  config.choice('data_format', ['channels_last'], 'channels_last');
  const [height, width] = imageSize(builder.shape(inputs[0]!), config);
  const [vertical, horizontal] = config.pair('size', [2, 2]);
  const mode = config.choice('interpolation', ['nearest', 'bilinear'], 'nearest') === 'nearest' ? 'nearest' : 'linear';
  const attrs = {
    size: [height * vertical, width * horizontal],
    mode,
    // As TensorFlow.js computes it.
    coordinates: 'asymmetric',
    rounding: 'floor',
    scales: null,
  } as const;
  return builder.add(layer, {
    op: 'resize',
    inputs: [inputs[0]!],
    attrs: { ...attrs, size: [attrs.size[0]!, attrs.size[1]!] },
    weights: {},
  });
};

/** Two or more inputs, one after the other. */
const merge =
  (operation: BinaryFunction): LayerRule =>
  ({ builder, layer, inputs, config }) => {
    if (inputs.length < 2) return config.refuse(`it has ${inputs.length} inputs: at least two are needed`);
    return inputs.reduce((left, right) =>
      builder.add(layer, {
        op: 'binary',
        inputs: [left, right],
        attrs: { function: operation, activation: { function: 'identity' } },
        weights: {},
      }),
    );
  };

/** The same factor and offset for every channel. */
function addScaling({ builder, layer }: LayerContext, x: string, scale: number, shift: number): string {
  const channels = builder.shape(x).at(-1)!;
  const weights = { scale: fillWeight([channels], scale), shift: fillWeight([channels], shift) };
  return builder.add(layer, { op: 'affine', inputs: [x], attrs: { channels }, weights });
}

const average: LayerRule = (context) => addScaling(context, merge('add')(context), 1 / context.inputs.length, 0);

const rescaling: LayerRule = (context) =>
  addScaling(context, context.inputs[0]!, context.config.number('scale', 1), context.config.number('offset', 0));

const concatenate: LayerRule = ({ builder, layer, inputs, config }) => {
  const rank = builder.shape(inputs[0]!).length;
  const axis = config.number('axis', -1);
  const attrs = { axis: axis < 0 ? axis + rank : axis };
  return builder.add(layer, { op: 'concat', inputs, attrs, weights: {} });
};

const dense: LayerRule = (context) => {
  const { builder, layer, inputs, config } = context;
  const [x] = inputs as [string];
  const shape = builder.shape(x);
  const [channelsIn, channelsOut] = [shape.at(-1)!, config.count('units')];
  const kernel: Weight = transposeWeight(builder.weight(layer, 'kernel'), [1, 0]);
  const bias = config.boolean('use_bias', true) ? { bias: builder.weight(layer, 'bias') } : {};
  const activation = { function: 'identity' } as const;
  if (shape.length === 2) {
    const attrs = { channelsIn, channelsOut, activation };
    const value = builder.add(layer, { op: 'dense', inputs: [x], attrs, weights: { kernel, ...bias } });
    return addNamedActivation(builder, layer, value, config);
  }
  if (shape.length !== 4)
    return config.refuse(`its input has shape [${shape.join(', ')}]: [1, C] and [1, H, W, C] are supported`);
  const attrs = {
    kernelSize: [1, 1],
    strides: [1, 1],
    dilations: [1, 1],
    padding: noPadding,
    connectivity: contiguousGrouping(channelsOut, channelsIn, 1),
    pre: 'none',
    activation,
  } as const;
  const weights = { kernel: reshapeWeight(kernel, [channelsOut, channelsIn, 1, 1]), ...bias };
  const value = builder.add(layer, { op: 'conv2d', inputs: [x], attrs: { ...attrs, kernelSize: [1, 1] }, weights });
  return addNamedActivation(builder, layer, value, config);
};

function addReshape({ builder, layer, inputs }: LayerContext, shape: readonly number[]): string {
  return builder.add(layer, { op: 'reshape', inputs: [inputs[0]!], attrs: { shape }, weights: {} });
}

const flatten: LayerRule = (context) =>
  addReshape(context, [1, elementCount(context.builder.shape(context.inputs[0]!))]);

const reshape: LayerRule = (context) => {
  const total = elementCount(context.builder.shape(context.inputs[0]!));
  // TensorFlow.js writes null for what is left, Keras -1.
  const target = context.config.integersOrNull('target_shape').map((size) => size ?? -1);
  const known = elementCount(target.filter((size) => size !== -1));
  const shape = target.map((size) => (size === -1 ? total / known : size));
  if (elementCount(shape) !== total || !shape.every((size) => Number.isInteger(size) && size > 0)) {
    context.config.refuse(`"target_shape" [${target.join(', ')}] does not fit ${total} values`);
  }
  return addReshape(context, [1, ...shape]);
};

const permute: LayerRule = ({ builder, layer, inputs, config }) => {
  const dims = config.integers('dims');
  const rank = builder.shape(inputs[0]!).length;
  if (dims.length !== rank - 1 || dims.toSorted((a, b) => a - b).some((axis, index) => axis !== index + 1)) {
    config.refuse(`"dims" [${dims.join(', ')}] is no order of 1 to ${rank - 1}`);
  }
  return builder.add(layer, {
    op: 'transpose',
    inputs: [inputs[0]!],
    attrs: { permutation: [0, ...dims] },
    weights: {},
  });
};

/** What each layer class makes of its inputs. */
export const layerRules: Readonly<Record<string, LayerRule>> = {
  ...convolutionLayers,
  BatchNormalization: batchNormalization,
  SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Dense: dense,
  Activation: ({ builder, layer, inputs, config }) => addNamedActivation(builder, layer, inputs[0]!, config),
  ReLU: ({ builder, layer, inputs, config }) =>
    reluLayer(config).reduce((x, activation) => addActivation(builder, layer, x, activation), inputs[0]!),
  LeakyReLU: ({ builder, layer, inputs, config }) =>
    addActivation(builder, layer, inputs[0]!, { function: 'leaky-relu', alpha: config.number('alpha', 0.3) }),
  ELU: ({ builder, layer, inputs, config }) =>
    addActivation(builder, layer, inputs[0]!, { function: 'elu', alpha: config.number('alpha', 1) }),
  PReLU: prelu,
  Softmax: ({ builder, layer, inputs, config }) => addSoftmax(builder, layer, inputs[0]!, config.number('axis', -1)),
  MaxPooling2D: maxPooling,
  AveragePooling2D: averagePooling,
  GlobalAveragePooling2D: globalPooling('mean'),
  GlobalMaxPooling2D: globalPooling('max'),
  ZeroPadding2D: zeroPadding,
  Cropping2D: cropping,
  UpSampling2D: upSampling,
  Add: merge('add'),
  Subtract: merge('subtract'),
  Multiply: merge('multiply'),
  Maximum: merge('maximum'),
  Minimum: merge('minimum'),
  Average: average,
  Rescaling: rescaling,
  Concatenate: concatenate,
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  Dropout: dropout,
  SpatialDropout2D: dropout,
  AlphaDropout: dropout,
  GaussianDropout: dropout,
  GaussianNoise: passThrough,
  ActivityRegularization: passThrough,
};
