// Builds the Node addon with $CXX and npm's node-api-headers; without a compiler it says so and succeeds: WebAssembly remains.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  buildHash,
  compilerVersion,
  compileUnits,
  packageFolder,
  runTool,
  translationUnits,
  unlessCurrent,
} from './engine-sources.mjs';

const arch = { x64: 'x64', arm64: 'arm64' }[process.arch];
const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'c++', 'clang++'];
const cxx = candidates.find((name) => compilerVersion(name) !== null);
const skip = (reason) => console.log(`dgconv: native addon skipped: ${reason}; the WebAssembly engine is used instead`);

if (arch === undefined || process.platform === 'win32')
  skip(`no native engine for ${process.platform}-${process.arch}`);
else if (cxx === undefined) skip(`no C++ compiler (tried ${candidates.join(', ')})`);
else {
  const folder = join(packageFolder, 'build/native');
  const addon = join(folder, 'dgconv_edge.node');
  const { include_dir: nodeHeaders } = createRequire(import.meta.url)('node-api-headers');
  const flags = ['-fPIC', '-pthread', '-DDGC_BUILD_SHARED'];
  const units = translationUnits(
    arch,
    ['native/bindings/c_api.cc', 'native/bindings/node_addon.cc', 'native/test/fma_peak.cc'],
    flags,
  );
  for (const unit of units) if (unit.source.endsWith('node_addon.cc')) unit.flags.push(`-I${nodeHeaders}`);
  const link =
    process.platform === 'darwin'
      ? ['-bundle', '-undefined', 'dynamic_lookup', '-Wl,-dead_strip']
      : [
          '-shared',
          '-pthread',
          '-static-libgcc',
          '-static-libstdc++',
          '-Wl,--gc-sections',
          '-Wl,--exclude-libs,ALL',
          '-s',
        ];
  const hash = buildHash({ arch, compiler: compilerVersion(cxx), units, link });
  await unlessCurrent(folder, hash, [addon], async () => {
    const objects = await compileUnits(cxx, units, join(folder, 'objects'));
    await runTool(cxx, [...objects, ...link, '-o', addon]);
  });
}
