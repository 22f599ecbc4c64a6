// Cross-compiles for linux on ARM: node build-arm.mjs arm64|armhf leaves build/<target>/ with the static library and dgconv-run,
// a static program; for arm64 the Node addon too. $CXX_ARM64 and $CXX_ARMHF name the compilers.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  buildHash,
  compilerVersion,
  compileUnits,
  crossCompiler,
  crossTriples,
  packageFolder,
  runTool,
  translationUnits,
  unlessCurrent,
} from './engine-sources.mjs';
import { leaveCmakePackage } from './cmake-package.mjs';

const target = process.argv[2];
if (!Object.hasOwn(crossTriples, target)) {
  console.error(`usage: node build-arm.mjs ${Object.keys(crossTriples).join('|')}`);
  process.exit(2);
}
const { variable, cxx } = crossCompiler(target);
const version = compilerVersion(cxx);
if (version === null) {
  console.error(
    `dgconv: cannot build for ${target}: there is no ${cxx}; install it (Debian, Ubuntu: apt-get install g++-${crossTriples[target]}) or name another in ${variable}`,
  );
  process.exit(1);
}
const prefix = cxx.endsWith('g++') ? cxx.slice(0, -'g++'.length) : '';
const folder = join(packageFolder, 'build', target);
const { include_dir: nodeHeaders } = createRequire(import.meta.url)('node-api-headers');
const library = translationUnits(target, ['native/bindings/c_api.cc'], ['-fPIC', '-pthread']);
const program = translationUnits(
  target,
  ['native/bindings/npy.cc', 'native/bindings/cli_check.cc', 'native/bindings/cli_main.cc'],
  ['-pthread'],
).filter(({ source }) => source.startsWith('native/bindings/'));
// On 32-bit ARM, Node runs the WebAssembly module.
const addon =
  target === 'armhf'
    ? []
    : translationUnits(
        target,
        ['native/bindings/c_api.cc', 'native/bindings/node_addon.cc', 'native/test/fma_peak.cc'],
        ['-fPIC', '-pthread', '-DDGC_BUILD_SHARED', `-I${nodeHeaders}`],
      )
        .filter(({ source }) => source.startsWith('native/bindings/') || source.startsWith('native/test/'))
        .map((unit) => ({ ...unit, object: `addon_${unit.object}` }));
const [runner, archive, module] = ['dgconv-run', 'libdgconv_edge.a', 'dgconv_edge.node'].map((name) =>
  join(folder, name),
);
const outputs = addon.length > 0 ? [runner, archive, module] : [runner, archive];
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
  if (addon.length > 0) {
    const rest = engine.filter((name) => !name.endsWith('/c_api.o'));
    await runTool(cxx, [...bindings, ...rest, ...shared, '-o', module]);
  }
});
