import type { Runtime } from '@dgconv/runtimes';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The largest resident memory of a process that does nothing but load a model and run it twice, Node.js included, in bytes; null
 * where the runtime has a process of its own or the measurement fails.
 */
export function peakMemoryOf(runtime: Runtime, bytes: Uint8Array, threads: number): number | null {
  if (runtime.name === 'edge-arm64') return null;
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-bench-'));
  try {
    const file = join(folder, `model.${runtime.formats[0]}`);
    writeFileSync(file, bytes);
    const script = fileURLToPath(new URL('./peak-memory-process.js', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script, runtime.name, file, String(threads)], {
      encoding: 'utf8',
      // The thresholds that the command raises for the timing would keep what is freed.
      env: { ...process.env, MALLOC_MMAP_THRESHOLD_: undefined, MALLOC_TRIM_THRESHOLD_: undefined },
      timeout: 120_000,
    });
    const peak = Number(stdout.trim().split('\n').at(-1));
    return status === 0 && peak > 0 ? peak : null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
