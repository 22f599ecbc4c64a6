// Builds the training kernels (../native) as a Node addon, with $CXX or the machine's C++ compiler, and as a WebAssembly module, with clang from npm.
// Each is rebuilt only when its sources or its commands change; without a compiler the addon is left out and the WebAssembly module does its work.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const sourceFolder = join(packageRoot, 'native');
const sources = readdirSync(sourceFolder).filter((file) => file !== 'mpi.cc');
const outputFolder = join(packageRoot, 'build', 'native');
const require = createRequire(import.meta.url);

const drivers = ['operations', 'conv', 'xor_conv', 'filter_gradient', 'batch_norm', 'elementwise', 'gates', 'parallel'];
const common = ['-std=c++20', '-O3', '-Wall', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'];
const x64Sets = [
  ['kernelsAvx512', 16, ['-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma', '-mprefer-vector-width=512']],
  ['kernelsAvx2', 8, ['-mavx2', '-mfma']],
  ['kernelsBaseline', 4, []],
];
const instructionSets = process.arch === 'x64' ? x64Sets : x64Sets.slice(2);

mkdirSync(outputFolder, { recursive: true });
await buildAddon();
await buildWasm();

/** Calls `build(file)` unless the output was made from the same sources by the same recipe. */
async function ifChanged(name, recipe, build) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  hash.update(JSON.stringify([recipe, process.platform, process.arch]));
  for (const file of sources.sort()) hash.update(file).update(readFileSync(join(sourceFolder, file)));
  const digest = hash.digest('hex');
  const output = join(outputFolder, name);
  const stamp = `${output}.stamp`;
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  rmSync(stamp, { force: true });
  rmSync(output, { force: true });
  if (await build(output)) writeFileSync(stamp, digest);
}

function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  for (const command of candidates) {
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (status === 0) return { command, version: stdout.split('\n')[0] };
  }
  return undefined;
}

async function buildAddon() {
  const compiler = findCompiler();
  const headers = compiler && dirname(require.resolve('node-api-headers/package.json'));
  if (!compiler || process.platform === 'win32') {
    rmSync(join(outputFolder, 'dgconv-train.node'), { force: true });
    console.log('trainer: native kernels skipped (no C++ compiler found); training uses WebAssembly');
    return;
  }
  await ifChanged('dgconv-train.node', [compiler, common, instructionSets], (output) => {
    const folder = mkdtempSync(join(outputFolder, 'objects-'));
    // GCC 12 warns of its own intrinsics.
    const quiet = compiler.version.includes('clang') ? [] : ['-Wno-maybe-uninitialized'];
    const object = (name) => join(folder, `${name}.o`);
    const compile = (source, name, ...flags) =>
      run(compiler.command, [...common, '-fPIC', ...flags, '-c', join(sourceFolder, source), '-o', object(name)]);
    const link = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];
    const built =
      instructionSets.every(([table, lanes, flags]) =>
        compile('kernels.cc', table, ...quiet, ...flags, `-DDGC_TABLE=${table}`, `-DDGC_LANES=${lanes}`),
      ) &&
      drivers.every((name) => compile(`${name}.cc`, name)) &&
      compile('node_addon.cc', 'node_addon', `-I${join(headers, 'include')}`) &&
      run(compiler.command, [
        '-shared',
        '-pthread',
        ...link,
        ...[...instructionSets.map(([table]) => table), ...drivers, 'node_addon'].map(object),
        '-o',
        join(folder, 'addon.node'),
      ]);
    if (built) renameSync(join(folder, 'addon.node'), output);
    rmSync(folder, { recursive: true });
    if (!built) console.log('trainer: native kernels skipped (they did not compile); training uses WebAssembly');
    return built;
  });
}

function run(command, args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) console.error(stderr);
  else if (stderr) console.error(stderr.trimEnd());
  return status === 0;
}

async function buildWasm() {
  const flags = [
    ...common,
    '-msimd128',
    '-mreference-types',
    '-mexec-model=reactor',
    '-DDGC_LANES=4',
    '-DDGC_TABLE=kernelsBaseline',
  ];
  const units = [...drivers, 'kernels', 'wasm_exports'].map((name) => `${name}.cc`);
  await ifChanged('dgconv-train.wasm', [flags, units], async (output) => {
    const { runClang } = await import('@yowasp/clang');
    await runClang(undefined, {}, { fetchProgress() {} });
    const files = {};
    for (const file of sources) files[file] = readFileSync(join(sourceFolder, file), 'utf8');
    const print = (bytes) => bytes && process.stderr.write(bytes);
    const result = await runClang(['clang++', ...flags, ...units, '-o', 'out.wasm'], files, {
      stdout: print,
      stderr: print,
    });
    writeFileSync(`${output}.tmp`, result['out.wasm']);
    renameSync(`${output}.tmp`, output);
    return true;
  });
}
