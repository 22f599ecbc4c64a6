import { runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { goldenCases, runGoldenCase } from './golden-suite.js';

const present = await Promise.all(
  runtimes.map(async (runtime) => ({ runtime, missing: await runtime.whyUnavailable() })),
);
const run = test.macro(async (t, runtime: (typeof runtimes)[number]) => {
  let passed = 0;
  for (const golden of goldenCases()) {
    const outcome = await runGoldenCase(golden, runtime);
    if (outcome.status === 'failed') t.fail(`${outcome.name}: ${outcome.stage}: ${outcome.reason}`);
    if (outcome.status === 'passed') passed++;
    if (outcome.status === 'skipped') t.not(runtime.formats[0], 'edge', `${outcome.name}: ${outcome.reason}`);
  }
  t.true(passed > 270, `${passed} cases passed`);
});
for (const { runtime, missing } of present) {
  const title = `every golden case, compiled, is what the interpreter says: ${runtime.name}`;
  if (missing === null) test(title, run, runtime);
  else test.skip(`${title} (skipped: ${missing})`, run, runtime);
}
