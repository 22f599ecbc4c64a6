import { checkEquivalence, type Evaluator, maskedDense, networkTolerance, type TestInput } from '@dgconv/compiler';
import { interpret, type Model } from '@dgconv/core';
import { encodeEdge, EdgeSession } from '@dgconv/runtime-edge';
import { runNhwc, runtimesFor, type ModelFormat, type RuntimeName, type RuntimeSession } from '@dgconv/runtimes';
import { failNaming } from './files/read.js';

/** A file to be verified. */
export interface Artifact {
  readonly file: string;
  readonly format: ModelFormat;
  readonly bytes: Uint8Array;
}

/** One artefact in one runtime against the reference; errors relative to the largest reference output. */
export interface Verification {
  readonly artifact: string;
  readonly runtime: RuntimeName;
  readonly maxAbsError: number | null;
  readonly maxRelError: number | null;
  readonly tolerance: number;
  readonly ok: boolean;
  readonly skipped?: string;
}

/**
 * What a network's masked-dense form gives for an input in our own engine: a reference for networks that take too long to interpret.
 * @throws {UnsupportedError} if the network has something that the engine does not run as it was imported.
 */
export const ranOnce = async (model: Model, feeds: TestInput['feeds'], threads: number) => {
  const session = await EdgeSession.load(encodeEdge(maskedDense(model)), { threads });
  try {
    const outputs = session.run(feeds);
    return { run: () => outputs };
  } finally {
    session.dispose();
  }
};

/** A reference that computes each input once, however many artefacts are compared with it. */
export const interpretedOnce = (model: Model) => {
  const known = new Map<object, Record<string, Float64Array>>();
  return {
    run(feeds: Readonly<Record<string, Float32Array>>) {
      const outputs = known.get(feeds) ?? interpret(model, feeds);
      known.set(feeds, outputs);
      return outputs;
    },
  };
};

/** A loaded artefact as something that computes outputs, NHWC. */
export const evaluatorOf = (session: RuntimeSession) => ({
  async run(feeds: Readonly<Record<string, Float32Array>>) {
    const results = await runNhwc(session, feeds);
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
  },
});

/** Every artefact in every runtime that takes its format (or only in the first one present), against a reference. */
export const verifyArtifacts = async (
  artifacts: readonly Artifact[],
  reference: Evaluator,
  inputs: readonly TestInput[],
  threads: number,
  { firstOnly = false }: { readonly firstOnly?: boolean } = {},
): Promise<Verification[]> => {
  const results: Verification[] = [];
  for (const { file, format, bytes } of artifacts)
    for (const runtime of runtimesFor(format)) {
      const common = { artifact: file, runtime: runtime.name, tolerance: networkTolerance };
      const missing = await runtime.whyUnavailable();
      if (missing !== null) {
        results.push({ ...common, maxAbsError: null, maxRelError: null, ok: true, skipped: missing });
        continue;
      }
      const session = await runtime.load(bytes, { threads }).catch(failNaming(file));
      try {
        const { maxAbsError, maxRelError, isEqual } = await checkEquivalence(reference, evaluatorOf(session), inputs);
        results.push({ ...common, maxAbsError, maxRelError, ok: isEqual });
      } finally {
        await session.dispose();
      }
      if (firstOnly) break;
    }
  return results;
};
