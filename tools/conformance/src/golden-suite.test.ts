import { runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { runConformance } from './conformance.js';
import { goldenSuite } from './golden-suite.js';

const present = await Promise.all(
  runtimes.map(async (runtime) => ({ runtime, missing: await runtime.whyUnavailable() })),
);
const run = test.macro(async (t, runtime: (typeof runtimes)[number]) => {
  const { result } = await runConformance('edge', goldenSuite(), runtime);
  t.deepEqual(result.failures, []);
  if (runtime.formats[0] === 'edge') t.deepEqual(result.skips, []);
  t.true(result.passed > 270, `${result.passed} cases passed`);
});
for (const { runtime, missing } of present) {
  const title = `every golden case, compiled, is what the interpreter says: ${runtime.name}`;
  if (missing === null) test(title, run, runtime);
  else test.skip(`${title} (skipped: ${missing})`, run, runtime);
}
