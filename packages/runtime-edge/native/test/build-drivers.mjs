// Builds the kernel test and bench drivers from sources.json: node build-drivers.mjs [x64|arm64|wasm|wasm-relaxed] [driver…]
// leaves build/native-test/<arch>/<driver>; wasm drivers run with `node run-wasm.mjs FILE`.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const kernels = path.join(here, '../kernels');
const [arch = process.arch === 'arm64' ? 'arm64' : 'x64', ...chosen] = process.argv.slice(2);
const out = path.join(here, '../../build/native-test', arch);
const sources = JSON.parse(fs.readFileSync(path.join(kernels, 'sources.json'), 'utf8'));
const drivers = {
  'kernel-test': ['kernel_test.cc', 'op_tests.cc', 'movement_tests.cc'],
  'kernel-bench': ['kernel_bench.cc', 'fma_peak.cc'],
};
const names = chosen.length > 0 ? chosen : Object.keys(drivers);
const wasm = arch.startsWith('wasm');
const extra = arch === 'wasm-relaxed' ? ['-DDGC_TEST_RELAXED'] : [];

/** Flags of one instruction set's copy of the kernels. */
const isaFlags = (isa) => [
  ...sources.flags,
  ...sources.define.map((d) => d.replace('{isa}', isa)),
  ...sources.isas[arch][isa],
];

/** Whether a file is newer than every kernel source. */
const isCurrent = (file) =>
  fs.existsSync(file) &&
  fs.readdirSync(kernels).every((name) => fs.statSync(path.join(kernels, name)).mtimeMs < fs.statSync(file).mtimeMs);

async function native() {
  const cross = { arm64: process.arch === 'arm64' ? 'g++' : 'aarch64-linux-gnu-g++', x64: 'g++' };
  const compiler = process.env.CXX ?? cross[arch];
  const run = (args) => promisify(execFile)(compiler, args).then(({ stderr }) => process.stderr.write(stderr));
  const objects = [];
  for (const isa of Object.keys(sources.isas[arch])) {
    objects.push(path.join(out, `${isa}.o`));
    if (isCurrent(objects.at(-1))) continue;
    await run([...isaFlags(isa), '-c', path.join(kernels, sources.source), '-o', objects.at(-1)]);
  }
  for (const name of names) {
    const files = drivers[name].map((file) => path.join(here, file));
    await run([
      '-std=c++20',
      '-O2',
      '-Wall',
      '-static',
      `-I${kernels}`,
      ...extra,
      ...files,
      ...objects,
      '-o',
      path.join(out, name),
    ]);
  }
}

async function webAssembly() {
  const { runClang } = await import('@yowasp/clang');
  const read = (folder) =>
    Object.fromEntries(
      fs
        .readdirSync(folder)
        .filter((file) => /\.(h|cc|inc)$/.test(file))
        .map((file) => [file, fs.readFileSync(path.join(folder, file), 'utf8')]),
    );
  const tree = { kernels: read(kernels), test: read(here) };
  const show = { stdout() {}, stderr: (data) => data && process.stderr.write(data) };
  await runClang(undefined, {}, { fetchProgress() {} });
  const base = ['clang++', '--target=wasm32-wasip1'];
  const objects = {};
  for (const isa of Object.keys(sources.isas[arch])) {
    const args = [...base, ...isaFlags(isa), '-c', `kernels/${sources.source}`, '-o', 'kernels.o'];
    objects[`${isa}.o`] = (await runClang(args, tree, show))['kernels.o'];
  }
  for (const name of names) {
    const files = drivers[name].map((file) => `test/${file}`);
    const inputs = [...files, ...Object.keys(objects)];
    const args = [...base, '-std=c++20', '-O2', '-fno-exceptions', '-Ikernels', ...extra, ...inputs, '-o', 'a.wasm'];
    fs.writeFileSync(path.join(out, name), (await runClang(args, { ...tree, ...objects }, show))['a.wasm']);
  }
}

fs.mkdirSync(out, { recursive: true });
await (wasm ? webAssembly() : native());
