import { spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ExecutionContext } from 'ava';
import { inTurn } from './dgconv.js';

const bin = fileURLToPath(new URL('../../../bin/dgconv.js', import.meta.url));

/** What a broken file may cost: the contract. Those of the tests take at most 1.3 s and 300 MB [measured on Zen 4]. */
const limits = { cpuSeconds: 5, residentMegabytes: 500 } as const;

/** A process that waits for something takes no processor time, and how long the others let this one wait is not its fault. */
const patienceMs = 300_000;

/** Reports the largest resident size and the CPU time of the process on file descriptor 3 when it ends. */
const reporter = `import { writeSync } from 'node:fs';
process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  writeSync(3, JSON.stringify({ megabytes: maxRSS / 1024, seconds: (userCPUTime + systemCPUTime) / 1e6 }));
});
`;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly usage: { readonly megabytes: number; readonly seconds: number } | null;
}

const run = (folder: string, args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const preload = join(folder, 'report-usage.mjs');
    writeFileSync(preload, reporter);
    const child = spawn(process.execPath, ['--import', pathToFileURL(preload).href, bin, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      timeout: patienceMs,
      killSignal: 'SIGKILL',
    });
    const texts = ['', '', '', ''];
    for (const place of [1, 2, 3]) child.stdio[place]!.on('data', (chunk) => (texts[place] += String(chunk)));
    child.on('close', (code) => {
      const usage = texts[3] === '' ? null : (JSON.parse(texts[3]!) as Outcome['usage']);
      resolve({ code, stdout: texts[1]!, stderr: texts[2]!, usage });
    });
  });

const listing = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String).sort();

/** Asserts that a command line refuses its input as the contract says: one sentence, exit code 3, little time and memory, no traces. */
export const assertRefused = async (
  t: ExecutionContext,
  folder: string,
  args: readonly string[],
  message: RegExp,
): Promise<void> => {
  writeFileSync(join(folder, 'report-usage.mjs'), reporter);
  const before = listing(folder);
  const { code, stdout, stderr, usage } = await inTurn(() => run(folder, args));
  t.is(code, 3, stderr.slice(0, 2000));
  t.is(stdout, '');
  t.regex(stderr, message);
  t.is(stderr.trimEnd().split('\n').length, 1, stderr.slice(0, 2000));
  t.true(stderr.length < 1000, 'the message is one sentence');
  t.true(usage!.seconds < limits.cpuSeconds, `${usage!.seconds} s`);
  t.true(usage!.megabytes < limits.residentMegabytes, `${usage!.megabytes} MB`);
  t.deepEqual(listing(folder), before, 'nothing is left behind');
};
