// Builds everything that `npm ci` should leave behind: the TypeScript packages (nx, cached), then the native engines.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const run = (command, args) => {
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { NX_DAEMON: 'false', ...process.env },
    shell: process.platform === 'win32',
  });
  if (status !== 0) process.exit(status ?? 1);
};
run('npx', ['--no', '--', 'nx', 'run-many', '-t', 'build', '--output-style=static']);
for (const script of [
  'packages/runtime-edge/scripts/build-native.mjs',
  'packages/runtime-edge/scripts/build-wasm.mjs',
  'packages/trainer/scripts/build-native.mjs',
  'packages/trainer/scripts/build-mpi.mjs',
]) {
  if (existsSync(script)) run(process.execPath, [script]);
}
