import type { Runtime } from '@dgconv/runtimes';
import { type ConformanceCase, type OnProgress, runCase } from './conformance-case.js';
import { goldenSuite } from './golden-suite.js';
import { defaultOnnxData, onnxSuite } from './onnx-suite.js';
import { type ConformanceResult, type Outcome, summarise } from './outcome.js';
import { runOnArm } from './run-on-arm.js';

/** Suites by name. */
export const conformanceSuites = ['onnx', 'edge', 'all'] as const;
export type ConformanceSuite = (typeof conformanceSuites)[number];

/**
 * The cases of a suite: `onnx` are the official operator vectors, `edge` our own golden cases, `all` both.
 * @param data - folder of ONNX's official vectors; default: where Debian puts them.
 * @throws {InvalidInputError} if there are no vectors where they should be.
 */
export function casesOf(suite: ConformanceSuite, data = defaultOnnxData): ConformanceCase[] {
  return [...(suite === 'edge' ? [] : onnxSuite(data)), ...(suite === 'onnx' ? [] : goldenSuite())];
}

/** Runs cases on a runtime, one after another; on `edge-arm64` in one process, as an emulator takes its time to start. */
export async function runConformance(
  suite: string,
  cases: readonly ConformanceCase[],
  runtime: Runtime,
  onProgress?: OnProgress,
): Promise<{ result: ConformanceResult; outcomes: readonly Outcome[] }> {
  const outcomes =
    runtime.name === 'edge-arm64' ? await runOnArm(cases, onProgress) : await runInTurn(cases, runtime, onProgress);
  return { result: summarise(runtime.name, suite, outcomes), outcomes };
}

async function runInTurn(
  cases: readonly ConformanceCase[],
  runtime: Runtime,
  onProgress?: OnProgress,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [index, conformanceCase] of cases.entries()) {
    outcomes.push(await runCase(conformanceCase, runtime));
    onProgress?.(index + 1, cases.length, conformanceCase.name);
  }
  return outcomes;
}
