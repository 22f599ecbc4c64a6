import test from 'ava';
import { runConformance } from './conformance.js';
import { goldenSuite } from './golden-suite.js';
import { startChromium, whyNoChromium } from './testing/chromium.js';

const missing = whyNoChromium();
const title = 'every golden case, in a page of a real Chromium, is what the interpreter says';

(missing === null ? test : test.skip)(missing === null ? title : `${title} (skipped: ${missing})`, async (t) => {
  const { runtime, version, workers, close } = await startChromium();
  t.teardown(close);
  const { result } = await runConformance('edge', goldenSuite(), runtime);
  t.deepEqual(result.failures, []);
  t.deepEqual(result.skips, []);
  t.true(workers() > 5, `${workers()} workers ran asynchronous runs`);
  t.true(result.passed > 270, `${result.passed} cases passed`);
  t.log(`${result.passed} cases in Chromium ${version}`);
});
