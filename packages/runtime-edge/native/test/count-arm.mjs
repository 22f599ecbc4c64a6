// Instructions per multiply-add of four lanes, counted under qemu: node count-arm.mjs [name…]. Needs qemu-aarch64, a C
// compiler and `node build-drivers.mjs arm64`. Counts the difference of two runs, so that setting up does not count.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const driver = path.join(here, '../../build/native-test/arm64/kernel-bench');
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'dgconv-count-'));
const plugin = path.join(scratch, 'count.so');
const wanted = process.argv.slice(2);
execFileSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', path.join(here, 'count_instructions.c'), '-o', plugin]);

/** Instructions of `runs` runs of one case, with the kernel's name and its multiply-adds. */
function count(shapes, runs) {
  const log = path.join(scratch, 'log');
  const out = fs.openSync(log, 'w');
  const args = ['-plugin', plugin, driver, shapes, 'neon', String(runs), 'run-only'];
  const [kernel, macs] = execFileSync('qemu-aarch64', args, { stdio: ['ignore', 'pipe', out] })
    .toString()
    .trim()
    .split(' ');
  fs.closeSync(out);
  const instructions = Number(/instructions (\d+)/.exec(fs.readFileSync(log, 'utf8'))[1]);
  return { kernel, macs: Number(macs), instructions };
}

for (const line of fs.readFileSync(path.join(here, 'shapes.txt'), 'utf8').split('\n')) {
  const [name] = line.split(' ');
  if (!name || name === '#' || (wanted.length > 0 && !wanted.includes(name))) continue;
  const shapes = path.join(scratch, 'shape.txt');
  fs.writeFileSync(shapes, line + '\n');
  const once = count(shapes, 1);
  const thrice = count(shapes, 3);
  const ratio = (thrice.instructions - once.instructions) / 2 / (once.macs / 4);
  console.log(`${name.padEnd(22)} ${once.kernel.padEnd(48)} ${ratio.toFixed(2)}`);
}
fs.rmSync(scratch, { recursive: true });
