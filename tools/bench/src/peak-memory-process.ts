// The process of `peakMemoryOf`: RUNTIME FILE THREADS; prints bytes.
import { runtimeOf } from '@dgconv/runtimes';
import { existsSync, readFileSync } from 'node:fs';
import { inputsOf } from './inputs.js';

const [name, file, threads] = process.argv.slice(2);
const session = await runtimeOf(name!).load(readFileSync(file!), { threads: Number(threads) });
const run = session.bind(inputsOf(session));
await run();
await run();
// Not the console, which colours numbers where FORCE_COLOR asks for it.
process.stdout.write(`${peakBytes()}\n`);
process.exit(0);

/** Linux counts what the parent had into `maxRSS`; `VmHWM` is of this program alone. */
function peakBytes(): number {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kibibytes) * 1024;
}
