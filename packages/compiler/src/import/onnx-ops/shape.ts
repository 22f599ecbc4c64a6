import { digitPermutation, elementCount, type Shape } from '@dgconv/core';
import { axisIn, type Dynamic, type Form, inForm, isIdentity, type Operand, toGiven, toLast } from '../onnx-graph.js';
import type { OnnxNodeContext } from '../onnx-node.js';
import { elementTypeName, isFloatType } from '../onnx-tensor.js';

/** x with another shape, elements in ONNX's order. */
export function reshaped(context: OnnxNodeContext, x: Dynamic, shape: Shape, part = ''): Dynamic {
  if (elementCount(shape) !== elementCount(x.shape)) {
    context.refuse(`[${x.shape.join(', ')}] cannot be reshaped to [${shape.join(', ')}]`);
  }
  if (shape.join() === x.shape.join()) return x;
  const inputs = [context.builder.flat(x)];
  return context.result('given', context.add({ op: 'reshape', inputs, attrs: { shape }, weights: {} }, part));
}

/** The shape that a Reshape asks for: 0 keeps a dimension, -1 takes what is left. */
export function requestedShape(context: OnnxNodeContext, from: Shape, request: readonly number[]): Shape {
  const keepsZero = context.int('allowzero', 0) === 1;
  const shape = request.map((size, axis) => (size === 0 && !keepsZero ? (from[axis] ?? 0) : size));
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const known = shape.reduce((product, size, axis) => (axis === open ? product : product * size), 1);
  const rest = elementCount(from) / known;
  if (!Number.isInteger(rest)) {
    context.refuse(`[${from.join(', ')}] cannot be reshaped to [${request.join(', ')}]`);
  }
  return shape.with(open, rest);
}

export function Reshape(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const request = context.list('shape', 1) ?? context.refuse('it has no shape');
  const shape = requestedShape(context, x.shape, request);
  const { note } = x;
  if (note?.kind === 'permuted-channels' && shape.join() === note.of.shape.join()) {
    const indices = digitPermutation({ shape: note.digits, axes: note.axes });
    const inputs = [context.builder.in('last', note.of)];
    const attrs = { axis: shape.length - 1, indices };
    return context.result('last', context.add({ op: 'take', inputs, attrs, weights: {} }));
  }
  const result = reshaped(context, x, shape);
  const digits = channelDigits(x.shape, shape);
  return digits === null ? result : { ...result, note: { kind: 'split-channels', of: x, digits } };
}

/** The axes that a reshape makes of the channels, if it leaves everything else alone. */
function channelDigits(from: Shape, to: Shape): Shape | null {
  const count = to.length - from.length + 1;
  if (from.length < 3 || count < 2 || from[0] !== to[0]) return null;
  const rest = to.slice(1 + count);
  const digits = to.slice(1, 1 + count);
  return rest.join() === from.slice(2).join() && elementCount(digits) === from[1] ? digits : null;
}

/** The order of the channels' axes that a transpose makes, if it moves nothing else. */
function channelAxes(permutation: readonly number[], digits: Shape): number[] | null {
  const isMoved = (axis: number, place: number): boolean => axis !== place;
  const outside = permutation.filter((axis, place) => isMoved(axis, place) && (place === 0 || place > digits.length));
  return outside.length === 0 ? permutation.slice(1, 1 + digits.length).map((axis) => axis - 1) : null;
}

export function Flatten(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const given = context.int('axis', 1);
  const axis = given === x.shape.length ? given : context.axis(given, x.shape.length);
  return reshaped(context, x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))]);
}

/** The shape without the dimensions of size 1 that Squeeze names, or without all of them. */
export function squeezedShape(context: OnnxNodeContext, shape: Shape): Shape {
  const axes = context.list('axes', 1)?.map((axis) => context.axis(axis, shape.length));
  for (const axis of axes ?? []) {
    if (shape[axis] !== 1) context.refuse(`dimension ${axis} of [${shape.join(', ')}] is not 1`);
  }
  return shape.filter((size, axis) => (axes === undefined ? size !== 1 : !axes.includes(axis)));
}

/** The shape with dimensions of size 1 where Unsqueeze wants them. */
export function unsqueezedShape(context: OnnxNodeContext, shape: Shape): Shape {
  const list = context.list('axes', 1) ?? context.refuse('it has no axes');
  const rank = shape.length + list.length;
  const axes = new Set(list.map((axis) => context.axis(axis, rank)));
  if (axes.size !== list.length) context.refuse(`axes [${list.join(', ')}] name a dimension twice`);
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.shift()!));
}

export function Squeeze(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  return reshaped(context, x, squeezedShape(context, x.shape));
}

export function Unsqueeze(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  return reshaped(context, x, unsqueezedShape(context, x.shape));
}

/** The permutation of a Transpose; the default reverses all axes. */
export function permutationOf(context: OnnxNodeContext, rank: number): number[] {
  const given = context.ints('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const permutation = given.map((axis) => context.axis(axis, rank));
  if (permutation.length !== rank || new Set(permutation).size !== rank) {
    context.refuse(`[${given.join(', ')}] is no permutation of ${rank} axes`);
  }
  return permutation;
}

/** Between NCHW and NHWC no data moves: both orders of a value are known by name. */
export function Transpose(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const permutation = permutationOf(context, rank);
  const shape = permutation.map((axis) => x.shape[axis]!);
  const isSame = (other: readonly number[]): boolean => permutation.every((axis, place) => axis === other[place]);
  if (isIdentity(permutation)) return x;
  if (rank > 2 && x.last !== null && isSame(toLast(rank))) return { kind: 'dynamic', shape, given: x.last, last: null };
  if (rank > 2 && x.given !== null && isSame(toGiven(rank)))
    return { kind: 'dynamic', shape, given: null, last: x.given };
  const axes = x.note?.kind === 'split-channels' ? channelAxes(permutation, x.note.digits) : null;
  const form = context.builder.preferredForm([x]);
  // Axis `a` of the result is ONNX axis `permutation[a]` of x, wherever the form has put that.
  const places = permutation.map((axis) => (rank < 3 ? axis : axisIn(form, rank, axis)));
  const inputs = [context.builder.in(form, x)];
  const id = context.add({ op: 'transpose', inputs, attrs: { permutation: places }, weights: {} });
  const result = context.result('given', id);
  if (axes === null || x.note?.kind !== 'split-channels') return result;
  return { ...result, note: { kind: 'permuted-channels', of: x.note.of, digits: x.note.digits, axes } };
}

export function Concat(context: OnnxNodeContext): Dynamic {
  const { builder } = context;
  // Constants that hold nothing add nothing.
  const operands = context.inputs.filter(
    (operand): operand is Operand =>
      operand !== null && (operand.kind === 'dynamic' || elementCount(operand.shape) > 0),
  );
  const rank = operands[0]?.shape.length ?? context.refuse('it has no inputs');
  const axis = context.axis(context.int('axis', 1), rank);
  if (operands.some((operand) => operand.shape.length !== rank)) context.refuse('its inputs differ in rank');
  const form = builder.preferredForm(operands.filter((operand): operand is Dynamic => operand.kind === 'dynamic'));
  const inputs = operands.map((operand, index) =>
    operand.kind === 'dynamic'
      ? builder.in(form, operand)
      : builder.materialiseIn(form, operand, rank, `${context.id}.constant${index}`, context.id),
  );
  const attrs = { axis: rank < 3 ? axis : axisIn(form, rank, axis) };
  return context.result(form, context.add({ op: 'concat', inputs, attrs, weights: {} }));
}

/** `size` entries from `start` along one axis, in steps; axis in ONNX's order. */
export interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly size: number;
  readonly step: number;
}

/** Cuts several axes at once; backward steps become index lists. */
function sliced(context: OnnxNodeContext, x: Dynamic, cuts: readonly Cut[], part = ''): Dynamic {
  const rank = x.shape.length;
  const { builder } = context;
  const form: Form = builder.preferredForm([x]);
  const real = cuts.filter(({ axis, size, step }) => size !== x.shape[axis] || step !== 1);
  if (real.length === 0) return x;
  let id = builder.in(form, x);
  const forward = real.filter(({ step }) => step > 0);
  const backward = real.filter(({ step }) => step < 0);
  if (forward.length > 0) {
    const starts = x.shape.map((_, axis) => forward.find((cut) => cut.axis === axis)?.start ?? 0);
    const sizes = x.shape.map((size, axis) => forward.find((cut) => cut.axis === axis)?.size ?? size);
    const steps = x.shape.map((_, axis) => forward.find((cut) => cut.axis === axis)?.step ?? 1);
    const order = (values: number[]): number[] => (rank < 3 ? values : inForm(form, values));
    const attrs = { starts: order(starts), sizes: order(sizes), steps: order(steps) };
    id = context.add({ op: 'slice', inputs: [id], attrs, weights: {} }, backward.length > 0 ? 'forward' : part);
  }
  backward.forEach(({ axis, start, size, step }, index) => {
    const indices = Array.from({ length: size }, (_, k) => start + k * step);
    const attrs = { axis: rank < 3 ? axis : axisIn(form, rank, axis), indices };
    const isFinal = index === backward.length - 1;
    id = context.add({ op: 'take', inputs: [id], attrs, weights: {} }, isFinal ? part : `backward${axis}`);
  });
  return context.result(form, id);
}

/** What a Slice keeps of a value of this shape. */
export function cutsOf(context: OnnxNodeContext, shape: Shape): Cut[] {
  const starts = context.list('starts', 1) ?? context.refuse('it has no starts');
  const ends = context.list('ends', 2) ?? context.refuse('it has no ends');
  const axes = context.list('axes', 3) ?? starts.map((_, index) => index);
  const steps = context.optional(4) === null ? starts.map(() => 1) : context.numbers(4);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    context.refuse('its starts, ends, axes and steps differ in length');
  }
  return axes.map((given, index) => {
    const axis = context.axis(given, shape.length);
    const length = shape[axis]!;
    const step = steps[index]!;
    if (step === 0) context.refuse(`the step along axis ${axis} is 0`);
    const counted = (position: number): number => (position < 0 ? position + length : position);
    const bounded = (position: number, low: number, high: number): number => Math.min(Math.max(position, low), high);
    const start = bounded(counted(starts[index]!), 0, step > 0 ? length : length - 1);
    const end = bounded(counted(ends[index]!), step > 0 ? 0 : -1, length);
    const size = Math.max(Math.ceil((end - start) / step), 0);
    return { axis, start, size, step };
  });
}

export function Slice(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const cuts = cutsOf(context, x.shape);
  const empty = cuts.find((cut) => cut.size === 0);
  if (empty !== undefined) context.refuse(`nothing is left of axis ${empty.axis}`);
  return sliced(context, x, cuts);
}

export function Split(context: OnnxNodeContext): Dynamic[] {
  const x = context.dynamic(0);
  const axis = context.axis(context.int('axis', 0), x.shape.length);
  const length = x.shape[axis]!;
  const count = context.node.outputs.length;
  const part = Math.ceil(length / context.int('num_outputs', count));
  const sizes =
    context.list('split', 1) ?? Array.from({ length: count }, (_, index) => Math.min(part, length - index * part));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (sizes.length !== count || total !== length || sizes.some((size) => size < 1)) {
    context.refuse(`parts of sizes [${sizes.join(', ')}] are not ${count} that make up ${length}`);
  }
  let start = 0;
  return sizes.map((size, index) => {
    const result = sliced(context, x, [{ axis, start, size, step: 1 }], `part${index}`);
    start += size;
    return result;
  });
}

export function Pad(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const rank = x.shape.length;
  const mode = context.string('mode', 'constant');
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge') context.refuse(`mode '${mode}' is not supported`);
  const pads = context.list('pads', 1) ?? context.refuse('it has no pads');
  const axes = context.optional(3) === null ? null : context.numbers(3).map((axis) => context.axis(axis, rank));
  const listed = axes ?? Array.from({ length: rank }, (_, axis) => axis);
  if (pads.length !== 2 * listed.length) context.refuse(`${pads.length} pads do not fit ${listed.length} axes`);
  const value = context.optional(2) === null ? context.float('value', 0) : (context.numbers(2)[0] ?? 0);
  const before = new Array<number>(rank).fill(0);
  const after = new Array<number>(rank).fill(0);
  listed.forEach((axis, index) => {
    before[axis] = pads[index]!;
    after[axis] = pads[index + listed.length]!;
  });
  // Negative padding cuts.
  const cut = sliced(
    context,
    x,
    x.shape.map((size, axis) => {
      const start = Math.max(-before[axis]!, 0);
      return { axis, start, size: size - start - Math.max(-after[axis]!, 0), step: 1 };
    }),
    'cut',
  );
  const form = context.builder.preferredForm([cut]);
  const order = (values: number[]): number[] => {
    const positive = values.map((pixels) => Math.max(pixels, 0));
    return rank < 3 ? positive : inForm(form, positive);
  };
  const attrs = { before: order(before), after: order(after), mode, value } as const;
  if ([...attrs.before, ...attrs.after].every((pixels) => pixels === 0)) return cut;
  return context.result(form, context.add({ op: 'pad', inputs: [context.builder.in(form, cut)], attrs, weights: {} }));
}

/** The shape that two shapes broadcast to, given as a list. */
export function expandedShape(context: OnnxNodeContext, shape: Shape, request: readonly number[]): Shape {
  const rank = Math.max(shape.length, request.length);
  return Array.from({ length: rank }, (_, axis) => {
    const have = shape[axis - rank + shape.length] ?? 1;
    const want = request[axis - rank + request.length] ?? 1;
    if (have !== want && have !== 1 && want !== 1) {
      context.refuse(`[${shape.join(', ')}] does not broadcast to [${request.join(', ')}]`);
    }
    return have === 1 ? want : have;
  });
}

/** Repeats dimensions of size 1. */
export function Expand(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const shape = expandedShape(context, x.shape, context.numbers(1));
  const aligned = [...new Array<number>(shape.length - x.shape.length).fill(1), ...x.shape];
  return repeated(
    context,
    reshaped(context, x, aligned, 'aligned'),
    shape.map((size, axis) => size / aligned[axis]!),
  );
}

export function Tile(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const repeats = context.numbers(1);
  if (repeats.length !== x.shape.length || repeats.some((count) => count < 1)) {
    context.refuse(`repeats [${repeats.join(', ')}] do not fit [${x.shape.join(', ')}]`);
  }
  return repeated(context, x, repeats);
}

/** Longest axis that repeats something: index lists are no place for more. */
const largestAxis = 2 ** 22;

/** x beside itself, so many times along each axis. */
function repeated(context: OnnxNodeContext, x: Dynamic, repeats: readonly number[]): Dynamic {
  const form = context.builder.preferredForm([x]);
  const rank = x.shape.length;
  let id = context.builder.in(form, x);
  repeats.forEach((count, axis) => {
    if (count === 1) return;
    const place = rank < 3 ? axis : axisIn(form, rank, axis);
    const size = x.shape[axis]!;
    if (size * count > largestAxis) context.refuse(`axis ${axis} would have ${size * count} entries`);
    const indices = Array.from({ length: size * count }, (_, index) => index % size);
    id = context.add({ op: 'take', inputs: [id], attrs: { axis: place, indices }, weights: {} }, `repeat${axis}`);
  });
  return context.result(form, id);
}

export function Identity(context: OnnxNodeContext): Operand {
  return context.input(0);
}

/** Nothing at inference; the rate is kept for training. Its mask is all ones then, and nobody's. */
export function Dropout(context: OnnxNodeContext): Dynamic {
  if (context.optional(2) !== null && context.numbers(2)[0] !== 0) context.refuse('training mode is not supported');
  const ratio = context.optional(1) === null ? context.float('ratio', 0.5) : (context.numbers(1)[0] ?? 0.5);
  const x = context.dynamic(0);
  return context.pointwise(x, (inputs) => ({ op: 'dropout', inputs, attrs: { rate: ratio }, weights: {} }));
}

/** Between floating-point types nothing changes: everything is computed in float32. */
export function Cast(context: OnnxNodeContext): Operand {
  const type = context.int('to', 1);
  const input = context.input(0);
  const isWhole = input.kind === 'dynamic' && input.note?.kind === 'whole';
  if (!isFloatType(type) && !isWhole) context.refuse(`a cast to ${elementTypeName(type)} is not supported`);
  return context.dynamic(0);
}

/** A cast to the type of another value, of which only floating-point ones run through a network. */
export function CastLike(context: OnnxNodeContext): Operand {
  const like = context.input(1);
  if (like.kind === 'constant' && !like.isFloat) context.refuse('a cast to integers is not supported');
  return context.dynamic(0);
}

export function DepthToSpace(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const [batch = 1, channels = 0, height = 0, width = 0] = x.shape;
  const block = context.int('blocksize', 0);
  if (x.shape.length !== 4 || block < 1 || channels % block ** 2 !== 0) {
    context.refuse(`blocks of ${block} do not fit [${x.shape.join(', ')}]`);
  }
  const rest = channels / block ** 2;
  const isColumnRow = context.string('mode', 'DCR') === 'CRD';
  const split = isColumnRow ? [batch, rest, block, block, height, width] : [batch, block, block, rest, height, width];
  const permutation = isColumnRow ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2];
  return rearranged(context, x, split, permutation, [batch, rest, height * block, width * block]);
}

export function SpaceToDepth(context: OnnxNodeContext): Dynamic {
  const x = context.dynamic(0);
  const [batch = 1, channels = 0, height = 0, width = 0] = x.shape;
  const block = context.int('blocksize', 0);
  if (x.shape.length !== 4 || block < 1 || height % block !== 0 || width % block !== 0) {
    context.refuse(`blocks of ${block} do not fit [${x.shape.join(', ')}]`);
  }
  const [rows, columns] = [height / block, width / block];
  const split = [batch, channels, rows, block, columns, block];
  const permutation = context.string('mode', 'DCR') === 'CRD' ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
  return rearranged(context, x, split, permutation, [batch, channels * block ** 2, rows, columns]);
}

/** Reshape, transpose, reshape. */
function rearranged(
  context: OnnxNodeContext,
  x: Dynamic,
  split: Shape,
  permutation: readonly number[],
  shape: Shape,
): Dynamic {
  const parts = reshaped(context, x, split, 'split');
  const inputs = [context.builder.in('given', parts)];
  const moved = context.add({ op: 'transpose', inputs, attrs: { permutation }, weights: {} }, 'moved');
  return reshaped(context, context.result('given', moved), shape);
}
