import { elementCount, type Shape } from '@dgconv/core';
import { axisIn, type Dynamic } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { reshaped } from './shape.js';

/** Constant indices along one axis. */
export function Gather(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const axis = context.axis(context.int('axis', 0), rank);
  const length = x.shape[axis]!;
  const { shape } = context.constant(1);
  const indices = context.numbers(1).map((index) => (index < 0 ? index + length : index));
  const wrong = indices.find((index) => !Number.isInteger(index) || index < 0 || index >= length);
  if (wrong !== undefined || indices.length === 0) context.refuse(`index ${wrong} is outside ${length} entries`);
  const form = context.builder.preferredForm([x]);
  const attrs = { axis: rank < 3 ? axis : axisIn(form, rank, axis), indices };
  const inputs = [context.builder.in(form, x)];
  const isVector = shape.length === 1;
  const id = context.add({ op: 'take', inputs, attrs, weights: {} }, isVector ? '' : 'taken');
  const taken = context.result(form, id);
  return isVector ? taken : reshaped(context, taken, [...x.shape.slice(0, axis), ...shape, ...x.shape.slice(axis + 1)]);
}

/** Constant places along the first axes, taken together as one axis. */
export function GatherND(context: OnnxNodeContext): Dynamic {
  if (context.int('batch_dims', 0) !== 0) context.refuse("'batch_dims' must be 0");
  const x = context.dynamic(0);
  const { shape, indices, rest } = placesOf(context, x.shape);
  const flat = reshaped(context, x, [elementCount(x.shape) / elementCount(rest), ...rest], 'flat');
  const inputs = [context.builder.in('given', flat)];
  const id = context.add({ op: 'take', inputs, attrs: { axis: 0, indices }, weights: {} }, 'taken');
  return reshaped(context, context.result('given', id), shape);
}

/** What a GatherND of a value of this shape takes: places in its first axes as one, and the shape of the result. */
export function placesOf(
  context: OnnxNodeContext,
  from: Shape,
): { shape: Shape; indices: readonly number[]; rest: Shape } {
  const tuples = context.constant(1).shape;
  const depth = tuples.at(-1) ?? 0;
  if (depth < 1 || depth > from.length) context.refuse(`indices of ${depth} numbers do not fit [${from.join(', ')}]`);
  const values = context.numbers(1);
  const indices = Array.from({ length: values.length / depth }, (_, tuple) => {
    const places = from.slice(0, depth).map((size, axis) => {
      const place = values[tuple * depth + axis]!;
      return place < 0 ? place + size : place;
    });
    if (places.some((place, axis) => !(place >= 0 && place < from[axis]!))) {
      context.refuse(`the index [${places.join(', ')}] is outside [${from.join(', ')}]`);
    }
    return places.reduce((flat, place, axis) => flat * from[axis]! + place, 0);
  });
  if (indices.length === 0) context.refuse('it takes nothing');
  const rest = from.slice(depth);
  return { shape: [...tuples.slice(0, -1), ...rest], indices, rest };
}
