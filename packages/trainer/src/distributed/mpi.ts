import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { UnsupportedError } from '@dgconv/core';
import type { Communicator } from './communicator.js';

interface Addon extends Pick<Communicator, 'average' | 'sum' | 'broadcast'> {
  init(): { rank: number; size: number };
  abort(code: number): void;
  finalize(): void;
}

const file = fileURLToPath(new URL('../../native/dgconv-mpi.node', import.meta.url));

/** Why training on several processes is not possible here, and how to get it; null if it is. */
export function whyNoMpi(): string | null {
  return existsSync(file)
    ? null
    : 'the MPI addon is not built: install openmpi-bin and libopenmpi-dev (or another MPI with mpicxx), then run npm run build';
}

/**
 * The processes that `mpirun` started. One that ends with an exit code other than 0 ends all with it.
 * @throws {UnsupportedError} if the addon was not built, or does not load.
 */
export function openMpi(): Communicator {
  const missing = whyNoMpi();
  if (missing !== null) throw new UnsupportedError(`Training on several processes needs MPI, and ${missing}.`);
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(file) as Addon;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new UnsupportedError(`The MPI addon does not load: ${reason}; npm run build makes it anew.`, {
      cause: error,
    });
  }
  const { rank, size } = addon.init();
  // Node says of an error that nobody caught only after 'exit', which is too late here.
  process.once('uncaughtExceptionMonitor', (error) => console.error(error));
  // The others wait for this process in a collective call, and only MPI can end that.
  process.once('exit', (code) => (code === 0 ? addon.finalize() : addon.abort(code)));
  return { rank, size, average: addon.average, sum: addon.sum, broadcast: addon.broadcast };
}
