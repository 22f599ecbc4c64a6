import test from 'ava';
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = promisify(execFile);
const isInstalled = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const own = process.arch === 'arm64' ? 'arm64' : 'x64';

/** What compiles the driver for an architecture, and what runs it here; in an emulator the scalar kernels are left out. */
const targets = [
  { arch: own, compiler: process.env['CXX'] ?? 'g++', emulator: null, isas: [] },
  {
    arch: 'arm64',
    compiler: process.env['CXX_ARM64'] ?? 'aarch64-linux-gnu-g++',
    emulator: 'qemu-aarch64',
    isas: ['neon'],
  },
  {
    arch: 'armhf',
    compiler: process.env['CXX_ARMHF'] ?? 'arm-linux-gnueabihf-g++',
    emulator: 'qemu-arm',
    isas: ['neon32'],
  },
].filter(({ arch, emulator }) => emulator === null || arch !== own);

for (const { arch, compiler, emulator, isas } of targets) {
  const absent = [compiler, ...(emulator === null ? [] : [emulator])].find((command) => !isInstalled(command));
  const because = absent === undefined ? '' : ` (skipped: there is no ${absent})`;
  (absent === undefined ? test : test.skip)(
    `every kernel for ${arch} gives what the reference gives, wherever its work is cut${because}`,
    async (t) => {
      await run(process.execPath, [at('native/test/build-drivers.mjs'), arch, 'kernel-test']);
      const program = at(`build/native-test/${arch}/kernel-test`);
      // Of the large convolutions every seventh: no cycle of variants has seven.
      const [command, ...args] = [...(emulator === null ? [] : [emulator]), program, '7', ...isas] as [string];
      const { stdout } = await run(command, args);
      for (const isa of isas) t.true(stdout.includes(`${isa} done`), stdout);
      const [, passed] = /^(\d+) passed, 0 failed$/m.exec(stdout) ?? [];
      t.true(Number(passed) > 20_000, stdout);
    },
  );
}
