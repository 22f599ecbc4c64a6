// Builds the fuzzer of `.edge` loading with ASan and UBSan and runs it: node scripts/fuzz.mjs [ROUNDS] [SEED] [ISA]
// Needs the built packages: the corpus are random models and, where tools/conformance is built, the golden suite.
// ISA (default scalar) is that of the kernels that run; any but scalar takes minutes to compile.
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from './engine-sources.mjs';
import { buildSanitized, runSanitized } from './sanitized.mjs';

const [rounds = '20000', seed = '1', isa = 'scalar'] = process.argv.slice(2);
const { program, folder } = await buildSanitized('fuzz_edge', 'address,undefined', isa);
const { encodeEdge } = await import('../build/src/index.js');
const { RandomModel } = await import('../build/src/testing/random-model.js');
const corpus = Array.from({ length: 40 }, (_, index) =>
  encodeEdge(new RandomModel({ seed: index, nodes: 1 + (index % 8), exact: true }).model),
);
const conformance = join(packageFolder, '../../tools/conformance/build/src/golden-suite.js');
if (existsSync(conformance)) {
  const { goldenSuite } = await import(conformance);
  for (const { prepare } of goldenSuite())
    for (const { target, feeds, expected } of prepare('edge', () => {})) {
      const outputs = Object.fromEntries(Object.entries(expected).map(([name, { data }]) => [name, data]));
      const bytes = encodeEdge(target, { testVectors: [{ inputs: feeds, outputs }], tolerance: { ofLargest: 1e-4 } });
      if (bytes.length < 20_000) corpus.push(bytes);
    }
}
for (const name of readdirSync(folder)) if (name.endsWith('.edge')) rmSync(join(folder, name));
for (const [index, bytes] of corpus.entries()) writeFileSync(join(folder, `${index}.edge`), bytes);
process.env.ASAN_OPTIONS ??= 'allocator_may_return_null=1:max_allocation_size_mb=512:detect_leaks=1';
await runSanitized(program, [rounds, seed, isa, folder]);
