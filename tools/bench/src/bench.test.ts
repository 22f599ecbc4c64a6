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
    memory: true,
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

test('multiply-adds are known from any format, and memory is measured only where it is asked for', async (t) => {
  const small = modelOfCase(suites['smoke']![1]!);
  const onnx = modelOfFiles('net', { onnx: small.bytesFor(ortRuntime)! });
  t.is(onnx.macs, small.macs);
  t.is(onnx.executedMacs, small.executedMacs);
  t.is(modelOfFiles('net', { onnx: Uint8Array.of(1, 2, 3) }).macs, null);
  const edge = modelOfFiles('net', { edge: small.bytesFor(edgeWasmRuntime)! });
  const { rows } = await bench([edge], { runtimes: [edgeWasmRuntime], threads: 1, warmup: 0, rounds: 1 });
  t.is(rows[0]!.peakMemoryBytes, null);
});

test('a file that a runtime refuses is named with the runtime', async (t) => {
  const onnx = Uint8Array.of(1, 2, 3);
  await t.throwsAsync(
    bench([modelOfFiles('net', { onnx })], { runtimes: [ortRuntime], threads: 1, warmup: 0, rounds: 1 }),
    {
      instanceOf: InvalidInputError,
      message: /^'net' in ort: ONNX Runtime refuses the model/,
    },
  );
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
