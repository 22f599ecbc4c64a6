import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeEdge } from './edge-encode.js';
import { RandomModel } from './testing/random-model.js';

const built = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const isInstalled = (command: string): boolean => spawnSync(command, ['--version']).status === 0;

const project = `cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(DgconvEdge 0.1 REQUIRED)
add_executable(consumer main.c)
target_link_libraries(consumer DgconvEdge::dgconv_edge)
`;
const program = `#include <dgconv_edge.h>
#include <stdio.h>
int main(int argc, char** argv) {
  char message[256] = "";
  dgc_session* session;
  if (argc < 2 || dgc_session_load_file(argv[1], NULL, &session, message, sizeof message) != DGC_OK) {
    puts(message);
    return 1;
  }
  dgc_tensor_info info;
  dgc_session_input(session, 0, &info);
  printf("%s %s\\n", dgc_version(), info.name);
  dgc_session_destroy(session);
  return 0;
}
`;

/** A prefix that a build left, and how a program of it is compiled and started here. */
const prefixes = [
  {
    name: 'this machine',
    prefix: built('native/sdk'),
    compiler: process.env['CC'] ?? 'cc',
    processor: null,
    emulator: [],
  },
  {
    name: 'arm64',
    prefix: built('arm64/sdk'),
    compiler: 'aarch64-linux-gnu-gcc',
    processor: 'aarch64',
    emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
  },
  {
    name: 'armhf',
    prefix: built('armhf/sdk'),
    compiler: 'arm-linux-gnueabihf-gcc',
    processor: 'armv7l',
    emulator: ['qemu-arm', '-L', '/usr/arm-linux-gnueabihf'],
  },
];

for (const { name, prefix, compiler, processor, emulator } of prefixes) {
  const needed = ['cmake', compiler, ...emulator.slice(0, 1)];
  const absent =
    needed.find((tool) => !isInstalled(tool)) ?? (existsSync(prefix) ? undefined : `the build for ${name}`);
  const because = absent === undefined ? '' : ` (there is no ${absent})`;
  (absent === undefined ? test : test.skip)(
    `a C program finds the library for ${name} with find_package(DgconvEdge), links and runs${because}`,
    async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'dgconv-cmake-'));
      await writeFile(join(folder, 'CMakeLists.txt'), project);
      await writeFile(join(folder, 'main.c'), program);
      await writeFile(join(folder, 'net.edge'), encodeEdge(new RandomModel({ seed: 3, nodes: 4, exact: true }).model));
      const run = (command: string, ...args: string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
      const cross = processor === null ? [] : ['-DCMAKE_SYSTEM_NAME=Linux', `-DCMAKE_SYSTEM_PROCESSOR=${processor}`];
      const configured = run(
        'cmake',
        '-B',
        'out',
        `-DCMAKE_C_COMPILER=${compiler}`,
        `-DCMAKE_PREFIX_PATH=${prefix}`,
        ...cross,
      );
      t.is(configured.status, 0, configured.stderr);
      const linked = run('cmake', '--build', 'out');
      t.is(linked.status, 0, linked.stderr + linked.stdout);
      const [command, ...args] = [...emulator, join(folder, 'out/consumer'), 'net.edge'];
      const { status, stdout, stderr } = run(command!, ...args);
      t.is(status, 0, stderr + stdout);
      t.regex(stdout, /^0\.1\.0 input\n$/);
    },
  );
}
