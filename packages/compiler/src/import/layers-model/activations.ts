import { type Activation } from '@dgconv/core';
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

/** Adds an activation layer's node, or none for the identity. */
export function addActivation(builder: LayersGraphBuilder, layer: string, x: string, activation: Activation): string {
  if (activation.function === 'identity') return x;
  return builder.add(layer, { op: 'activation', inputs: [x], attrs: { activation }, weights: {} });
}

/** The activation that a layer's `activation` field names, applied to `x`. */
export function addNamedActivation(builder: LayersGraphBuilder, layer: string, x: string, config: LayerConfig): string {
  const name = config.text('activation', 'linear');
  if (name === 'softmax') return addSoftmax(builder, layer, x, -1);
  const known = Object.hasOwn(activations, name) ? activations[name] : undefined;
  const names = [...Object.keys(activations), 'softmax'];
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

/** A ReLU layer with its ceiling and slope. */
export function reluLayer(config: LayerConfig): Activation {
  const slope = config.number('negative_slope', 0);
  if (config.number('threshold', 0) !== 0) return config.refuse('a "threshold" other than 0 is not supported');
  if (!config.has('max_value')) {
    return slope === 0 ? { function: 'relu' } : { function: 'leaky-relu', alpha: slope };
  }
  if (slope !== 0) return config.refuse('"max_value" and "negative_slope" together are not supported');
  const ceiling = config.number('max_value', 6);
  return ceiling === 6 ? { function: 'relu6' } : { function: 'clip', alpha: 0, beta: ceiling };
}
