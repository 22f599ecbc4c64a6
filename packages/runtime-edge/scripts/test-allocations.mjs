// Builds the test that runs ask for no memory and runs it on the pinned file, which has every op: node scripts/test-allocations.mjs
// Needs the static library of npm run build.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder, runTool } from './engine-sources.mjs';

const folder = join(packageFolder, 'build/sanitized');
const program = join(folder, 'allocation_test');
const wrapped = ['malloc', 'calloc', 'realloc', 'aligned_alloc', 'free'].map((name) => `-Wl,--wrap=${name}`);
mkdirSync(folder, { recursive: true });
const sources = ['native/test/allocation_test.cc', 'build/native/libdgconv_edge.a'];
await runTool(process.env.CXX ?? 'g++', ['-std=c++20', '-I.', ...sources, ...wrapped, '-pthread', '-o', program]);
for (const threads of ['1', '3']) await runTool(program, ['test-data/format-1.0.edge', threads]);
