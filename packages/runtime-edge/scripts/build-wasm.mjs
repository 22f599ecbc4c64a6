// Builds the WebAssembly modules with @yowasp/clang, a compiler that npm installs: plain SIMD, and relaxed SIMD for those who ask for it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runClang } from '@yowasp/clang';
import { buildHash, filesBelow, packageFolder, translationUnits, unitHash, unlessCurrent } from './engine-sources.mjs';

const exported = [
  'malloc',
  'free',
  'dgc_session_load',
  'dgc_session_destroy',
  'dgc_session_input_count',
  'dgc_session_output_count',
  'dgc_session_input',
  'dgc_session_output',
  'dgc_session_run',
  'dgc_session_plan',
  'dgc_session_profile',
  'dgc_session_step_times',
];
const variants = { wasm: 'dgconv_edge.wasm', 'wasm-relaxed': 'dgconv_edge_relaxed.wasm' };
const folder = join(packageFolder, 'build/wasm');
const target = ['--target=wasm32-wasip1'];

/** The tree of files that the compiler sees: it reads nothing else. */
function sourceTree() {
  const tree = {};
  for (const name of [...filesBelow('native'), ...filesBelow('include')]) {
    const parts = name.split(/[/\\]/);
    let at = tree;
    for (const part of parts.slice(0, -1)) at = at[part] ??= {};
    at[parts.at(-1)] = readFileSync(join(packageFolder, name), 'utf8');
  }
  return tree;
}

async function clang(args, files) {
  let said = '';
  const listen = (bytes) => {
    if (bytes) said += typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString();
  };
  try {
    return await runClang(['clang++', ...args], files, { stdout: listen, stderr: listen });
  } catch (error) {
    console.error(said);
    throw new Error(`clang++ ${args.join(' ')} failed: ${error.message}`);
  } finally {
    if (said.trim() && process.env.DGCONV_DEBUG) console.error(said);
  }
}

const compiler = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')).devDependencies['@yowasp/clang'];
const plans = Object.entries(variants).map(([arch, output]) => {
  const units = translationUnits(arch, ['native/bindings/c_api.cc'], target);
  for (const unit of units) if (!unit.source.startsWith('native/kernels/')) unit.flags.push('-Oz');
  const select = units.find(({ source }) => source.endsWith('/select.cc'));
  if (arch === 'wasm-relaxed') select.flags.push('-DDGC_WASM_RELAXED');
  return { output, units };
});
const link = [
  ...target,
  '-mexec-model=reactor',
  '-fno-exceptions',
  '-Wl,--gc-sections',
  '-Wl,--strip-all',
  '-Wl,-z,stack-size=1048576',
  ...exported.map((name) => `-Wl,--export=${name}`),
];
const used = new Set();
const outputs = Object.values(variants).map((name) => join(folder, name));
await unlessCurrent(folder, buildHash({ compiler, plans, link }), outputs, async () => {
  await runClang(undefined, {}, { fetchProgress() {} });
  mkdirSync(folder, { recursive: true });
  const objectFolder = join(folder, 'objects');
  mkdirSync(objectFolder, { recursive: true });
  for (const { output, units } of plans) {
    const objects = {};
    for (const unit of units) {
      const stored = join(objectFolder, `${unitHash(compiler, unit)}.o`);
      if (!existsSync(stored)) {
        const files = await clang(['-c', unit.source, '-o', unit.object, ...unit.flags], sourceTree());
        writeFileSync(stored, files[unit.object]);
      }
      used.add(stored);
      objects[unit.object] = readFileSync(stored);
    }
    const files = await clang([...Object.keys(objects), ...link, '-o', output], objects);
    writeFileSync(join(folder, output), files[output]);
  }
  for (const name of readdirSync(objectFolder))
    if (!used.has(join(objectFolder, name))) rmSync(join(objectFolder, name));
});
