import { addActivation, addBinary } from './activations.js';
import type { LayerRule } from './convolutions.js';
import { fillWeight } from '@dgconv/core';

/** `γ·(x - mean)/√(variance + ε) + β` over the channels of each pixel (Ba et al., arXiv:1607.06450). */
export const layerNormalization: LayerRule = ({ builder, layer, inputs, config }) => {
  const [x] = inputs as [string];
  const shape = builder.shape(x);
  const last = shape.length - 1;
  const channels = shape[last]!;
  const field = config.fields['axis'];
  const axis: unknown = Array.isArray(field) && field.length === 1 ? (field as unknown[])[0] : (field ?? -1);
  if (axis !== -1 && axis !== last) {
    config.refuse(`"axis" is ${JSON.stringify(field)}: only the last axis is supported`);
  }
  const affine = (value: string, scale: number, shift: number): string =>
    builder.add(layer, {
      op: 'affine',
      inputs: [value],
      attrs: { channels: builder.shape(value).at(-1)! },
      weights: {
        scale: fillWeight([builder.shape(value).at(-1)!], scale),
        shift: fillWeight([builder.shape(value).at(-1)!], shift),
      },
    });
  const meanOf = (value: string): string =>
    builder.add(layer, {
      op: 'reduce',
      inputs: [value],
      attrs: { function: 'mean', axes: [last], keepDims: true },
      weights: {},
    });
  const centred = addBinary(builder, layer, 'subtract', x, meanOf(x));
  const variance = meanOf(addBinary(builder, layer, 'multiply', centred, centred));
  const deviation = addActivation(builder, layer, affine(variance, 1, config.number('epsilon', 1e-3)), {
    function: 'sqrt',
  });
  const normal = addBinary(builder, layer, 'divide', centred, deviation);
  return builder.add(layer, {
    op: 'affine',
    inputs: [normal],
    attrs: { channels },
    weights: {
      scale: config.boolean('scale', true) ? builder.weight(layer, 'gamma') : fillWeight([channels], 1),
      shift: config.boolean('center', true) ? builder.weight(layer, 'beta') : fillWeight([channels], 0),
    },
  });
};
