import { compile } from '@dgconv/compiler';
import { inferShapes, interpret, type Model } from '@dgconv/core';
import type { RuntimeTensor } from '@dgconv/runtimes';
import { exactly, goldenTolerance } from './compare.js';
import type { ConformanceCase } from './conformance-case.js';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';

/** What a network has to give, by name: as the interpreter says, rounded to float32. */
export function interpretedOutputs(
  model: Model,
  feeds: Readonly<Record<string, Float32Array>>,
): Record<string, RuntimeTensor> {
  const shapes = inferShapes(model.graph);
  const results = interpret(model, feeds);
  return Object.fromEntries(
    model.graph.outputs.map(({ name, value }) => [
      name,
      { shape: shapes.get(value)!, data: Float32Array.from(results[name]!) },
    ]),
  );
}

/** Every golden case: small networks, right where they agree with the interpreter, to the bit where all numbers are small integers. */
export const goldenSuite = (): ConformanceCase[] =>
  [...convCases(), ...otherCases()].map(({ name, model, feeds, exact }) => ({
    name,
    *prepare(format, enter) {
      enter('compile');
      const target = compile(model, { formats: [format] }).targets[format]!;
      const expected = interpretedOutputs(model, feeds);
      yield { target, feeds, expected, tolerance: exact ? exactly : goldenTolerance };
    },
  }));
