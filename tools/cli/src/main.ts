import { DgconvError, type ErrorCode } from '@dgconv/core';
import { CommanderError } from 'commander';
import { setTimeout } from 'node:timers/promises';
import { mpiLaunch } from './mpi-launch.js';
import { oneLine } from './one-line.js';
import { createProgram } from './program.js';

const exitCodes: Readonly<Record<ErrorCode, number>> = {
  usage: 2,
  'invalid-input': 3,
  unsupported: 3,
  'check-failed': 1,
};

/** Says what went wrong on stderr and gives the exit code. */
const report = (error: unknown): number => {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof DgconvError) {
    process.stderr.write(`error: ${oneLine(error.message)}\n`);
    return exitCodes[error.code];
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`error: this is a bug of ours, please report it: ${message}\n${stack ?? ''}\n`);
  return 70;
};

const finish = (code: number): void => {
  // Native runtimes may keep threads alive: end once stdout has taken everything.
  process.stdout.write('', () => process.exit(code));
};

// A reader that closes early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));

/** What all processes under MPI find wrong is said by the first, which then ends the others; what only one finds, by that one. */
const firstWordMs = 3000;

createProgram()
  .parseAsync(process.argv)
  .then(
    () => finish(Number(process.exitCode ?? 0)),
    async (error: unknown) => {
      if ((mpiLaunch()?.rank ?? 0) > 0) await setTimeout(firstWordMs);
      finish(report(error));
    },
  );
