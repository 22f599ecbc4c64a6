import {
  type Activation,
  type AttrsByOp,
  elementCount,
  type Graph,
  type Model,
  type Node,
  type OpKind,
  RandomSource,
  type Shape,
  type Weight,
  type WeightsByOp,
} from '@dgconv/core';

/** One small network of one op (or a few), its input, and whether the result has to be exact to the bit. */
export interface GoldenCase {
  readonly name: string;
  readonly model: Model;
  readonly feeds: Readonly<Record<string, Float32Array>>;
  /** Small integers everywhere: every intermediate is exact in float32, so every engine has to agree with the interpreter to the bit. */
  readonly exact: boolean;
}

export const identity: Activation = { function: 'identity' };

/** Draws the values of a case: small integers, or floats in ±1. The same name always gives the same values. */
export class CaseValues {
  readonly #random: RandomSource;

  constructor(
    name: string,
    readonly exact: boolean,
  ) {
    let seed = 2166136261;
    for (const character of name) seed = Math.imul(seed ^ character.charCodeAt(0), 16777619) >>> 0;
    this.#random = new RandomSource(seed);
  }

  /** Integers in ±4, or floats in ±1. */
  array(length: number): Float32Array {
    return Float32Array.from({ length }, () =>
      this.exact ? Math.floor(this.#random.uniform() * 9) - 4 : 2 * this.#random.uniform() - 1,
    );
  }

  /** Integers in 1 … 4, or floats in 0.5 … 1.5: for divisors, scales and variances. */
  positive(length: number): Float32Array {
    return Float32Array.from({ length }, () =>
      this.exact ? 1 + Math.floor(this.#random.uniform() * 4) : 0.5 + this.#random.uniform(),
    );
  }
}

/** A literal weight of `shape`. */
export const literal = (shape: Shape, values: ArrayLike<number>): Weight => ({
  kind: 'literal',
  shape,
  values: Array.from(values),
});

/** A case of one node with the given inputs, all NHWC, batch 1. */
export function singleOpCase<K extends OpKind>(
  name: string,
  op: K,
  inputShapes: readonly Shape[],
  exact: boolean,
  describe: (values: CaseValues) => { attrs: AttrsByOp[K]; weights: WeightsByOp[K] },
  feed?: (values: CaseValues, length: number) => Float32Array,
): GoldenCase {
  const values = new CaseValues(name, exact);
  const { attrs, weights } = describe(values);
  const inputs = inputShapes.map((shape, index) => ({ name: `input${index}`, shape }));
  const node = {
    id: 'output',
    op,
    inputs: inputs.map((input) => input.name),
    attrs,
    weights,
    origin: ['output'],
  } as unknown as Node;
  const graph: Graph = {
    formatVersion: '1.0',
    nodes: [node],
    inputs,
    outputs: [{ name: 'output', value: 'output' }],
    metadata: { name },
  };
  return {
    name,
    exact,
    model: { graph, weights: noWeights },
    feeds: Object.fromEntries(
      inputs.map((input) => [
        input.name,
        feed ? feed(values, elementCount(input.shape)) : values.array(elementCount(input.shape)),
      ]),
    ),
  };
}

/** The source of cases: their weights are literals. */
const noWeights: Model['weights'] = {
  names: [],
  shape: (name) => {
    throw new Error(`internal: a golden case has no stored weight '${name}'`);
  },
  read: (name) => {
    throw new Error(`internal: a golden case has no stored weight '${name}'`);
  },
};
