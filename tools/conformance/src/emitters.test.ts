import { emitOnnx, emitTflite, importTflite } from '@dgconv/compiler';
import { inferShapes, interpret, UnsupportedError, verifyGraph, type Model } from '@dgconv/core';
import { litertRuntime, ortRuntime, runNhwc, type Runtime } from '@dgconv/runtimes';
import test from 'ava';
import { difference, exactly, goldenTolerance } from './compare.js';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';

/** What each format has no way to say; the compiler writes groups in other orders as contiguous ones before. */
const refusal = {
  onnx: /connectivity is not equal contiguous groups/,
  tflite: /connectivity is not equal contiguous groups|has no erf|no pytorch-half-pixel/,
} as const;

const macro = test.macro(async (t, runtime: Runtime, format: 'onnx' | 'tflite', emit: (model: Model) => Uint8Array) => {
  let compared = 0;
  for (const { name, model, feeds, exact } of [...convCases(), ...otherCases()]) {
    let bytes: Uint8Array;
    try {
      bytes = emit(model);
    } catch (error) {
      t.true(error instanceof UnsupportedError && refusal[format].test(error.message), `${name}: ${String(error)}`);
      continue;
    }
    t.deepEqual(emit(model), bytes, `${name}: the bytes are the same each time`);
    const session = await runtime.load(bytes);
    const shapes = inferShapes(model.graph);
    const results = await runNhwc(session, feeds);
    const expected = interpret(model, feeds);
    for (const { name: output, value } of model.graph.outputs) {
      const reference = { shape: shapes.get(value)!, data: expected[output]! };
      t.is(difference(reference, results[output]!, exact ? exactly : goldenTolerance), null, name);
    }
    await session.dispose();
    compared++;
  }
  t.true(compared > 250, `${compared} cases were compared`);
});

const cases = [
  {
    runtime: ortRuntime,
    title: 'every golden case that ONNX can say is what ONNX Runtime computes',
    format: 'onnx',
    emit: emitOnnx,
    missing: await ortRuntime.whyUnavailable(),
  },
  {
    runtime: litertRuntime,
    title: 'every golden case that TFLite can say is what LiteRT computes',
    format: 'tflite',
    emit: emitTflite,
    missing: await litertRuntime.whyUnavailable(),
  },
] as const;
for (const { runtime, title, format, emit, missing } of cases) {
  if (missing === null) test(title, macro, runtime, format, emit);
  else test.skip(`${title} (skipped: ${missing})`, macro, runtime, format, emit);
}

test('every golden case that TFLite can say is read back as what it was', (t) => {
  let compared = 0;
  for (const { name, model, feeds, exact } of [...convCases(), ...otherCases()]) {
    let bytes: Uint8Array;
    try {
      bytes = emitTflite(model);
    } catch (error) {
      t.true(error instanceof UnsupportedError, `${name}: ${String(error)}`);
      continue;
    }
    const imported = importTflite(bytes);
    verifyGraph(imported.graph);
    t.deepEqual(imported.graph.inputs, model.graph.inputs, name);
    const shapes = inferShapes(imported.graph);
    const results = interpret(imported, feeds);
    const expected = interpret(model, feeds);
    for (const { name: output, value } of imported.graph.outputs) {
      const shape = shapes.get(value)!;
      const tolerance = exact ? exactly : goldenTolerance;
      t.is(difference({ shape, data: expected[output]! }, { shape, data: results[output]! }, tolerance), null, name);
    }
    compared++;
  }
  t.true(compared > 250, `${compared} cases were compared`);
});
