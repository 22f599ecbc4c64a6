import { type Activation, type BinaryFunction, fillWeight } from '@dgconv/core';
import type { LayersGraphBuilder } from './builder.js';
import type { LayerConfig } from './fields.js';

/** Keras's names of activation functions; softmax is an op of its own. */
const activations: Readonly<Record<string, Activation>> = {
  linear: { function: 'identity' },
  relu: { function: 'relu' },
  relu6: { function: 'relu6' },
  sigmoid: { function: 'sigmoid' },
  hard_sigmoid: { function: 'hard-sigmoid', alpha: 0.2, beta: 0.5 },
  tanh: { function: 'tanh' },
  elu: { function: 'elu', alpha: 1 },
  swish: { function: 'swish' },
  silu: { function: 'swish' },
  softplus: { function: 'softplus' },
  exponential: { function: 'exp' },
  gelu: { function: 'gelu' },
};

type Composite = (builder: LayersGraphBuilder, layer: string, x: string) => string;

/** Functions that several nodes make. */
const composites: Readonly<Record<string, Composite>> = {
  /** `γ·elu(x)` (Klambauer et al., arXiv:1706.02515). */
  selu(builder, layer, x) {
    const y = addActivation(builder, layer, x, { function: 'elu', alpha: 1.6732632423543772 });
    const channels = builder.shape(x).at(-1)!;
    const scale = fillWeight([channels], 1.0507009873554805);
    return builder.add(layer, {
      op: 'affine',
      inputs: [y],
      attrs: { channels },
      weights: { scale, shift: fillWeight([channels], 0) },
    });
  },
  /** `x / (1 + |x|)`. */
  softsign(builder, layer, x) {
    const size = addActivation(builder, layer, x, { function: 'abs' });
    const channels = builder.shape(x).at(-1)!;
    const one = fillWeight([channels], 1);
    const divisor = builder.add(layer, {
      op: 'affine',
      inputs: [size],
      attrs: { channels },
      weights: { scale: one, shift: one },
    });
    return addBinary(builder, layer, 'divide', x, divisor);
  },
  /** `x · tanh(softplus(x))` (Misra, arXiv:1908.08681). */
  mish(builder, layer, x) {
    const soft = addActivation(builder, layer, x, { function: 'softplus' });
    return addBinary(builder, layer, 'multiply', x, addActivation(builder, layer, soft, { function: 'tanh' }));
  },
};

/** An elementwise function of two values of a layer. */
export function addBinary(
  builder: LayersGraphBuilder,
  layer: string,
  name: BinaryFunction,
  left: string,
  right: string,
): string {
  const attrs = { function: name, activation: { function: 'identity' } } as const;
  return builder.add(layer, { op: 'binary', inputs: [left, right], attrs, weights: {} });
}

/** Adds an activation layer's node, or none for the identity. */
export function addActivation(builder: LayersGraphBuilder, layer: string, x: string, activation: Activation): string {
  if (activation.function === 'identity') return x;
  return builder.add(layer, { op: 'activation', inputs: [x], attrs: { activation }, weights: {} });
}

/** The activation that a layer's `activation` field names, applied to `x`. */
export function addNamedActivation(builder: LayersGraphBuilder, layer: string, x: string, config: LayerConfig): string {
  const name = config.text('activation', 'linear');
  if (name === 'softmax') return addSoftmax(builder, layer, x, -1);
  const composite = Object.hasOwn(composites, name) ? composites[name] : undefined;
  if (composite !== undefined) return composite(builder, layer, x);
  const known = Object.hasOwn(activations, name) ? activations[name] : undefined;
  const names = [...Object.keys(activations), ...Object.keys(composites), 'softmax'];
  return addActivation(
    builder,
    layer,
    x,
    known ?? config.refuse(`the activation '${name}' is not among ${names.join(', ')}`),
  );
}

/** Softmax along an axis, counted from the end if negative. */
export function addSoftmax(builder: LayersGraphBuilder, layer: string, x: string, axis: number): string {
  const rank = builder.shape(x).length;
  return builder.add(layer, {
    op: 'softmax',
    inputs: [x],
    attrs: { axis: axis < 0 ? axis + rank : axis },
    weights: {},
  });
}

/** A ReLU layer with its slope, then its ceiling. */
export function reluLayer(config: LayerConfig): readonly Activation[] {
  const slope = config.number('negative_slope', 0);
  if (config.number('threshold', 0) !== 0) return config.refuse('a "threshold" other than 0 is not supported');
  const bent: Activation = slope === 0 ? { function: 'relu' } : { function: 'leaky-relu', alpha: slope };
  if (!config.has('max_value')) return [bent];
  const ceiling = config.number('max_value', 6);
  if (slope !== 0) return [bent, { function: 'clip', alpha: lowest, beta: ceiling }];
  return [ceiling === 6 ? { function: 'relu6' } : { function: 'clip', alpha: 0, beta: ceiling }];
}

/** Formats cannot all write infinity. */
const lowest = -3.4028234663852886e38;
