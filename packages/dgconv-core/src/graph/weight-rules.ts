import { InvalidInputError } from '../errors.js';
import { checkPermutation } from '../grouping/permutation.js';
import { compactKernel, compactShape, expandKernel, type Floats, reorderKernel, scaleOutputs } from './compact.js';
import { checkShape, elementCount, formatShape, sameShape, type Shape, stridesOf } from './shape.js';
import type { Weight, WeightSource } from './weights.js';

type WeightKind = Weight['kind'];
type WeightOf<K extends WeightKind> = Weight extends infer W
  ? W extends { readonly kind: infer Kinds }
    ? K extends Kinds
      ? W
      : never
    : never
  : never;

interface Tensor {
  readonly shape: Shape;
  readonly values: Floats;
}

/** Shape and values of one kind of expression; `inputs` are its operands in the order of {@link operandsOf}. */
interface Rule<K extends WeightKind> {
  shape(weight: WeightOf<K>, inputs: readonly Shape[], source: WeightSource): Shape;
  values(weight: WeightOf<K>, inputs: readonly Tensor[], source: WeightSource): Floats;
}

/** The expressions that an expression is made of: `of` before `by`, `left` before `right`. */
export function operandsOf(weight: Weight): readonly Weight[] {
  const operands: Weight[] = [];
  if ('of' in weight) operands.push(weight.of);
  if ('by' in weight) operands.push(weight.by);
  if ('left' in weight) operands.push(weight.left, weight.right);
  return operands;
}

function refuse(rule: string): never {
  throw new InvalidInputError(rule);
}

function checkAxis(shape: Shape, axis: number, kind: string): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    refuse(`${kind} along axis ${axis} of a weight of shape ${formatShape(shape)}`);
}

function checkVector(shape: Shape, length: number, kind: string): void {
  if (!sameShape(shape, [length])) refuse(`${kind} by a weight of shape ${formatShape(shape)}, it must be [${length}]`);
}

/** Height and width of the compact kernel that `shape` is said to be. */
function compactKernelSize(weight: WeightOf<'expand' | 'reorder' | 'scale-outputs'>, shape: Shape): [number, number] {
  const size: [number, number] = [shape.at(-2) ?? 0, shape.at(-1) ?? 0];
  const expected = compactShape(weight.grouping, size);
  if (!sameShape(shape, expected))
    refuse(
      `${weight.kind} of a weight of shape ${formatShape(shape)}, the grouping's kernel is ${formatShape(expected)}`,
    );
  return size;
}

const elementwise = (operation: (left: number, right: number) => number): Rule<'add' | 'subtract' | 'multiply'> => ({
  shape(weight, [left, right]) {
    if (!sameShape(left!, right!))
      refuse(
        `${weight.kind} of weights of shapes ${formatShape(left!)} and ${formatShape(right!)}, they must be equal`,
      );
    return left!;
  },
  values(_, [left, right]) {
    const result = new Float64Array(left!.values.length);
    for (let k = 0; k < result.length; k++) result[k] = operation(left!.values[k]!, right!.values[k]!);
    return result;
  },
});

const lastTwo = (shape: Shape): number => elementCount(shape.slice(-2));

const rules: { readonly [K in WeightKind]: Rule<K> } = {
  stored: {
    shape: (weight, _, source) => source.shape(weight.name),
    values(weight, _, source) {
      const values = source.read(weight.name);
      const count = elementCount(source.shape(weight.name));
      if (values.length !== count)
        refuse(`tensor '${weight.name}' has ${values.length} values, its shape needs ${count}`);
      return values;
    },
  },
  literal: {
    shape(weight) {
      if (weight.values.length !== elementCount(weight.shape))
        refuse(`a literal weight of shape ${formatShape(weight.shape)} has ${weight.values.length} values`);
      return weight.shape;
    },
    values: (weight) => Float64Array.from(weight.values),
  },
  fill: {
    shape: (weight) => weight.shape,
    values: (weight) => new Float64Array(elementCount(weight.shape)).fill(weight.value),
  },
  reshape: {
    shape(weight, [of]) {
      if (elementCount(of!) !== elementCount(weight.shape))
        refuse(`reshape of a weight of shape ${formatShape(of!)} to ${formatShape(weight.shape)}`);
      return weight.shape;
    },
    values: (_, [of]) => of!.values,
  },
  transpose: {
    shape(weight, [of]) {
      checkPermutation(weight.permutation, 'transpose');
      if (weight.permutation.length !== of!.length)
        refuse(`transpose of a weight of shape ${formatShape(of!)} by ${weight.permutation.length} axes`);
      return weight.permutation.map((axis) => of![axis]!);
    },
    values: (weight, [of]) => transposeValues(of!, weight.permutation),
  },
  take: {
    shape(weight, [of]) {
      checkAxis(of!, weight.axis, 'take');
      const size = of![weight.axis]!;
      const wrong = weight.indices.find((index) => !(Number.isInteger(index) && index >= 0 && index < size));
      if (wrong !== undefined)
        refuse(`take of index ${wrong} along axis ${weight.axis} of a weight of shape ${formatShape(of!)}`);
      return of!.with(weight.axis, weight.indices.length);
    },
    values: (weight, [of]) => takeValues(of!, weight.axis, weight.indices),
  },
  scale: {
    shape(weight, [of, by]) {
      checkAxis(of!, weight.axis, 'scale');
      checkVector(by!, of![weight.axis]!, 'scale');
      return of!;
    },
    values(weight, [of, by]) {
      const result = new Float64Array(of!.values.length);
      const inner = stridesOf(of!.shape)[weight.axis]!;
      const size = of!.shape[weight.axis]!;
      for (let block = 0; block * inner < result.length; block++) {
        const factor = by!.values[block % size]!;
        for (let k = block * inner; k < (block + 1) * inner; k++) result[k] = of!.values[k]! * factor;
      }
      return result;
    },
  },
  compact: {
    shape(weight, [of]) {
      const { channelsOut, channelsIn } = weight.grouping;
      if (of!.length !== 4 || of![0] !== channelsOut || of![1] !== channelsIn)
        refuse(
          `compact of a weight of shape ${formatShape(of!)}, the grouping has ${channelsIn} → ${channelsOut} channels`,
        );
      return compactShape(weight.grouping, [of![2]!, of![3]!]);
    },
    values: (weight, [of]) => compactKernel(of!.values, weight.grouping, lastTwo(of!.shape)),
  },
  expand: {
    shape(weight, [of]) {
      const kernelSize = compactKernelSize(weight, of!);
      return [weight.grouping.channelsOut, weight.grouping.channelsIn, ...kernelSize];
    },
    values: (weight, [of]) => expandKernel(of!.values, weight.grouping, lastTwo(of!.shape)),
  },
  reorder: {
    shape(weight, [of]) {
      compactKernelSize(weight, of!);
      for (const [order, channels, what] of [
        [weight.outputOrder, weight.grouping.channelsOut, 'output order'],
        [weight.inputOrder, weight.grouping.channelsIn, 'input order'],
      ] as const) {
        checkPermutation(order, what);
        if (order.length !== channels) refuse(`${what} has ${order.length} channels, the grouping has ${channels}`);
      }
      return of!;
    },
    values: (weight, [of]) =>
      reorderKernel(of!.values, weight.grouping, weight.outputOrder, weight.inputOrder, lastTwo(of!.shape)),
  },
  'scale-outputs': {
    shape(weight, [of, by]) {
      compactKernelSize(weight, of!);
      checkVector(by!, weight.grouping.channelsOut, 'scale-outputs');
      return of!;
    },
    values: (weight, [of, by]) => scaleOutputs(of!.values, weight.grouping, by!.values, lastTwo(of!.shape)),
  },
  add: elementwise((left, right) => left + right),
  subtract: elementwise((left, right) => left - right),
  multiply: elementwise((left, right) => left * right),
  'inverse-root': {
    shape: (_, [of]) => of!,
    values: (weight, [of]) => Float64Array.from(of!.values, (value) => 1 / Math.sqrt(value + weight.epsilon)),
  },
  'contract-inputs': {
    shape(_, [of, by]) {
      if (of!.length < 2) refuse(`contract-inputs of a weight of shape ${formatShape(of!)}`);
      checkVector(by!, of![1]!, 'contract-inputs');
      return [of![0]!];
    },
    values(_, [of, by]) {
      const [outputs, inputs] = of!.shape as [number, number];
      const patch = elementCount(of!.shape.slice(2));
      const result = new Float64Array(outputs);
      let position = 0;
      for (let output = 0; output < outputs; output++)
        for (let input = 0; input < inputs; input++)
          for (let k = 0; k < patch; k++) result[output]! += of!.values[position++]! * by!.values[input]!;
      return result;
    },
  },
};

function transposeValues({ shape, values }: Tensor, permutation: readonly number[]): Floats {
  const result = values instanceof Float32Array ? new Float32Array(values.length) : new Float64Array(values.length);
  const strides = stridesOf(shape);
  const sizes = permutation.map((axis) => shape[axis]!);
  const steps = permutation.map((axis) => strides[axis]!);
  const counter = new Array<number>(sizes.length).fill(0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = values[from]!;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++counter[axis]! < sizes[axis]!) break;
      from -= counter[axis]! * steps[axis]!;
      counter[axis] = 0;
    }
  }
  return result;
}

function takeValues({ shape, values }: Tensor, axis: number, indices: readonly number[]): Floats {
  const inner = stridesOf(shape)[axis]!;
  const size = shape[axis]!;
  const outer = elementCount(shape.slice(0, axis));
  const length = outer * indices.length * inner;
  const result = values instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
  let position = 0;
  for (let block = 0; block < outer; block++)
    for (const index of indices) {
      const start = (block * size + index) * inner;
      for (let k = 0; k < inner; k++) result[position++] = values[start + k]!;
    }
  return result;
}

// The table is indexed by the kind of the same expression that the rule gets.
const ruleOf = (weight: Weight): Rule<never> => rules[weight.kind] as Rule<never>;

/**
 * Shape of an expression over a source.
 * @throws {InvalidInputError} if a tensor is missing or an operation does not fit its operands.
 */
export function weightShape(weight: Weight, source: WeightSource): Shape {
  const inputs = operandsOf(weight).map((operand) => weightShape(operand, source));
  const shape = ruleOf(weight).shape(weight as never, inputs, source);
  checkShape(shape, 'a weight');
  return shape;
}

function evaluate(weight: Weight, source: WeightSource): Tensor {
  const inputs = operandsOf(weight).map((operand) => evaluate(operand, source));
  const rule = ruleOf(weight);
  const shape = rule.shape(
    weight as never,
    inputs.map((input) => input.shape),
    source,
  );
  checkShape(shape, 'a weight');
  return { shape, values: rule.values(weight as never, inputs, source) };
}

/**
 * Values of an expression, contiguous; computed in float64, rounded once to float32. May be an array of the source: do not write to it.
 * @throws {InvalidInputError} if a tensor is missing or an operation does not fit its operands.
 */
export function readWeight(weight: Weight, source: WeightSource): Float32Array {
  const { values } = evaluate(weight, source);
  return values instanceof Float32Array ? values : Float32Array.from(values);
}
