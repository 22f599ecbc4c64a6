// Counts the instructions of ARM programs under qemu-user, and the cycles that llvm-mca gives arm64's innermost loops.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const sources = at('packages/runtime-edge/native/test');

/** What stands in for a board; its program is what `npm run build:arm64` or `build:armhf` leaves. */
const emulators = {
  arm64: { emulator: 'qemu-aarch64', cpu: 'cortex-a76' },
  armhf: { emulator: 'qemu-arm', cpu: 'cortex-a15' },
};
const programOf = (target) => at(`packages/runtime-edge/build/${target}/dgconv-run`);

const host = process.env.CC ?? 'cc';
const cross = 'aarch64-linux-gnu-gcc';
const isInstalled = (command) => spawnSync(command, ['--version']).status === 0;

/** What counting needs and this machine lacks, in words; null if nothing. */
export function missingForCounting(target) {
  const { emulator } = emulators[target];
  if (!isInstalled(emulator)) return `${emulator} (Debian: qemu-user)`;
  if (!isInstalled(host)) return `a C compiler for qemu's plugin (${host})`;
  if (!existsSync(programOf(target))) return `the ${target} build (npm run build:${target})`;
  return null;
}

function tool(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr.slice(-2000)}`);
  return { stdout, stderr };
}

/** Builds qemu's plugin in a temporary folder, and counts with it until `close`. */
export function openCounter(target) {
  const dgconvRun = programOf(target);
  const { emulator, cpu } = emulators[target];
  const scratch = mkdtempSync(join(tmpdir(), 'dgconv-count-'));
  const plugin = join(scratch, 'count.so');
  tool(host, ['-O1', '-shared', '-fPIC', join(sources, 'count_instructions.c'), '-o', plugin]);
  const emulate = (args, option = '') => tool(emulator, ['-cpu', cpu, '-plugin', `${plugin}${option}`, ...args]).stderr;
  const instructions = (args) => Number(/^instructions (\d+)$/m.exec(emulate(args))[1]);
  /** Of one run of what `command(runs)` starts, its second: the difference of two, so that loading does not count. */
  const ofOneRun = (command) => instructions(command(2)) - instructions(command(1));
  return {
    scratch,
    ofOneRun,
    /** Instructions of one run of a `.edge` file. */
    edge: (file) => ofOneRun((runs) => [dgconvRun, 'bench', file, '--repeats', String(runs)]),
    /** How often each instruction of dgconv-run is executed in three runs of a file, by address. */
    executions(file) {
      const counts = new Map();
      for (const [, address, length, times] of emulate(
        [dgconvRun, 'bench', file, '--repeats', '3'],
        ',blocks=on',
      ).matchAll(/^block (\w+) (\d+) (\d+)$/gm)) {
        for (let i = 0; i < Number(length); i++) {
          const place = parseInt(address, 16) + 4 * i;
          counts.set(place, (counts.get(place) ?? 0) + Number(times));
        }
      }
      return counts;
    },
    close: () => rmSync(scratch, { recursive: true }),
  };
}

/**
 * ONNX Runtime's arm64 library from onnxruntime-node's package, made to run under qemu: it wants to see an ARM machine.
 * @returns `{ version, command(file, runs) }`, or null where the library or the cross compiler is absent
 */
export function openOnnxRuntime(scratch) {
  const packageFolder = at('node_modules/onnxruntime-node/bin');
  const folder = existsSync(packageFolder)
    ? readdirSync(packageFolder)
        .map((name) => join(packageFolder, name, 'linux/arm64'))
        .find((name) => existsSync(name))
    : undefined;
  if (folder === undefined || !isInstalled(cross)) return null;
  const library = join(
    folder,
    readdirSync(folder).find((name) => name.startsWith('libonnxruntime.so')),
  );
  const program = join(scratch, 'ort-runs');
  tool(cross, ['-O1', join(sources, 'ort_runs.c'), library, '-Wl,--allow-shlib-undefined', '-o', program]);
  const root = join(scratch, 'root');
  const cpus = join(root, 'sys/devices/system/cpu');
  for (const name of [cpus, join(root, 'proc')]) mkdirSync(name, { recursive: true });
  symlinkSync('/usr/aarch64-linux-gnu/lib', join(root, 'lib'));
  for (const name of ['possible', 'present', 'online']) writeFileSync(join(cpus, name), '0-1\n');
  const cpu = (index) =>
    `processor\t: ${index}\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp\n` +
    'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n';
  writeFileSync(join(root, 'proc/cpuinfo'), cpu(0) + cpu(1));
  const command = (file, runs) => [
    ...['-L', root, '-E', `LD_LIBRARY_PATH=${folder}`, '-E', 'ORT_DISABLE_TELEMETRY=1'],
    ...[program, file, String(runs)],
  ];
  return { command };
}

/** Instructions of arm64's dgconv-run by address, as text; null without a disassembler. */
export function disassemble() {
  const objdump = 'aarch64-linux-gnu-objdump';
  if (!isInstalled(objdump)) return null;
  const { stdout } = tool(objdump, ['-d', '--no-show-raw-insn', programOf('arm64')]);
  return new Map(
    [...stdout.matchAll(/^ +([0-9a-f]+):\t(.*)$/gm)].map(([, address, text]) => [parseInt(address, 16), text]),
  );
}

/**
 * The code where most multiply-adds are executed: all instructions near them that run about as often, without jumps.
 * @returns `{ assembly, multiplyAdds }`
 */
export function hottestLoop(code, executions) {
  const isMultiplyAdd = (address) => /^fmla\s/.test(code.get(address) ?? '');
  const shares = new Map();
  for (const [address, times] of executions)
    if (isMultiplyAdd(address)) shares.set(times, (shares.get(times) ?? 0) + times);
  const [often] = [...shares].sort(([, a], [, b]) => b - a)[0];
  const core = [...executions].filter(([address, times]) => times === often && isMultiplyAdd(address));
  const first = Math.min(...core.map(([address]) => address)) - 1024;
  const last = Math.max(...core.map(([address]) => address)) + 1024;
  const loop = [...executions]
    .filter(([address, times]) => address >= first && address <= last && times > 0.6 * often && times < 1.6 * often)
    .map(([address]) => address)
    .sort((a, b) => a - b);
  const assembly = loop.map((address) => code.get(address)).filter((text) => !/^(b|cb|tb|ret|adr|nop)/.test(text));
  return {
    assembly: assembly.map((text) => text.replace(/\/\/.*/, '')).join('\n'),
    multiplyAdds: loop.filter(isMultiplyAdd).length,
  };
}

/** Cycles per multiply-add of a loop by llvm-mca's model of a core; null without the tool. */
export function cyclesOf(loop, core) {
  if (!isInstalled('llvm-mca')) return null;
  const rounds = 50;
  const options = ['-mtriple=aarch64', `-mcpu=${core}`, `-iterations=${rounds}`, '-instruction-info=false'];
  const { stdout } = tool('llvm-mca', [...options, '-resource-pressure=false'], { input: loop.assembly });
  return Number(/^Total Cycles: +(\d+)$/m.exec(stdout)[1]) / rounds / loop.multiplyAdds;
}
