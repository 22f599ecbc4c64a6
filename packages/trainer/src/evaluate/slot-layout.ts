import type * as tfc from '@tensorflow/tfjs-core';
import {
  compactWeight,
  expandWeight,
  type Grouping,
  invertPermutation,
  mapSource,
  type Node,
  readWeight,
  type Shape,
  storedWeight,
  type Weight,
} from '@dgconv/core';

/** How a slot's values lie in the tensor that the trainer computes with. */
export interface SlotLayout {
  /** Shape of the tensor. */
  readonly shape: readonly number[];
  /** The slot's values, as in the graph → the tensor's. */
  readonly pack: (values: Float32Array) => Float32Array;
  /** The tensor's values → the slot's. */
  readonly unpack: (values: Float32Array) => Float32Array;
}

/** A node's weights by slot, in the trainer's layout. */
export type SlotTensors = Readonly<Record<string, tfc.Tensor | undefined>>;

/** Output-major kernels `[O, I, kh, kw]` lie as tfjs wants them, `[kh, kw, I, O]`. */
const toTfjs = [2, 3, 1, 0];

/**
 * Layout of one slot: kernels as tfjs wants them, everything else as in the graph. The compact kernel of an equal grouping is
 * `[kh, kw, I/G, O]` with its columns by position, that of any other grouping is the dense kernel, to be masked.
 * @param shape - the slot's shape in the graph.
 */
export function slotLayout(node: Node, slot: string, shape: Shape): SlotLayout {
  if (node.op === 'conv2d' && slot === 'kernel') {
    const { connectivity, kernelSize } = node.attrs;
    switch (connectivity.kind) {
      case 'dense':
      case 'masked':
      case 'learned':
        return transposed(shape);
      case 'equal': {
        const byPosition = transposed(shape);
        const fromPosition = invertPermutation(connectivity.outputOrder);
        return {
          ...byPosition,
          pack: (values) => byPosition.pack(takeRows(values, connectivity.outputOrder)),
          unpack: (values) => takeRows(byPosition.unpack(values), fromPosition),
        };
      }
      case 'unequal':
      case 'shared-inputs':
      case 'shared-outputs':
      case 'unstructured':
        return expanded(connectivity, kernelSize, shape);
    }
  }
  if ((node.op === 'conv2d' && slot === 'mask') || (node.op === 'conv2d-transpose' && slot === 'kernel')) {
    return transposed(shape);
  }
  const same = (values: Float32Array) => values;
  return { shape, pack: same, unpack: same };
}

function transposed(shape: Shape): SlotLayout {
  const packedShape = toTfjs.map((axis) => shape[axis]!);
  return {
    shape: packedShape,
    pack: (values) => view(values, shape, (of) => ({ kind: 'transpose', of, permutation: toTfjs })),
    unpack: (values) =>
      view(values, packedShape, (of) => ({ kind: 'transpose', of, permutation: invertPermutation(toTfjs) })),
  };
}

function expanded(grouping: Grouping, kernelSize: readonly [number, number], shape: Shape): SlotLayout {
  const dense: Shape = [grouping.channelsOut, grouping.channelsIn, ...kernelSize];
  const layout = transposed(dense);
  return {
    shape: layout.shape,
    pack: (values) => layout.pack(view(values, shape, (of) => expandWeight(of, grouping))),
    unpack: (values) => view(layout.unpack(values), dense, (of) => compactWeight(of, grouping)),
  };
}

function view(values: Float32Array, shape: Shape, expression: (of: Weight) => Weight): Float32Array {
  return readWeight(expression(storedWeight('values')), mapSource(new Map([['values', { shape, values }]])));
}

function takeRows(values: Float32Array, order: readonly number[]): Float32Array {
  const row = values.length / order.length;
  const result = new Float32Array(values.length);
  order.forEach((from, to) => result.set(values.subarray(from * row, (from + 1) * row), to * row));
  return result;
}
