import { InvalidInputError } from '@dgconv/core';
import { runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { existsSync } from 'node:fs';
import { defaultOnnxData, findOnnxCases, runOnnxCase } from './onnx-suite.js';

const present = await Promise.all(
  runtimes.map(async (runtime) => ({ runtime, missing: await runtime.whyUnavailable() })),
);
const run = test.macro(async (t, runtime: (typeof runtimes)[number]) => {
  let passed = 0;
  for (const onnxCase of findOnnxCases(defaultOnnxData)) {
    const outcome = await runOnnxCase(onnxCase, runtime);
    if (outcome.status === 'failed') t.fail(`${outcome.name}: ${outcome.stage}: ${outcome.reason}`);
    if (outcome.status === 'passed') passed++;
  }
  t.true(passed >= 130, `${passed} vectors passed`);
});
for (const { runtime, missing } of present) {
  const title = `no official ONNX vector that we claim fails: ${runtime.name}`;
  const why = missing ?? (existsSync(defaultOnnxData) ? null : "Debian's package libonnx-testdata is not installed");
  if (why === null) test(title, run, runtime);
  else test.skip(`${title} (skipped: ${why})`, run, runtime);
}

test('a folder without vectors is refused with the place where Debian puts them', (t) => {
  t.throws(() => findOnnxCases('/nowhere'), {
    instanceOf: InvalidInputError,
    message: /^\/nowhere has no ONNX test vectors/,
  });
});
