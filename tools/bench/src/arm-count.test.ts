import test from 'ava';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const scripts = new URL('../../../../scripts/', import.meta.url);
const { missingForCounting } = (await import(new URL('arm-counter.mjs', scripts).href)) as {
  missingForCounting: (target: 'arm64') => string | null;
};
const missing = missingForCounting('arm64');
const because = missing === null ? '' : ` (there is no ${missing})`;

for (const [what, flags] of [
  ['the main kernels stay', []],
  // ResNeXt-50 is left to people: an emulated multiply-add takes long.
  ['the network with grouped 1×1 too stay', ['--networks', '--only', 'grouped']],
] as const) {
  (missing === null ? test : test.skip)(`counted arm64 instructions of ${what} within their limits${because}`, (t) => {
    const script = fileURLToPath(new URL('count-arm.mjs', scripts));
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--check', '--json', ...flags], {
      encoding: 'utf8',
    });
    t.is(status, 0, stderr);
    const { rows } = JSON.parse(stdout) as { rows: { name: string; instructions: number; limit: number }[] };
    t.true(rows.length >= 1);
    // One multiply-add is at least one instruction: less would mean that something was not counted.
    for (const { instructions } of rows) t.true(instructions > 1);
  });
}
