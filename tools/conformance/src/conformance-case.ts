import { emitters, type Format } from '@dgconv/compiler';
import { type Model, UnsupportedError } from '@dgconv/core';
import { type Runtime, runNhwc, type RuntimeTensor } from '@dgconv/runtimes';
import { difference, type Tolerance } from './compare.js';
import type { Outcome, Stage } from './outcome.js';

/** A network compiled for one format, what goes in and what has to come out. */
export interface PreparedRun {
  readonly target: Model;
  /** By name, NHWC. */
  readonly feeds: Readonly<Record<string, Float32Array>>;
  /** By name, NHWC, in the order of the outputs. */
  readonly expected: Readonly<Record<string, RuntimeTensor>>;
  readonly tolerance: Tolerance;
}

/** One case of a suite. */
export interface ConformanceCase {
  readonly name: string;
  /** Why the case is run nowhere, if so. */
  readonly skip?: string;
  /**
   * The runs that make up the case, one at a time.
   * @param enter - told before each stage that may fail.
   * @throws {UnsupportedError} if the case is none that we claim: a skip.
   */
  prepare(format: Format, enter: (stage: Stage) => void): Iterable<PreparedRun>;
}

/** Told after each case. */
export type OnProgress = (done: number, total: number, name: string) => void;

/** The outcome of a case whose `body` raises no objection; an `UnsupportedError` skips it, any other error fails it where it was. */
export async function outcomeOf(
  { name, skip }: ConformanceCase,
  body: (enter: (stage: Stage) => void) => Promise<string | null> | string | null,
): Promise<Outcome> {
  if (skip !== undefined) return { name, status: 'skipped', reason: skip };
  let stage: Stage = 'import';
  try {
    const reason = await body((next) => (stage = next));
    return reason === null ? { name, status: 'passed' } : { name, status: 'failed', stage, reason };
  } catch (error) {
    if (error instanceof UnsupportedError && (stage === 'import' || stage === 'compile')) {
      return { name, status: 'skipped', reason: error.message };
    }
    return { name, status: 'failed', stage, reason: (error as Error).message };
  }
}

/** Compiles one case for a runtime, runs it there and compares. */
export function runCase(conformanceCase: ConformanceCase, runtime: Runtime): Promise<Outcome> {
  const format = runtime.formats[0]!;
  return outcomeOf(conformanceCase, async (enter) => {
    for (const { target, feeds, expected, tolerance } of conformanceCase.prepare(format, enter)) {
      enter('compile');
      const artifact = emitters[format](target);
      enter('load');
      const session = await runtime.load(artifact);
      try {
        enter('run');
        const results = await runNhwc(session, feeds);
        enter('mismatch');
        for (const [output, tensor] of Object.entries(expected)) {
          const reason = difference(tensor, results[output]!, tolerance);
          if (reason !== null) return `'${output}': ${reason}`;
        }
      } finally {
        await session.dispose();
      }
    }
    return null;
  });
}
