import { UsageError } from '@dgconv/core';
import type { Runtime } from '@dgconv/runtimes';
import { goldenCases, runGoldenCase } from './golden-suite.js';
import { defaultOnnxData, findOnnxCases, runOnnxCase } from './onnx-suite.js';
import { type ConformanceResult, type Outcome, summarise } from './outcome.js';

/** Suites by name. */
export const conformanceSuites = ['onnx', 'edge', 'all'] as const;
export type ConformanceSuite = (typeof conformanceSuites)[number];

export interface ConformanceOptions {
  readonly suite: ConformanceSuite;
  readonly runtime: Runtime;
  /** Folder of ONNX's official vectors; default: where Debian puts them. */
  readonly data?: string;
  readonly onProgress?: (done: number, total: number, name: string) => void;
}

/**
 * Runs a suite on a runtime: `onnx` are the official operator vectors, `edge` our own golden cases, `all` both.
 * @throws {InvalidInputError} if there are no vectors where they should be.
 */
export async function runConformance(
  options: ConformanceOptions,
): Promise<{ result: ConformanceResult; outcomes: readonly Outcome[] }> {
  const { suite, runtime, data = defaultOnnxData, onProgress } = options;
  const cases: { readonly name: string; run(): Promise<Outcome> }[] = [];
  if (suite !== 'edge') {
    for (const vector of findOnnxCases(data)) {
      cases.push({ name: vector.name, run: () => runOnnxCase(vector, runtime) });
    }
  }
  if (suite !== 'onnx') {
    for (const golden of goldenCases()) cases.push({ name: golden.name, run: () => runGoldenCase(golden, runtime) });
  }
  const outcomes: Outcome[] = [];
  for (const [index, { name, run }] of cases.entries()) {
    outcomes.push(await run());
    onProgress?.(index + 1, cases.length, name);
  }
  return { result: summarise(runtime.name, suite, outcomes), outcomes };
}

/** @throws {UsageError} if there is no suite of that name. */
export function conformanceSuite(name: string): ConformanceSuite {
  const suite = conformanceSuites.find((candidate) => candidate === name);
  if (suite === undefined) {
    throw new UsageError(`there is no suite '${name}': the suites are ${conformanceSuites.join(', ')}`);
  }
  return suite;
}
