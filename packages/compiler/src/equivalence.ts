import { elementCount, type Graph, InvalidInputError, interpret, interpretAll, type Model } from '@dgconv/core';
import { removeUnusedNodes } from './passes/rewrite.js';

/** Values by input or output name, contiguous; rank 4 is NHWC. */
export type Tensors = Readonly<Record<string, ArrayLike<number>>>;

/** Something that computes a network's outputs: the interpreter, or an artefact in a runtime. */
export interface Evaluator {
  run(feeds: Readonly<Record<string, Float32Array>>): Tensors | Promise<Tensors>;
}

/** The reference: what a model's graph means, in float64. */
export function interpreted(model: Model): Evaluator {
  return { run: (feeds) => interpret(model, feeds) };
}

/** Feeds with a name for tables. */
export interface TestInput {
  readonly name: string;
  readonly feeds: Readonly<Record<string, Float32Array>>;
}

/** The largest difference between two evaluators, and where. */
export interface EquivalenceReport {
  readonly isEqual: boolean;
  readonly maxAbsError: number;
  /** Relative to the largest magnitude of the same output for the same input, or to 1e-3 where it is smaller. */
  readonly maxRelError: number;
  readonly tolerance: number;
  /** The input and the output of the largest relative difference. */
  readonly worst: { readonly input: string; readonly output: string } | null;
}

/**
 * Errors are related to no less than this: below, what is allowed would be finer than float32's rounding of values around one (a
 * sigmoid that ends at 1e-20 in one runtime and at 0 in another, say).
 */
const smallestScale = 1e-3;

/** A whole network may differ by this much, relative to its largest output. */
export const networkTolerance = 1e-4;

/**
 * Compares two evaluators on inputs; `expected` sets the scale.
 * @param options.tolerance - largest difference, relative to the largest magnitude of an output (default 1e-4).
 * @throws {InvalidInputError} if an output is missing or has another size.
 */
export async function checkEquivalence(
  expected: Evaluator,
  actual: Evaluator,
  inputs: readonly TestInput[],
  { tolerance = networkTolerance }: { readonly tolerance?: number } = {},
): Promise<EquivalenceReport> {
  let [maxAbsError, maxRelError] = [0, 0];
  let worst: EquivalenceReport['worst'] = null;
  for (const { name: input, feeds } of inputs) {
    const wanted = await expected.run(feeds);
    const given = await actual.run(feeds);
    for (const [output, values] of Object.entries(wanted)) {
      const others = given[output];
      if (others === undefined) throw new InvalidInputError(`the output '${output}' is missing`);
      const { absolute, relative } = difference(values, others, output);
      maxAbsError = Math.max(maxAbsError, absolute);
      if (worst === null || relative > maxRelError) worst = { input, output };
      maxRelError = Math.max(maxRelError, relative);
    }
  }
  return { isEqual: maxRelError <= tolerance, maxAbsError, maxRelError, tolerance, worst };
}

/** The largest difference of two tensors, absolute and relative to the largest expected magnitude (1e-3 at least); infinite where one is no number. */
export function difference(
  expected: ArrayLike<number>,
  actual: ArrayLike<number>,
  name: string,
): { readonly absolute: number; readonly relative: number } {
  if (expected.length !== actual.length) {
    throw new InvalidInputError(`the output '${name}' has ${actual.length} values; ${expected.length} are expected`);
  }
  let [absolute, largest] = [0, 0];
  for (let index = 0; index < expected.length; index += 1) {
    const [wanted, given] = [expected[index]!, actual[index]!];
    if (Object.is(wanted, given) || wanted === given) {
      if (Number.isFinite(wanted)) largest = Math.max(largest, Math.abs(wanted));
      continue;
    }
    const error = Math.abs(wanted - given);
    absolute = Math.max(absolute, Number.isNaN(error) ? Infinity : error);
    if (Number.isFinite(wanted)) largest = Math.max(largest, Math.abs(wanted));
  }
  return { absolute, relative: absolute === 0 ? 0 : absolute / Math.max(largest, smallestScale) };
}

/**
 * Inputs that find what random ones alone do not: all zeros (biases), all ones (borders), an impulse in each corner and the middle
 * (positions), a gradient over rows, columns and channels (orders), and seeded random values in [-1, 1).
 */
export function testInputs(graph: Graph, { seed = 1, random = 2 } = {}): TestInput[] {
  const make = (name: string, value: Filler): TestInput => ({
    name,
    feeds: Object.fromEntries(
      graph.inputs.map(({ name: input, shape }) => {
        const count = elementCount(shape);
        const [height, width, channels] = shape.length === 4 ? shape.slice(1) : [1, 1, count];
        const place = (index: number): Place => ({
          index,
          row: Math.floor(index / (width! * channels!)) % height!,
          column: Math.floor(index / channels!) % width!,
          channel: index % channels!,
          height: height!,
          width: width!,
          channels: channels!,
        });
        return [input, Float32Array.from({ length: count }, (_, index) => value(place(index)))];
      }),
    ),
  });
  const inputs = [make('zeros', () => 0), make('ones', () => 1), make('impulse', impulse), make('gradient', gradient)];
  for (let number = 0; number < random; number += 1) {
    inputs.push(make(`random ${number + 1}`, ({ index }) => pseudoRandom(seed + number, index)));
  }
  return inputs;
}

interface Place {
  readonly index: number;
  readonly row: number;
  readonly column: number;
  readonly channel: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

type Filler = (place: Place) => number;

const impulse: Filler = ({ row, column, height, width, channel }) => {
  const isCorner = (row === 0 || row === height - 1) && (column === 0 || column === width - 1);
  const isMiddle = row === height >> 1 && column === width >> 1;
  return isCorner || isMiddle ? 1 + channel : 0;
};

const gradient: Filler = ({ row, column, channel, height, width, channels }) =>
  row / height - column / (2 * width) + (channel - channels / 2) / channels;

/** A number in [-1, 1) that depends on seed and index alone (an integer hash). */
function pseudoRandom(seed: number, index: number): number {
  let mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 31 - 1;
}

/** The first node, in the order of the graph, whose value an evaluator gets wrong. */
export interface DifferingNode {
  readonly node: string;
  /** Nodes of the imported network that it came from. */
  readonly origin: readonly string[];
  readonly relativeError: number;
}

/**
 * Finds the first node whose value differs, by bisection: the network is cut off after a node, which becomes the output.
 * @param evaluate - makes an evaluator of a cut network, for instance by emitting it for a runtime that hides inner values.
 * @returns null if the last node of every output agrees.
 */
export async function firstDifferingNode(
  model: Model,
  evaluate: (part: Model) => Evaluator | Promise<Evaluator>,
  feeds: Readonly<Record<string, Float32Array>>,
  { tolerance = networkTolerance }: { readonly tolerance?: number } = {},
): Promise<DifferingNode | null> {
  const expected = interpretAll(model, feeds);
  const { nodes } = model.graph;
  const errors = new Map<number, number>();
  const errorAfter = async (index: number): Promise<number> => {
    const known = errors.get(index);
    if (known !== undefined) return known;
    const { id } = nodes[index]!;
    const evaluator = await evaluate(cutAfter(model, id));
    const outputs = await evaluator.run(feeds);
    const { relative } = difference(expected[id]!, outputs[id] ?? [], id);
    errors.set(index, relative);
    return relative;
  };
  let [good, bad] = [-1, nodes.length - 1];
  for (const { value } of model.graph.outputs) {
    const index = nodes.findIndex(({ id }) => id === value);
    if (index >= 0 && (await errorAfter(index)) > tolerance) bad = Math.min(bad, index);
  }
  if (!((await errorAfter(bad)) > tolerance)) return null;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if ((await errorAfter(middle)) > tolerance) bad = middle;
    else good = middle;
  }
  const { id, origin } = nodes[bad]!;
  return { node: id, origin, relativeError: await errorAfter(bad) };
}

/** The network up to one node, whose value is the only output, under the node's id. */
export function cutAfter({ graph, weights }: Model, node: string): Model {
  return { graph: removeUnusedNodes({ ...graph, outputs: [{ name: node, value: node }] }), weights };
}
