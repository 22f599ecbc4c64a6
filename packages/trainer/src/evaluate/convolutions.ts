import { type Connectivity, type Grouping, type Mask, maskOf, type NodeOf, type Window } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { condenseConv2d } from '../ops/condense-conv.js';
import type { ConvOptions } from '../ops/conv-options.js';
import { dgConv2d } from '../ops/dg-conv.js';
import { flgcConv2d } from '../ops/flgc-conv.js';
import { groupedConv2d, groupedConv2dInputGradient } from '../ops/grouped-conv.js';
import type { GroupedConv2DAttrs } from '../ops/grouped-conv-signatures.js';
import { gateStructure } from '../ops/gate-structure.js';
import { compactKernel } from '../ops/compact-kernel.js';
import { isIdentityPermutation } from '@dgconv/core';
import * as tf from '../tf.js';
import type { SlotTensors } from './slot-layout.js';
import { applyActivation } from './activations.js';

type Geometry = Pick<GroupedConv2DAttrs, 'strides' | 'padding' | 'dilations'>;

/** The one op `conv2d` in all of its states: x (and residual) `[N, H, W, C]` → `[N, H', W', C_out]`. */
export function evaluateConv2d(
  { attrs }: NodeOf<'conv2d'>,
  [given, residual]: readonly tfc.Tensor[],
  slots: SlotTensors,
  gates: 'learn' | 'frozen',
): tfc.Tensor {
  let x = given as tfc.Tensor4D;
  if (attrs.pre === 'affine-relu') x = tf.relu(tf.add(tf.mul(x, slots['preScale']!), slots['preShift']!));
  let y: tfc.Tensor = convolve(x, attrs.connectivity, attrs, slots, gates);
  if (slots['bias']) y = tf.add(y, slots['bias']);
  if (residual) y = tf.add(y, residual);
  return applyActivation(y, attrs.activation);
}

function convolve(
  x: tfc.Tensor4D,
  connectivity: Connectivity,
  window: Window,
  slots: SlotTensors,
  gates: 'learn' | 'frozen',
): tfc.Tensor4D {
  const kernel = slots['kernel'] as tfc.Tensor4D;
  const geometry = geometryOf(window);
  switch (connectivity.kind) {
    case 'dense':
      return groupedConv2d(x, kernel, { ...geometry, ...ungrouped });
    case 'equal':
      return groupedConv2d(x, kernel, { ...geometry, ...equalOrders(connectivity) });
    case 'unequal':
    case 'shared-inputs':
    case 'shared-outputs':
    case 'unstructured':
      return groupedConv2d(x, tf.mul(kernel, maskTensor(connectivity)), { ...geometry, ...ungrouped });
    case 'masked':
      return groupedConv2d(x, tf.mul(kernel, tensorOf(connectivity.mask)), { ...geometry, ...ungrouped });
    case 'learned': {
      const options = convOptions(window);
      switch (connectivity.rule) {
        case 'dgconv': {
          const values = slots['gates'] as tfc.Tensor1D;
          if (gates === 'learn') return dgConv2d(x, kernel, values, options);
          const { channelsIn, channelsOut } = connectivity;
          const { pairs } = gateStructure(values.dataSync(), channelsOut, channelsIn);
          const { groups, inputOrder, outputOrder } = pairs;
          return groupedConv2d(x, compactKernel(kernel, pairs), { ...geometry, groups, inputOrder, outputOrder });
        }
        case 'flgc':
          return flgcConv2d(
            x,
            kernel,
            slots['inputAssignment'] as tfc.Tensor2D,
            slots['outputAssignment'] as tfc.Tensor2D,
            options,
          );
        case 'condense':
          return condenseConv2d(x, kernel, slots['mask'] as tfc.Tensor4D, options);
      }
    }
  }
}

/** x `[N, H, W, C_in]` → `[N, H', W', C_out]`: the input gradient of the convolution that runs the other way. */
export function evaluateConv2dTranspose(
  { attrs }: NodeOf<'conv2d-transpose'>,
  x: tfc.Tensor,
  slots: SlotTensors,
  shape: readonly number[],
): tfc.Tensor {
  const y = groupedConv2dInputGradient(x as tfc.Tensor4D, slots['kernel'] as tfc.Tensor4D, {
    ...geometryOf(attrs),
    groups: attrs.groups,
    inputOrder: null,
    outputOrder: null,
    inputShape: shape,
  });
  return applyActivation(slots['bias'] ? tf.add(y, slots['bias']) : y, attrs.activation);
}

const ungrouped = { groups: 1, inputOrder: null, outputOrder: null } as const;

function geometryOf({ strides, dilations, padding }: Window): Geometry {
  return { strides, dilations, padding: [padding.top, padding.bottom, padding.left, padding.right] };
}

function convOptions({ strides, dilations, padding: { top, bottom, left, right } }: Window): ConvOptions {
  return {
    strides,
    dilations,
    padding: [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ],
  };
}

function equalOrders(grouping: Grouping & { kind: 'equal' }) {
  const unlessIdentity = (order: readonly number[]) => (isIdentityPermutation(order) ? null : order);
  return {
    groups: grouping.groups,
    inputOrder: unlessIdentity(grouping.inputOrder),
    outputOrder: unlessIdentity(grouping.outputOrder),
  };
}

const maskValues = new WeakMap<object, Float32Array>();

function maskTensor(grouping: Grouping): tfc.Tensor4D {
  return tensorOf(maskOf(grouping), grouping);
}

/** A mask `[C_out, C_in]` as `[1, 1, C_in, C_out]`; its values are made once for each `key`. */
function tensorOf(mask: Mask, key: object = mask): tfc.Tensor4D {
  let values = maskValues.get(key);
  if (!values) {
    values = new Float32Array(mask.rows * mask.cols);
    for (let row = 0; row < mask.rows; row++) {
      for (const col of mask.rowSupport(row)) values[col * mask.rows + row] = 1;
    }
    maskValues.set(key, values);
  }
  return tf.tensor4d(values, [1, 1, mask.cols, mask.rows]);
}
