import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compilerVersion, compileUnits, packageFolder, runTool, translationUnits } from './engine-sources.mjs';

/**
 * Builds a driver of native/test together with the engine, under sanitizers.
 * @param isa - of the kernels that can run; any but scalar takes minutes to compile.
 * @returns {Promise<{ program: string, folder: string }>} in build/sanitized; the folder is the caller's to write to.
 * @throws {Error} if there is no compiler ($CXX, else g++) or it fails.
 */
export async function buildSanitized(driver, sanitizers, isa = 'scalar') {
  const cxx = process.env.CXX ?? 'g++';
  if (compilerVersion(cxx) === null) throw new Error(`there is no C++ compiler ${cxx}`);
  const folder = join(packageFolder, 'build/sanitized', `${driver}-${isa}`);
  mkdirSync(folder, { recursive: true });
  const flags = [`-fsanitize=${sanitizers}`, '-fno-sanitize-recover=all', '-g', '-O1', '-pthread'];
  if (isa === 'scalar') flags.push('-DDGC_SCALAR_ONLY');
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const units = translationUnits(arch, ['native/bindings/c_api.cc', `native/test/${driver}.cc`], flags).filter(
    ({ object }) => isa !== 'scalar' || !object.startsWith('kernels_') || object === 'kernels_scalar.o',
  );
  const objects = await compileUnits(cxx, units, join(folder, 'objects'));
  const program = join(folder, driver);
  await runTool(cxx, [...objects, `-fsanitize=${sanitizers}`, '-pthread', '-o', program]);
  return { program, folder };
}

/** Runs such a program; where that is allowed, without random addresses, which older sanitizers cannot have everywhere. */
export async function runSanitized(program, args) {
  const fixed = spawnSync('setarch', ['-R', 'true']).status === 0;
  await (fixed ? runTool('setarch', ['-R', program, ...args]) : runTool(program, args));
}
