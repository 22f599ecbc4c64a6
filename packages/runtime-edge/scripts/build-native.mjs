// Builds the Node addon with $CXX and npm's node-api-headers; without a compiler it says so and succeeds: WebAssembly remains.
import { rmSync } from 'node:fs';
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
import { leaveCmakePackage } from './cmake-package.mjs';

const arch = { x64: 'x64', arm64: 'arm64' }[process.arch];
const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'c++', 'clang++'];
const cxx = candidates.find((name) => compilerVersion(name) !== null);
const skip = (reason) => console.log(`dgconv: native addon skipped: ${reason}; the WebAssembly engine is used instead`);

if (arch === undefined || process.platform === 'win32')
  skip(`no native engine for ${process.platform}-${process.arch}`);
else if (cxx === undefined) skip(`no C++ compiler (tried ${candidates.join(', ')})`);
else {
  const folder = join(packageFolder, 'build/native');
  const [addon, archive, runner] = ['dgconv_edge.node', 'libdgconv_edge.a', 'dgconv-run'].map((name) =>
    join(folder, name),
  );
  const { include_dir: nodeHeaders } = createRequire(import.meta.url)('node-api-headers');
  const flags = ['-fPIC', '-pthread', '-DDGC_BUILD_SHARED'];
  const library = translationUnits(arch, ['native/bindings/c_api.cc'], flags);
  const bindings = (...sources) =>
    translationUnits(arch, sources, flags).filter(({ source }) => sources.includes(source));
  const module = bindings('native/bindings/node_addon.cc', 'native/test/fma_peak.cc');
  for (const unit of module) unit.flags.push(`-I${nodeHeaders}`);
  const program = bindings('native/bindings/npy.cc', 'native/bindings/cli_check.cc', 'native/bindings/cli_main.cc');
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
  const hash = buildHash({ arch, compiler: compilerVersion(cxx), library, module, program, link });
  await unlessCurrent(folder, hash, [addon, archive, runner], async () => {
    const objects = await compileUnits(cxx, [...library, ...module, ...program], join(folder, 'objects'));
    const engine = objects.slice(0, library.length);
    const glue = objects.slice(library.length, library.length + module.length);
    rmSync(archive, { force: true });
    await runTool('ar', ['rcs', archive, ...engine]);
    leaveCmakePackage(folder, archive);
    await runTool(cxx, [...glue, ...engine, ...link, '-o', addon]);
    await runTool(cxx, [...objects.slice(library.length + module.length), archive, '-pthread', '-o', runner]);
  });
}
