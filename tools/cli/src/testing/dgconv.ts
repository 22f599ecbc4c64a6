import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../../bin/dgconv.js', import.meta.url));

/** What a command line left behind. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const spawned = (args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].on('data', (chunk) => {
        text[stream] += String(chunk);
      });
    child.on('close', (code) => resolve({ code, ...text }));
  });

/** ava starts all tests at once; two processes at a time are enough for two cores. */
const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
let next = 0;

/** Starts something when a lane is free. */
export const inTurn = <Result>(start: () => Promise<Result>): Promise<Result> => {
  const lane = next++ % lanes.length;
  const outcome = lanes[lane]!.then(start);
  lanes[lane] = outcome.catch(() => undefined);
  return outcome;
};

/** Runs the built command line. */
export const dgconv = (...args: string[]): Promise<Outcome> => inTurn(() => spawned(args));
