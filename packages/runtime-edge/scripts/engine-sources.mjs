// What the engine is compiled from, for every target: one translation unit a file, the kernels once for each instruction set.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this package. */
export const packageFolder = fileURLToPath(new URL('..', import.meta.url));
const native = join(packageFolder, 'native');
const kernels = JSON.parse(readFileSync(join(native, 'kernels/sources.json'), 'utf8'));
const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));

const planSources = readdirSync(join(native, 'plan'))
  .filter((name) => name.endsWith('.cc'))
  .sort()
  .map((name) => `native/plan/${name}`);

/** What Debian calls the targets that we compile for elsewhere. */
export const crossTriples = { arm64: 'aarch64-linux-gnu', armhf: 'arm-linux-gnueabihf' };

/** The variable that names the compiler for such a target, and the compiler. */
export function crossCompiler(target) {
  const variable = `CXX_${target.toUpperCase()}`;
  return { variable, cxx: process.env[variable] ?? `${crossTriples[target]}-g++` };
}

/** Flags of everything but the kernels, which bring their own. */
const engineFlags = [
  '-I.',
  '-std=c++20',
  '-O2',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-threadsafe-statics',
  '-Wall',
  '-Wextra',
];

/**
 * The translation units of the engine for an architecture of kernels/sources.json, with the given bindings.
 * @returns {{ source: string, object: string, flags: string[] }[]} paths relative to the package
 */
export function translationUnits(arch, bindings, extraFlags) {
  const common = [
    `-DDGC_VERSION="${version}"`,
    '-fvisibility=hidden',
    '-ffunction-sections',
    '-fdata-sections',
    ...extraFlags,
  ];
  const engine = [...planSources, ...bindings].map((source) => ({
    source,
    object: `${basename(source, '.cc')}.o`,
    flags: [...engineFlags, ...common],
  }));
  // A WebAssembly module carries the best of its instruction sets only: whoever loads it has that one.
  const isas = Object.entries(kernels.isas[arch])
    .slice(arch.startsWith('wasm') ? -1 : 0)
    .map(([isa, flags]) => ({
      source: `native/kernels/${kernels.source}`,
      object: `kernels_${isa}.o`,
      flags: [
        ...kernels.flags,
        ...kernels.define.map((text) => text.replaceAll('{isa}', isa)),
        ...flags,
        ...common.filter((flag) => !flag.startsWith('-D')),
      ],
    }));
  return [...isas, ...engine];
}

/** All files below `folder`, relative to the package. */
export function filesBelow(folder) {
  return readdirSync(join(packageFolder, folder), { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => statSync(join(packageFolder, name)).isFile())
    .sort();
}

/** Hash of sources, flags and compiler: what a build depends on. */
export function buildHash(description) {
  const sources = [...filesBelow('native'), ...filesBelow('include'), ...filesBelow('scripts')];
  return hashOf(
    description,
    sources.filter((name) => !name.startsWith('native/test/') || name.includes('fma_peak')),
  );
}

function hashOf(description, sources) {
  const hash = createHash('sha256').update(JSON.stringify(description));
  for (const name of sources) hash.update(`\n${name}\n`).update(readFileSync(join(packageFolder, name)));
  return hash.digest('hex');
}

/** What one object depends on: kernels include nothing but their own folder. */
export function unitHash(compiler, unit) {
  const isKernels = unit.source.startsWith('native/kernels/');
  const folders = isKernels ? ['native/kernels'] : ['native', 'include'];
  return hashOf(
    { compiler, unit },
    folders.flatMap(filesBelow).filter((name) => /\.(cc|h|inc)$/.test(name)),
  );
}

/** Runs `build` unless `outputs` are there and were made from what `hash` stands for. */
export async function unlessCurrent(folder, hash, outputs, build) {
  const stamp = join(folder, 'hash');
  const current =
    existsSync(stamp) && readFileSync(stamp, 'utf8') === hash && outputs.every((name) => existsSync(name));
  if (current) return false;
  mkdirSync(folder, { recursive: true });
  await build();
  writeFileSync(stamp, hash);
  return true;
}

/** The first line that a compiler says about itself, or null if it cannot be run. */
export function compilerVersion(cxx) {
  const { status, stdout } = spawnSync(cxx, ['--version'], { encoding: 'utf8' });
  return status === 0 && stdout ? stdout.split('\n', 1)[0] : null;
}

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: packageFolder, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')}\nended with exit code ${code}`)),
    );
  });
}

/** Compiles those of `units` that changed into `folder`, two at a time, and gives the objects' paths. */
export async function compileUnits(cxx, units, folder) {
  mkdirSync(folder, { recursive: true });
  const version = compilerVersion(cxx);
  const objects = units.map((unit) => relative(packageFolder, join(folder, unit.object)));
  const waiting = [...units.keys()];
  const worker = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const { source, flags } = units[index];
      const object = objects[index];
      const stamp = join(packageFolder, `${object}.hash`);
      const hash = unitHash([cxx, version], units[index]);
      if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) continue;
      await run(cxx, ['-c', source, '-o', object, ...flags]);
      writeFileSync(stamp, hash);
    }
  };
  await Promise.all([worker(), worker()]);
  return objects;
}

/** Links, archives or strips: any tool, run in the package's folder. */
export async function runTool(command, args) {
  await run(command, args);
}
