import { InvalidInputError, type Model } from '@dgconv/core';
import type { TestInput } from '@dgconv/compiler';

/** Test images as inputs of a network, with their classes. */
export interface LabelledInputs {
  readonly inputs: readonly TestInput[];
  readonly labels: readonly number[];
}

/**
 * The first test images of a data set, prepared as the network's metadata say.
 * @throws {InvalidInputError} if the network takes no single image or does not say how images are prepared.
 */
export const labelledInputs = async ({ graph }: Model, spec: string, limit: number): Promise<LabelledInputs> => {
  const { openDataSet } = await import('@dgconv/trainer');
  const [input] = graph.inputs;
  const { preprocessing } = graph.metadata;
  if (input?.shape.length !== 4 || graph.inputs.length > 1 || preprocessing === undefined)
    throw new InvalidInputError(`${graph.metadata.name} does not say how images are prepared, which --data needs`);
  const [, height, width, channels] = input.shape as readonly [number, number, number, number];
  const { test } = await openDataSet(spec, [height, width, channels]);
  const count = Math.min(limit, test.count);
  const size = height * width * channels;
  const { mean, standardDeviation } = preprocessing;
  const inputs = Array.from({ length: count }, (_, at): TestInput => {
    const pixels = test.pixels.subarray(at * size, (at + 1) * size);
    const values = Float32Array.from(pixels, (value, place) => {
      const channel = place % channels;
      return (value / 255 - mean[channel]!) / standardDeviation[channel]!;
    });
    return { name: `${spec}[${at}]`, feeds: { [input.name]: values } };
  });
  return { inputs, labels: [...test.labels.subarray(0, count)] };
};

/** Place of the largest value. */
export const largest = (values: ArrayLike<number>): number => {
  let best = 0;
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at;
  return best;
};

/** Share of equal places. */
export const agreement = (a: readonly number[], b: readonly number[]): number =>
  a.filter((value, at) => value === b[at]).length / a.length;
