// Builds the kernel test and bench drivers from sources.json: node build-drivers.mjs [x64|arm64|armhf|wasm|wasm-relaxed] [driver…]
// leaves build/native-test/<arch>/<driver>; wasm drivers run with `node run-wasm.mjs FILE`. Native kernels are the objects of
// the library's own build, compiled again where they are not current.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileUnits, crossCompiler, crossTriples, runTool, translationUnits } from '../../scripts/engine-sources.mjs';

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

async function native() {
  const cross = arch in crossTriples && arch !== process.arch;
  const compiler = cross ? crossCompiler(arch).cxx : (process.env.CXX ?? 'g++');
  const units = translationUnits(arch, [], ['-fPIC', '-pthread']).filter(({ object }) => object.startsWith('kernels_'));
  const objects = await compileUnits(
    compiler,
    units,
    path.join(here, '../../build', cross ? arch : 'native', 'objects'),
  );
  for (const name of names) {
    const files = drivers[name].map((file) => path.join(here, file));
    const flags = ['-std=c++20', '-O2', '-Wall', '-Wno-psabi', '-static', `-I${kernels}`];
    await runTool(compiler, [...flags, ...files, ...objects, '-o', path.join(out, name)]);
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
