import type { Graph, OpKind, Shape } from '@dgconv/core';

/** How a tensor of rank 4 has the axes of a value; tensors of other ranks have them as the value has. */
export type Order = 'nchw' | 'nhwc';

/** NHWC axis → NCHW axis. */
export const toNchw = [0, 2, 3, 1] as const;
/** NCHW axis → NHWC axis. */
export const toNhwc = [0, 3, 1, 2] as const;

/** Axis of an NHWC value in a tensor of that order. */
export const mapAxis = (axis: number, rank: number, order: Order): number => {
  const positive = axis < 0 ? axis + rank : axis;
  return rank === 4 && order === 'nchw' ? toNchw[positive]! : positive;
};

/** One entry per axis, from NHWC order to that of a tensor. */
export const mapAxes = <T>(perAxis: readonly T[], order: Order): T[] =>
  perAxis.length === 4 && order === 'nchw' ? toNhwc.map((axis) => perAxis[axis]!) : [...perAxis];

/** Whether NHWC and NCHW of this shape lay the elements out alike. */
export const sameOrder = (shape: Shape): boolean => shape.length !== 4 || shape[3] === 1 || shape[1]! * shape[2]! === 1;

/** Ops that work on NCHW only, or on NHWC only; all others take a value as it is. */
const needed: { readonly [K in OpKind]?: Order } = {
  conv2d: 'nchw',
  'conv2d-transpose': 'nchw',
  'batch-norm': 'nchw',
  'max-pool': 'nchw',
  'average-pool': 'nchw',
  resize: 'nchw',
  matmul: 'nhwc',
  reshape: 'nhwc',
};

/**
 * The order of each value that the first op after it needs which does not take it as it is.
 * @returns by value; one that is absent is wanted as NCHW, as at the border of the network.
 */
export const ordersWanted = ({ nodes }: Graph): ReadonlyMap<string, Order> => {
  const wanted = new Map<string, Order>();
  for (const { id, op, inputs } of nodes.toReversed()) {
    for (const input of inputs) wanted.set(input, needed[op] ?? wanted.get(id) ?? 'nchw');
  }
  return wanted;
};
