// Builds the fuzzer of `.edge` loading with ASan and UBSan and runs it: node scripts/fuzz.mjs [ROUNDS] [SEED]
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileUnits, packageFolder, runTool, translationUnits } from './engine-sources.mjs';

const [rounds = '20000', seed = '1'] = process.argv.slice(2);
const cxx = process.env.CXX ?? 'g++';
const folder = join(packageFolder, 'build/fuzz');
mkdirSync(folder, { recursive: true });
const sanitizers = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
  '-g',
  '-O1',
  '-pthread',
  '-DDGC_SCALAR_ONLY',
];
const units = translationUnits('x64', ['native/bindings/c_api.cc', 'native/test/fuzz_edge.cc'], sanitizers).filter(
  ({ object }) => !object.startsWith('kernels_') || object === 'kernels_scalar.o',
);
const objects = await compileUnits(cxx, units, join(folder, 'objects'));
const program = join(folder, 'fuzz_edge');
await runTool(cxx, [...objects, '-fsanitize=address,undefined', '-pthread', '-o', program]);

const { encodeEdge } = await import('../build/src/index.js');
const { RandomModel } = await import('../build/src/testing/random-model.js');
const files = Array.from({ length: 40 }, (_, index) => {
  const path = join(folder, `${index}.edge`);
  writeFileSync(path, encodeEdge(new RandomModel({ seed: index, nodes: 1 + (index % 8), exact: true }).model));
  return path;
});
await runTool(program, [rounds, seed, ...files]);
