import { elementCount, type Shape } from '@dgconv/core';
import type { Dynamic, Operand } from '../tflite-graph.js';
import { filledShape, type TfliteNode, type TfliteOp } from '../tflite-node.js';

const RESHAPE: TfliteOp = (node) => {
  const x = node.value(0);
  const shape = node.optional(1) === null ? node.ints(0) : node.numbers(1);
  return node.reshape(x, filledShape(shape, elementCount(x.shape)));
};

const SQUEEZE: TfliteOp = (node) => {
  const x = node.value(0);
  const axes = new Set(node.ints(0).map((axis) => node.axis(axis, x.shape.length)));
  return node.reshape(x, x.shape.filter((size, axis) => (axes.size === 0 ? size !== 1 : !axes.has(axis)))); // prettier-ignore
};

const EXPAND_DIMS: TfliteOp = (node) => {
  const x = node.value(0);
  const axis = node.axis(node.numbers(1)[0] ?? 0, x.shape.length + 1);
  return node.reshape(x, x.shape.toSpliced(axis, 0, 1));
};

const TRANSPOSE: TfliteOp = (node) => node.transpose(node.value(0), node.numbers(1));

const CONCATENATION: TfliteOp = (node) => {
  const values = node.inputs.map((_, index) => node.value(index));
  const axis = node.axis(node.int(0), values[0]?.shape.length ?? 0);
  const inputs = values.map(({ id }) => id);
  return node.addActivated({ op: 'concat', inputs, attrs: { axis }, weights: {} }, node.fused(1));
};

const PACK: TfliteOp = (node) => {
  const values = node.inputs.map((_, index) => node.value(index));
  const axis = node.axis(node.int(1), (values[0]?.shape.length ?? 0) + 1);
  const inputs = values.map(
    (value, index) => node.reshape(value, value.shape.toSpliced(axis, 0, 1), `item ${index}`).id,
  );
  return node.add({ op: 'concat', inputs, attrs: { axis }, weights: {} });
};

const sliceNode = (x: Dynamic, starts: readonly number[], sizes: readonly number[], steps?: readonly number[]) =>
  ({ op: 'slice', inputs: [x.id], attrs: { starts, sizes, steps: steps ?? sizes.map(() => 1) }, weights: {} }) as const;

/** Parts of these sizes along an axis, each a result. */
const parts = (node: TfliteNode, x: Dynamic, axis: number, sizes: readonly number[]): Dynamic[] => {
  let start = 0;
  return sizes.map((size, index) => {
    const starts = x.shape.map((_, place) => (place === axis ? start : 0));
    start += size;
    return node.named(index, sliceNode(x, starts, x.shape.with(axis, size)));
  });
};

const SPLIT: TfliteOp = (node) => {
  const x = node.value(1);
  const axis = node.axis(node.numbers(0)[0] ?? 0, x.shape.length);
  const count = node.int(0);
  if (count < 1 || x.shape[axis]! % count !== 0)
    node.refuse(`${count} equal parts of ${x.shape[axis]} are not possible`);
  return parts(node, x, axis, new Array<number>(count).fill(x.shape[axis]! / count));
};

const SPLIT_V: TfliteOp = (node) => {
  const x = node.value(0);
  const axis = node.axis(node.numbers(2)[0] ?? 0, x.shape.length);
  const sizes = node.numbers(1);
  const known = sizes.reduce((sum, size) => sum + Math.max(size, 0), 0);
  const filled = sizes.map((size) => (size < 0 ? x.shape[axis]! - known : size));
  return parts(node, x, axis, filled);
};

const UNPACK: TfliteOp = (node) => {
  const x = node.value(0);
  const axis = node.axis(node.int(1), x.shape.length);
  const shape = x.shape.toSpliced(axis, 1);
  return Array.from({ length: node.int(0) }, (_, index) => {
    const starts = x.shape.map((__, place) => (place === axis ? index : 0));
    const part = node.add(sliceNode(x, starts, x.shape.with(axis, 1)), `part ${index}`);
    return node.named(index, { op: 'reshape', inputs: [part.id], attrs: { shape }, weights: {} });
  });
};

const SLICE: TfliteOp = (node) => {
  const x = node.value(0);
  const [starts, given] = [node.numbers(1), node.numbers(2)];
  const sizes = given.map((size, axis) => (size < 0 ? (x.shape[axis] ?? 0) - (starts[axis] ?? 0) : size));
  return node.add(sliceNode(x, starts, sizes));
};

/** As in TensorFlow: masks say where begin or end is the border, and which axes are single indices that go. */
const STRIDED_SLICE: TfliteOp = (node) => {
  const x = node.value(0);
  const [begins, ends, steps] = [node.numbers(1), node.numbers(2), node.numbers(3)];
  const [beginMask, endMask, ellipsis, newAxis, shrink] = [0, 1, 2, 3, 4].map((slot) => node.int(slot)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (ellipsis !== 0 || newAxis !== 0) node.refuse('an ellipsis or a new axis is not supported');
  if (begins.length > x.shape.length || ends.length !== begins.length || steps.length !== begins.length)
    node.refuse(`begin, end and strides have ${begins.length}, ${ends.length} and ${steps.length} entries`);
  const has = (mask: number, axis: number): boolean => ((mask >> axis) & 1) === 1;
  const ranges = x.shape.map((size, axis) => {
    const step = steps[axis] ?? 1;
    if (step === 0) node.refuse('a stride is 0');
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const place = (index: number): number => Math.min(Math.max(index < 0 ? index + size : index, low), high);
    const isGiven = axis < begins.length;
    const start = !isGiven || has(beginMask, axis) ? (step > 0 ? 0 : size - 1) : place(begins[axis]!);
    if (isGiven && has(shrink, axis)) return { start, size: 1, step: 1 };
    const end = !isGiven || has(endMask, axis) ? (step > 0 ? size : -1) : place(ends[axis]!);
    return { start, size: Math.max(Math.ceil((end - start) / step), 0), step };
  });
  const shape = ranges.flatMap((range, axis) => (axis < begins.length && has(shrink, axis) ? [] : [range.size]));
  const isShrunk = shape.length !== x.shape.length;
  const slice = sliceNode(
    x,
    ranges.map(({ start }) => start),
    ranges.map(({ size }) => size),
    ranges.map(({ step }) => step),
  );
  return isShrunk ? node.reshape(node.add(slice, 'slice'), shape) : node.add(slice);
};

const GATHER: TfliteOp = (node) => {
  const x = node.value(0);
  const { shape } = node.constant(1);
  const axis = node.axis(node.int(0), x.shape.length);
  if (node.int(1) !== 0) node.refuse(`${node.int(1)} batch dimensions are not supported`);
  const attrs = { axis, indices: node.numbers(1) };
  const taken = { op: 'take', inputs: [x.id], attrs, weights: {} } as const;
  if (shape.length === 1) return node.add(taken);
  return node.reshape(node.add(taken, 'taken'), x.shape.toSpliced(axis, 1, ...shape));
};

const REVERSE_V2: TfliteOp = (node) => {
  const x = node.value(0);
  const axes = new Set(node.numbers(1).map((axis) => node.axis(axis, x.shape.length)));
  const starts = x.shape.map((size, axis) => (axes.has(axis) ? size - 1 : 0));
  return node.add(sliceNode(x, starts, x.shape, x.shape.map((_, axis) => (axes.has(axis) ? -1 : 1)))); // prettier-ignore
};

const TILE: TfliteOp = (node) => {
  const counts = node.numbers(1);
  const x = node.value(0);
  const last = counts.findLastIndex((count) => count !== 1);
  if (counts.length !== x.shape.length || counts.some((count) => !(count >= 1 && count <= 4096)))
    node.refuse(`[${x.shape.join(', ')}] cannot be repeated [${counts.join(', ')}] times`);
  if (last < 0) return node.add({ op: 'identity', inputs: [x.id], attrs: {}, weights: {} });
  return counts.reduce((value, count, axis) => {
    if (count === 1) return value;
    const inputs = new Array<string>(count).fill(value.id);
    return node.add({ op: 'concat', inputs, attrs: { axis }, weights: {} }, axis === last ? '' : `axis ${axis}`);
  }, x);
};

const BROADCAST_TO: TfliteOp = (node) => {
  const ones = node.graph.fill(node.numbers(1), 1);
  return node.binary(node.value(0), node.graph.materialise(ones, `${node.id}/ones`, node.id), 'multiply');
};

/** Amounts before and after each axis. */
const paddings = (node: TfliteNode, rank: number): { before: number[]; after: number[] } => {
  const amounts = node.numbers(1);
  if (amounts.length !== 2 * rank) node.refuse(`it has ${amounts.length} amounts for ${rank} axes`);
  return {
    before: amounts.filter((_, index) => index % 2 === 0),
    after: amounts.filter((_, index) => index % 2 === 1),
  };
};

const padBy = (node: TfliteNode, value: number): Dynamic => {
  const x = node.value(0);
  const attrs = { ...paddings(node, x.shape.length), mode: 'constant', value } as const;
  return node.add({ op: 'pad', inputs: [x.id], attrs, weights: {} });
};

const MIRROR_PAD: TfliteOp = (node) => {
  const x = node.value(0);
  const { before, after } = paddings(node, x.shape.length);
  const isSymmetric = node.byte(0) === 1;
  if (!isSymmetric || [...before, ...after].every((amount) => amount <= 1)) {
    const attrs = { before, after, mode: isSymmetric ? 'edge' : 'reflect', value: 0 } as const;
    return node.add({ op: 'pad', inputs: [x.id], attrs, weights: {} });
  }
  const last = x.shape.findLastIndex((_, axis) => before[axis]! + after[axis]! > 0);
  return x.shape.reduce((value, size, axis) => {
    const [front, back] = [before[axis]!, after[axis]!];
    if (front + back === 0) return value;
    if (Math.max(front, back) > size)
      node.refuse(`padding ${front} and ${back} mirrors more than the ${size} elements`);
    const indices = Array.from({ length: front + size + back }, (_, at) => {
      const place = at - front;
      return place < 0 ? -1 - place : place >= size ? 2 * size - 1 - place : place;
    });
    const taken = { op: 'take', inputs: [value.id], attrs: { axis, indices }, weights: {} } as const;
    return node.add(taken, axis === last ? '' : `axis ${axis}`);
  }, x);
};

/** Reshape, transpose, reshape. */
const rearranged = (node: TfliteNode, split: Shape, permutation: readonly number[], shape: Shape): Dynamic =>
  node.reshape(node.transpose(node.reshape(node.value(0), split, 'split'), permutation, 'moved'), shape);

const DEPTH_TO_SPACE: TfliteOp = (node) => {
  const [batch, height, width, channels] = node.images(0).shape as [number, number, number, number];
  const block = node.int(0);
  if (block < 1 || channels % block ** 2 !== 0) node.refuse(`blocks of ${block} do not fit ${channels} channels`);
  const rest = channels / block ** 2;
  const shape = [batch, height * block, width * block, rest];
  return rearranged(node, [batch, height, width, block, block, rest], [0, 1, 3, 2, 4, 5], shape);
};

const SPACE_TO_DEPTH: TfliteOp = (node) => {
  const [batch, height, width, channels] = node.images(0).shape as [number, number, number, number];
  const block = node.int(0);
  if (block < 1 || height % block !== 0 || width % block !== 0)
    node.refuse(`blocks of ${block} do not fit ${height}×${width} pixels`);
  const [rows, columns] = [height / block, width / block];
  const shape = [batch, rows, columns, channels * block ** 2];
  return rearranged(node, [batch, rows, block, columns, block, channels], [0, 1, 3, 2, 4, 5], shape);
};

/** A resize of `[N, H, W, C]` to the constant size in input 1. */
const resize = (node: TfliteNode, mode: 'nearest' | 'linear', alignSlot: number): Dynamic => {
  const x = node.images(0);
  const size = node.numbers(1);
  if (size.length !== 2) node.refuse(`its size [${size.join(', ')}] has no two entries`);
  const [align, half] = [node.byte(alignSlot) === 1, node.byte(alignSlot + 1) === 1];
  const attrs = {
    size: [size[0]!, size[1]!],
    mode,
    coordinates: align ? 'align-corners' : half ? 'half-pixel' : 'asymmetric',
    rounding: align || half ? 'round-prefer-ceil' : 'floor',
    scales: null,
  } as const;
  return node.add({ op: 'resize', inputs: [x.id], attrs, weights: {} });
};

const shapeConstant = (node: TfliteNode, values: readonly number[], shape: Shape): Operand =>
  node.graph.constant(node.id, shape, false, () => Float64Array.from(values));

const SHAPE: TfliteOp = (node) => {
  const { shape } = node.input(0);
  return shapeConstant(node, shape, [shape.length]);
};

/** Importers of operators that move elements or tell their number, by operator. */
export const shapeOps: Readonly<Record<string, TfliteOp>> = {
  RESHAPE,
  SQUEEZE,
  EXPAND_DIMS,
  TRANSPOSE,
  CONCATENATION,
  PACK,
  UNPACK,
  SPLIT,
  SPLIT_V,
  SLICE,
  STRIDED_SLICE,
  GATHER,
  REVERSE_V2,
  TILE,
  BROADCAST_TO,
  PAD: (node) => padBy(node, 0),
  PADV2: (node) => padBy(node, node.numbers(2)[0] ?? 0),
  MIRROR_PAD,
  DEPTH_TO_SPACE,
  SPACE_TO_DEPTH,
  RESIZE_BILINEAR: (node) => resize(node, 'linear', 2),
  RESIZE_NEAREST_NEIGHBOR: (node) => resize(node, 'nearest', 0),
  SHAPE,
  RANK: (node) => shapeConstant(node, [node.input(0).shape.length], []),
  FILL: (node) => node.graph.fill(node.numbers(0), node.constant(1).read()[0] ?? 0),
};
