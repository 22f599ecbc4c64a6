import { compile, emitters } from '@dgconv/compiler';
import { inferShapes, interpret, UnsupportedError } from '@dgconv/core';
import { type Runtime, runNhwc } from '@dgconv/runtimes';
import { difference, exactly, goldenTolerance } from './compare.js';
import { convCases } from './golden/conv-cases.js';
import type { GoldenCase } from './golden/golden-case.js';
import { otherCases } from './golden/other-cases.js';
import type { Outcome, Stage } from './outcome.js';

/** Every golden case. */
export const goldenCases = (): GoldenCase[] => [...convCases(), ...otherCases()];

/** One golden case compiled for a runtime and compared with the interpreter. */
export async function runGoldenCase({ name, model, feeds, exact }: GoldenCase, runtime: Runtime): Promise<Outcome> {
  const format = runtime.formats[0]!;
  let stage: Stage = 'compile';
  try {
    const bytes = emitters[format](compile(model, { formats: [format] }).targets[format]!);
    stage = 'load';
    const session = await runtime.load(bytes);
    try {
      stage = 'run';
      const results = await runNhwc(session, feeds);
      stage = 'mismatch';
      const shapes = inferShapes(model.graph);
      const expected = interpret(model, feeds);
      for (const { name: output, value } of model.graph.outputs) {
        const reason = difference(
          { shape: shapes.get(value)!, data: expected[output]! },
          results[output]!,
          exact ? exactly : goldenTolerance,
        );
        if (reason !== null) return { name, status: 'failed', stage, reason: `'${output}': ${reason}` };
      }
    } finally {
      await session.dispose();
    }
    return { name, status: 'passed' };
  } catch (error) {
    if (stage === 'compile' && error instanceof UnsupportedError) {
      return { name, status: 'skipped', reason: error.message };
    }
    return { name, status: 'failed', stage, reason: (error as Error).message };
  }
}
