import { InvalidInputError } from '@dgconv/core';
import { edgeWasmRuntime, ortRuntime } from '@dgconv/runtimes';
import test from 'ava';
import { bench, modelOfCase, modelOfFiles } from './bench.js';
import { suites } from './cases.js';
import { tableOf } from './table.js';

test('every case of the smoke suite gets a row in each runtime, with its multiply-adds counted', async (t) => {
  const models = suites['smoke']!.map(modelOfCase);
  const steps: string[] = [];
  const result = await bench(models, {
    runtimes: [edgeWasmRuntime],
    threads: 1,
    warmup: 1,
    rounds: 3,
    onProgress: (done, total, what) => steps.push(`${done}/${total} ${what}`),
  });
  t.deepEqual(
    result.rows.map(({ name, runtime }) => [name, runtime]),
    suites['smoke']!.map(({ name }) => [name, 'edge-wasm']),
  );
  for (const { gflops, medianMs, minMs, maxMs, speedup, peakMemoryBytes } of result.rows) {
    t.true(peakMemoryBytes! > 1e7, 'a process with Node.js and a model takes more than 10 MB');
    t.true(gflops! > 0 && minMs <= medianMs && medianMs <= maxMs);
    t.is(speedup, null);
  }
  // 8² pixels, 16 channels, 4 a group, 3×3, three layers; on the border 3 taps become 2 in each direction.
  t.is(models[1]!.macs, 3 * 8 * 8 * 16 * 4 * 9);
  t.is(models[1]!.executedMacs, 3 * 22 * 22 * 16 * 4);
  t.is(steps.at(-1), '8/8 4 a group, 16 ch, 8²');
  t.regex(tableOf(result), /tiny ResNeXt.*edge-wasm/);
});

test('a model without a file for any of the runtimes is refused by name', async (t) => {
  await t.throwsAsync(
    bench([modelOfFiles('net', { edge: modelOfCase(suites['smoke']![1]!).bytesFor(edgeWasmRuntime)! })], {
      runtimes: [ortRuntime],
      threads: 1,
      warmup: 0,
      rounds: 1,
    }),
    { instanceOf: InvalidInputError, message: "'net': none of the runtimes ort executes this file's format" },
  );
});
