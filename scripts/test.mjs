// `npm test`: formatting, lint and types, then every package's ava suite. The last line is `N passed, N failed, N skipped`.
import { spawn, spawnSync } from 'node:child_process';

process.env.NX_DAEMON ??= 'false';
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/** Runs one step with its output shown; gives the output back with colours removed. */
const step = (title, command, args) =>
  new Promise((resolve) => {
    console.log(`\n── ${title}`);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        text += chunk;
        process.stdout.write(chunk);
      });
    }
    child.on('close', (status) => resolve({ ok: status === 0, text: text.replace(/\u001b\[[0-9;]*m/g, '') }));
  });

const total = { passed: 0, failed: 0, skipped: 0 };
const check = ({ ok }) => (ok ? total.passed++ : total.failed++);

console.log(spawnSync(process.execPath, ['scripts/test-environment.mjs'], { encoding: 'utf8' }).stdout);
check(await step('formatting', 'npx', ['--no', '--', 'prettier', '--check', '.']));
check(await step('lint and types', 'npx', ['--no', '--', 'nx', 'run-many', '-t', 'lint', '--output-style=static']));
check(await step('documentation', process.execPath, ['scripts/compiler-docs.mjs', '--check']));

const suites = await step('tests', 'npx', [
  '--no',
  '--',
  'nx',
  'run-many',
  '-t',
  'test',
  '--parallel=1',
  '--nxBail=false',
  '--output-style=static',
]);
const count = (pattern) => [...suites.text.matchAll(pattern)].reduce((sum, [, digits]) => sum + Number(digits), 0);
// Ticks, because a suite in which something failed does not say how many passed.
total.passed += suites.text.match(/^ {2}✔ (?!.*\bnx run )/gm)?.length ?? 0;
total.skipped += count(/^\s*(\d+) tests? skipped/gm);
const failures = count(/^\s*(\d+) (?:tests? failed|uncaught exceptions?|unhandled rejections?|known failures?)/gm);
total.failed += suites.ok ? failures : Math.max(failures, 1);

const skips = suites.text.match(/^\s*- \[skip\].*$/gm) ?? [];
if (skips.length > 0) console.log(`\nSkipped, each with its reason:\n${skips.join('\n')}`);
// Once more at the end, where it is found.
const reports = suites.text.match(/^ {2}─$(?:(?! tests? passed$)[^])*?^ {2}─\s+\d+ tests? failed$/gm) ?? [];
const ended = suites.text.match(/^.* exited (?:due to|with) .*$/gm) ?? [];
if (reports.length + ended.length > 0) console.log(`\nWhat failed:\n${[...reports, ...ended].join('\n')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
