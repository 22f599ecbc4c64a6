import {
  broadcastShape,
  elementCount,
  fillWeight,
  type Shape,
  stridesOf,
  transposeWeight,
  reshapeWeight,
} from '@dgconv/core';
import { type Constant, largestValue } from './constant.js';
import type { Operand } from './onnx-graph.js';
import { numbersOf, type OnnxNodeContext } from './onnx-node.js';
import { placesOf } from './onnx-ops/gather.js';
import {
  cutsOf,
  expandedShape,
  permutationOf,
  requestedShape,
  squeezedShape,
  unsqueezedShape,
} from './onnx-ops/shape.js';
import { isFloatType } from './onnx-tensor.js';

/** ONNX's element type of truth values. */
const boolean = 9;

/** Numbers that folding may make at once. */
const largestResult = 2 ** 22;

/** Operators that only look at a constant in another way, however large it is. */
const views: ReadonlySet<string> = new Set([
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Cast',
]);

const binaryOperators = `Add Sub Mul Div Pow Mod Equal Less Greater LessOrEqual GreaterOrEqual And Or
Gather GatherND Expand Tile`;

/** How many inputs those need that need more than one. */
const leastInputs: ReadonlyMap<string, number> = new Map([
  ...binaryOperators.split(/\s/).map((operator) => [operator, 2] as const),
  ['Range', 3],
  ['Where', 3],
]);

/** One operator on constants. */
type Fold = (context: OnnxNodeContext, inputs: readonly Constant[]) => Constant | readonly Constant[];

/**
 * The outputs of a node whose inputs are all known, or null if it is no operator that folds. `Shape` and `Size` fold for every input.
 * @throws {UnsupportedError} if inputs do not fit.
 */
export function foldConstants(context: OnnxNodeContext): readonly Operand[] | null {
  const { operator } = context.node;
  if (operator === 'Shape' || operator === 'Size') return [shapeOf(context)];
  const fold = folds.get(operator);
  if (fold === undefined) return null;
  for (let index = 0; index < (leastInputs.get(operator) ?? 1); index++) context.input(index);
  const inputs = context.inputs.filter((input) => input !== null);
  if (!inputs.every((input): input is Constant => input.kind === 'constant')) return null;
  // Arithmetic on large weights is left to the network.
  const isLarge = inputs.some(({ shape, isFloat }) => isFloat && elementCount(shape) > largestResult);
  if (isLarge && !views.has(operator)) return null;
  const result = fold(context, inputs);
  return Array.isArray(result) ? (result as readonly Constant[]) : [result as Constant];
}

function shapeOf(context: OnnxNodeContext): Constant {
  const { shape } = context.input(0);
  if (context.node.operator === 'Size') return integers(context, [], [elementCount(shape)]);
  const kept = shape.slice(context.int('start', 0), context.has('end') ? context.int('end', 0) : undefined);
  return integers(context, [kept.length], kept);
}

function integers(context: OnnxNodeContext, shape: Shape, values: readonly number[]): Constant {
  return context.builder.constant(context.id, shape, Float64Array.from(values), false);
}

function made(context: OnnxNodeContext, shape: Shape, values: Float64Array, isFloat: boolean): Constant {
  // Every step is rounded, as in the runtime that would compute it in float32.
  return context.builder.constant(context.id, shape, isFloat ? Float32Array.from(values) : values, isFloat);
}

/** One number everywhere, which may be a large weight: it takes memory only where its values are read. */
function filled(context: OnnxNodeContext, shape: Shape, value: number): Constant {
  if (!shape.every((size) => Number.isInteger(size) && size >= 0) || !(elementCount(shape) <= largestValue)) {
    context.refuse(`a constant of shape [${shape.join(', ')}] is not between 0 and 2^28 values`);
  }
  const rounded = Math.fround(value);
  const read = (): Float32Array => new Float32Array(elementCount(shape)).fill(rounded);
  return { kind: 'constant', shape, isFloat: true, weight: fillWeight(shape, rounded), read };
}

function allocate(context: OnnxNodeContext, shape: Shape): Float64Array {
  const count = elementCount(shape);
  if (!(count <= largestResult)) context.refuse(`a constant of shape [${shape.join(', ')}] is too large to be folded`);
  return new Float64Array(count);
}

/** A constant in another order: big weights stay expressions, integers are moved. */
function viewed(
  context: OnnxNodeContext,
  x: Constant,
  shape: Shape,
  weight: Constant['weight'] | null,
  move: () => Float64Array,
): Constant {
  if (!x.isFloat || weight === null) return made(context, shape, move(), x.isFloat);
  return { kind: 'constant', shape, isFloat: true, weight, read: () => move() };
}

function reshapedConstant(context: OnnxNodeContext, x: Constant, shape: Shape): Constant {
  if (elementCount(shape) !== elementCount(x.shape)) {
    context.refuse(`[${x.shape.join(', ')}] cannot be reshaped to [${shape.join(', ')}]`);
  }
  return {
    ...x,
    shape,
    read: () => x.read(),
    get weight() {
      return reshapeWeight(x.weight, shape);
    },
  };
}

/** Values of x by positions: result element p is x at `offset + Σ_axis p_axis·strides[axis]`. */
function gathered(
  shape: Shape,
  strides: readonly number[],
  offset: number,
  values: ArrayLike<number>,
  to: Float64Array,
): Float64Array {
  let position = 0;
  const walk = (axis: number, from: number): void => {
    if (axis === shape.length) {
      to[position++] = values[from]!;
      return;
    }
    for (let k = 0; k < shape[axis]!; k++) walk(axis + 1, from + k * strides[axis]!);
  };
  walk(0, offset);
  return to;
}

/** Strides that repeat dimensions of size 1. */
function broadcastStrides(shape: Shape, to: Shape): number[] {
  const own = stridesOf(shape);
  const skipped = to.length - shape.length;
  return to.map((_, axis) => (axis < skipped || shape[axis - skipped] === 1 ? 0 : own[axis - skipped]!));
}

const elementwise =
  (of: (a: number, b: number) => number, isComparison = false): Fold =>
  (context, inputs) => {
    const [left, right] = inputs as [Constant, Constant];
    const shape = broadcastShape(left.shape, right.shape);
    const spread = (x: Constant): Float64Array =>
      gathered(shape, broadcastStrides(x.shape, shape), 0, numbersOf(x, context), allocate(context, shape));
    const [a, b] = [spread(left), spread(right)];
    return made(
      context,
      shape,
      a.map((value, index) => of(value, b[index]!)),
      !isComparison && left.isFloat,
    );
  };

/** The same over any number of operands. */
const chained =
  (of: (a: number, b: number) => number): Fold =>
  (context, inputs) =>
    inputs.slice(1).reduce((left, right) => elementwise(of)(context, [left, right]) as Constant, inputs[0]!);

const unary =
  (of: (x: number) => number): Fold =>
  (context, inputs) => {
    const [x] = inputs as [Constant];
    return made(context, x.shape, Float64Array.from(numbersOf(x, context), of), x.isFloat);
  };

const reduction =
  (of: (a: number, b: number) => number): Fold =>
  (context, inputs) => {
    const [x] = inputs as [Constant];
    const rank = x.shape.length;
    const axes = context.list('axes', 1)?.map((axis) => context.axis(axis, rank)) ?? x.shape.map((_, axis) => axis);
    const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const strides = broadcastStrides(kept, x.shape);
    const totals = new Map<number, number>();
    const values = numbersOf(x, context);
    const places = Float64Array.from({ length: elementCount(kept) }, (_, index) => index);
    const targets = gathered(x.shape, strides, 0, places, new Float64Array(values.length));
    values.forEach((value, index) => {
      const target = targets[index]!;
      const before = totals.get(target);
      totals.set(target, before === undefined ? value : of(before, value));
    });
    const result = Float64Array.from(places, (place) => totals.get(place) ?? 0);
    const shape = context.int('keepdims', 1) === 1 ? kept : x.shape.filter((_, axis) => !axes.includes(axis));
    return made(context, shape, result, x.isFloat);
  };

const folds: ReadonlyMap<string, Fold> = new Map<string, Fold>([
  ['Identity', (_, [x]) => x!],
  ['Add', elementwise((a, b) => a + b)],
  ['Sub', elementwise((a, b) => a - b)],
  ['Mul', elementwise((a, b) => a * b)],
  [
    'Div',
    (context, inputs) =>
      elementwise(inputs[0]!.isFloat ? (a, b) => a / b : (a, b) => Math.trunc(a / b))(context, inputs),
  ],
  ['Pow', elementwise((a, b) => a ** b)],
  [
    'Mod',
    (context, inputs) =>
      elementwise(context.int('fmod', 0) === 1 ? (a, b) => a % b : (a, b) => a - b * Math.floor(a / b))(
        context,
        inputs,
      ),
  ],
  ['Max', chained(Math.max)],
  ['Min', chained(Math.min)],
  ['Equal', elementwise((a, b) => Number(a === b), true)],
  ['Less', elementwise((a, b) => Number(a < b), true)],
  ['Greater', elementwise((a, b) => Number(a > b), true)],
  ['LessOrEqual', elementwise((a, b) => Number(a <= b), true)],
  ['GreaterOrEqual', elementwise((a, b) => Number(a >= b), true)],
  ['And', elementwise((a, b) => Number(a !== 0 && b !== 0), true)],
  ['Or', elementwise((a, b) => Number(a !== 0 || b !== 0), true)],
  ['Not', unary((x) => Number(x === 0))],
  ['Neg', unary((x) => -x)],
  ['Abs', unary(Math.abs)],
  ['Sqrt', unary(Math.sqrt)],
  ['Sign', unary(Math.sign)],
  ['Floor', unary(Math.floor)],
  ['Ceil', unary(Math.ceil)],
  ['Reciprocal', unary((x) => 1 / x)],
  ['ReduceProd', reduction((a, b) => a * b)],
  ['ReduceSum', reduction((a, b) => a + b)],
  ['ReduceMax', reduction(Math.max)],
  ['ReduceMin', reduction(Math.min)],
  [
    'Cast',
    (context, [x]) => {
      const type = context.int('to', 1);
      const isFloat = isFloatType(type);
      if (isFloat === x!.isFloat && type !== boolean) return x!;
      const values = numbersOf(x!, context);
      if (type === boolean)
        return made(
          context,
          x!.shape,
          Float64Array.from(values, (value) => Number(value !== 0)),
          false,
        );
      return made(context, x!.shape, Float64Array.from(values, isFloat ? (value) => value : Math.trunc), isFloat);
    },
  ],
  [
    'Range',
    (context, inputs) => {
      const [start, limit, delta] = inputs.map((input) => numbersOf(input, context)[0] ?? NaN) as [
        number,
        number,
        number,
      ];
      const count = Math.max(Math.ceil((limit - start) / delta), 0);
      const values = allocate(context, [count]);
      return made(
        context,
        [count],
        values.map((_, index) => start + index * delta),
        inputs[0]!.isFloat,
      );
    },
  ],
  [
    'ConstantOfShape',
    (context, [request]) => {
      const shape = numbersOf(request!, context);
      const tensor = context.attribute('value')?.tensor ?? null;
      const value = tensor?.read(context.builder.readExternal)[0] ?? 0;
      const isFloat = tensor === null || isFloatType(tensor.elementType);
      return isFloat
        ? filled(context, shape, value)
        : made(context, shape, allocate(context, shape).fill(value), false);
    },
  ],
  [
    'Reshape',
    (context, [x]) => reshapedConstant(context, x!, requestedShape(context, x!.shape, context.list('shape', 1) ?? [])),
  ],
  ['Squeeze', (context, [x]) => reshapedConstant(context, x!, squeezedShape(context, x!.shape))],
  ['Unsqueeze', (context, [x]) => reshapedConstant(context, x!, unsqueezedShape(context, x!.shape))],
  [
    'Flatten',
    (context, [x]) => {
      const axis = context.int('axis', 1);
      const split = axis < 0 ? axis + x!.shape.length : axis;
      return reshapedConstant(context, x!, [
        elementCount(x!.shape.slice(0, split)),
        elementCount(x!.shape.slice(split)),
      ]);
    },
  ],
  [
    'Transpose',
    (context, [x]) => {
      const permutation = permutationOf(context, x!.shape.length);
      const shape = permutation.map((axis) => x!.shape[axis]!);
      const own = stridesOf(x!.shape);
      const strides = permutation.map((axis) => own[axis]!);
      const move = (): Float64Array => gathered(shape, strides, 0, x!.read(), new Float64Array(elementCount(shape)));
      return viewed(context, x!, shape, x!.isFloat ? transposeWeight(x!.weight, permutation) : null, move);
    },
  ],
  [
    'Slice',
    (context, [x]) => {
      const cuts = cutsOf(context, x!.shape);
      const own = stridesOf(x!.shape);
      const cut = (axis: number) => cuts.find((candidate) => candidate.axis === axis);
      const shape = x!.shape.map((size, axis) => cut(axis)?.size ?? size);
      const offset = cuts.reduce((sum, { axis, start }) => sum + start * own[axis]!, 0);
      const strides = own.map((stride, axis) => stride * (cut(axis)?.step ?? 1));
      return made(
        context,
        shape,
        gathered(shape, strides, offset, numbersOf(x!, context), allocate(context, shape)),
        x!.isFloat,
      );
    },
  ],
  [
    'Gather',
    (context, inputs) => {
      const [x, indices] = inputs as [Constant, Constant];
      const axis = context.axis(context.int('axis', 0), x.shape.length);
      const length = x.shape[axis]!;
      const positions = numbersOf(indices, context).map((index) => (index < 0 ? index + length : index));
      if (positions.some((index) => !(index >= 0 && index < length)))
        context.refuse(`an index is outside ${length} entries`);
      const outer = elementCount(x.shape.slice(0, axis));
      const inner = elementCount(x.shape.slice(axis + 1));
      const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
      const values = numbersOf(x, context);
      const result = allocate(context, shape);
      let place = 0;
      for (let block = 0; block < outer; block++)
        for (const index of positions)
          for (let k = 0; k < inner; k++) result[place++] = values[(block * length + index) * inner + k]!;
      return made(context, shape, result, x.isFloat);
    },
  ],
  [
    'GatherND',
    (context, [x]) => {
      if (context.int('batch_dims', 0) !== 0) context.refuse("'batch_dims' must be 0");
      const { shape, indices, rest } = placesOf(context, x!.shape);
      const values = numbersOf(x!, context);
      const size = elementCount(rest);
      const result = allocate(context, shape);
      indices.forEach((index, at) => result.set(values.slice(index * size, (index + 1) * size), at * size));
      return made(context, shape, result, x!.isFloat);
    },
  ],
  [
    'Concat',
    (context, inputs) => {
      const [first] = inputs as [Constant];
      const axis = context.axis(context.int('axis', 0), first.shape.length);
      const total = inputs.reduce((sum, { shape }) => sum + (shape[axis] ?? 0), 0);
      const shape = first.shape.with(axis, total);
      const outer = elementCount(shape.slice(0, axis));
      const result = allocate(context, shape);
      const chunks = inputs.map((input) => {
        const isFit =
          input.shape.length === shape.length && input.shape.every((size, at) => at === axis || size === shape[at]);
        if (!isFit) context.refuse(`[${input.shape.join(', ')}] does not fit beside [${first.shape.join(', ')}]`);
        return { values: numbersOf(input, context), size: elementCount(input.shape.slice(axis)) };
      });
      let place = 0;
      for (let block = 0; block < outer; block++)
        for (const { values, size } of chunks)
          for (let k = 0; k < size; k++) result[place++] = values[block * size + k]!;
      return made(context, shape, result, first.isFloat);
    },
  ],
  [
    'Expand',
    (context, inputs) => {
      const [x] = inputs as [Constant];
      const shape = expandedShape(context, x.shape, context.numbers(1));
      const strides = broadcastStrides(x.shape, shape);
      return made(
        context,
        shape,
        gathered(shape, strides, 0, numbersOf(x, context), allocate(context, shape)),
        x.isFloat,
      );
    },
  ],
  [
    'Tile',
    (context, inputs) => {
      const [x] = inputs as [Constant];
      const repeats = context.numbers(1);
      const paired = x.shape.flatMap((size, axis) => [repeats[axis] ?? 1, size]);
      const strides = stridesOf(x.shape).flatMap((stride) => [0, stride]);
      const shape = x.shape.map((size, axis) => size * (repeats[axis] ?? 1));
      return made(
        context,
        shape,
        gathered(paired, strides, 0, numbersOf(x, context), allocate(context, shape)),
        x.isFloat,
      );
    },
  ],
  [
    'Where',
    (context, inputs) => {
      const [condition, yes, no] = inputs as [Constant, Constant, Constant];
      const shape = broadcastShape(broadcastShape(condition.shape, yes.shape), no.shape);
      const spread = (x: Constant): Float64Array =>
        gathered(shape, broadcastStrides(x.shape, shape), 0, numbersOf(x, context), allocate(context, shape));
      const [picks, taken, other] = [spread(condition), spread(yes), spread(no)];
      return made(
        context,
        shape,
        picks.map((pick, index) => (pick !== 0 ? taken[index]! : other[index]!)),
        yes.isFloat,
      );
    },
  ],
]);
