// Builds the test of concurrent pools and sessions with ThreadSanitizer and runs it: node scripts/test-threads.mjs
// Needs the built package.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSanitized, runSanitized } from './sanitized.mjs';

const { program, folder } = await buildSanitized('concurrency_test', 'thread');
const { GraphBuilder, initialWeights, mapSource } = await import('@dgconv/core');
const { encodeEdge } = await import('../build/src/index.js');

// Every layer has work enough to be shared.
const builder = new GraphBuilder({ name: 'threads' });
const input = builder.input('input', [1, 20, 20, 32]);
const grouped = builder.relu('relu', builder.conv('grouped', input, { channelsOut: 32, kernelSize: 3, groups: 8 }));
const dense = builder.conv('dense', grouped, { channelsOut: 32, kernelSize: 1, bias: true });
const pooled = builder.maxPool('pool', builder.add('add', dense, input), { kernelSize: 3, stride: 1, padding: 1 });
const graph = builder.build([
  { name: 'sum', value: pooled },
  { name: 'classes', value: builder.dense('classes', builder.globalAveragePool('mean', pooled), 10) },
]);
const file = join(folder, 'threads.edge');
writeFileSync(file, encodeEdge({ graph, weights: mapSource(initialWeights(graph, 1)) }));
await runSanitized(program, [file]);
