import { InvalidInputError } from '@dgconv/core';
import { runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { existsSync } from 'node:fs';
import { runConformance } from './conformance.js';
import { defaultOnnxData, findOnnxVectors, onnxSuite } from './onnx-suite.js';

const present = await Promise.all(
  runtimes.map(async (runtime) => ({ runtime, missing: await runtime.whyUnavailable() })),
);
const run = test.macro(async (t, runtime: (typeof runtimes)[number]) => {
  const { result } = await runConformance('onnx', onnxSuite(defaultOnnxData), runtime);
  t.deepEqual(result.failures, []);
  t.true(result.passed >= 130, `${result.passed} vectors passed`);
  t.true(result.skips.every(({ reason }) => reason.length > 0));
});
for (const { runtime, missing } of present) {
  const title = `no official ONNX vector that we claim fails: ${runtime.name}`;
  const why = missing ?? (existsSync(defaultOnnxData) ? null : "Debian's package libonnx-testdata is not installed");
  if (why === null) test(title, run, runtime);
  else test.skip(`${title} (skipped: ${why})`, run, runtime);
}

test('a folder without vectors is refused with the place where Debian puts them', (t) => {
  t.throws(() => findOnnxVectors('/nowhere'), {
    instanceOf: InvalidInputError,
    message: /^\/nowhere has no ONNX test vectors/,
  });
});
