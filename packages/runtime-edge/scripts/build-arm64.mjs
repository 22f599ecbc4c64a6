// Cross-compiles for linux-arm64: the Node addon, the static library and dgconv-run, a static program. $CXX_ARM64 names the compiler.
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

const cxx = process.env.CXX_ARM64 ?? 'aarch64-linux-gnu-g++';
const version = compilerVersion(cxx);
if (version === null) {
  console.error(
    `dgconv: cannot build for arm64: there is no ${cxx}; install it (Debian, Ubuntu: apt-get install g++-aarch64-linux-gnu) or name another in CXX_ARM64`,
  );
  process.exit(1);
}
const prefix = cxx.endsWith('g++') ? cxx.slice(0, -'g++'.length) : '';
const folder = join(packageFolder, 'build/arm64');
const { include_dir: nodeHeaders } = createRequire(import.meta.url)('node-api-headers');
const library = translationUnits('arm64', ['native/bindings/c_api.cc'], ['-fPIC', '-pthread']);
const program = translationUnits(
  'arm64',
  ['native/bindings/npy.cc', 'native/bindings/cli_check.cc', 'native/bindings/cli_main.cc'],
  ['-pthread'],
).filter(({ source }) => source.startsWith('native/bindings/'));
const addon = translationUnits(
  'arm64',
  ['native/bindings/c_api.cc', 'native/bindings/node_addon.cc', 'native/test/fma_peak.cc'],
  ['-fPIC', '-pthread', '-DDGC_BUILD_SHARED', `-I${nodeHeaders}`],
)
  .filter(({ source }) => source.startsWith('native/bindings/') || source.startsWith('native/test/'))
  .map((unit) => ({ ...unit, object: `addon_${unit.object}` }));
const outputs = ['dgconv-run', 'libdgconv_edge.a', 'dgconv_edge.node'].map((name) => join(folder, name));
const [runner, archive, module] = outputs;
const shared = [
  '-shared',
  '-pthread',
  '-static-libgcc',
  '-static-libstdc++',
  '-Wl,--gc-sections',
  '-Wl,--exclude-libs,ALL',
  '-s',
];
const standalone = ['-static', '-pthread', '-Wl,--gc-sections', '-s'];

const hash = buildHash({ version, library, program, addon, shared, standalone });
await unlessCurrent(folder, hash, outputs, async () => {
  const objects = await compileUnits(cxx, [...library, ...program, ...addon], join(folder, 'objects'));
  const engine = objects.slice(0, library.length);
  const cli = objects.slice(library.length, library.length + program.length);
  const bindings = objects.slice(library.length + program.length);
  await runTool(`${prefix}ar`, ['rcsD', archive, ...engine]);
  leaveCmakePackage(folder, archive);
  await runTool(cxx, [...cli, archive, ...standalone, '-o', runner]);
  await runTool(cxx, [...bindings, ...engine.filter((name) => !name.endsWith('/c_api.o')), ...shared, '-o', module]);
});
