import { emitOnnx, emitTflite } from '@dgconv/compiler';
import { inferShapes, interpret, UnsupportedError, type Layout, type Model, type Shape } from '@dgconv/core';
import { litertRuntime, ortRuntime, type Runtime } from '@dgconv/runtimes';
import test from 'ava';
import { difference, exactly, goldenTolerance } from './compare.js';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';

/** What each format has no way to say; the compiler writes groups in other orders as contiguous ones before. */
const refusal = {
  onnx: /connectivity is not equal contiguous groups/,
  tflite: /connectivity is not equal contiguous groups|has no erf|no pytorch-half-pixel/,
} as const;

const reorder = (data: ArrayLike<number>, shape: Shape, layout: Layout, to: 'ours' | 'theirs'): Float32Array => {
  if (shape.length !== 4 || layout === 'NHWC') return Float32Array.from(data);
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const result = new Float32Array(data.length);
  for (let n = 0; n < batch; n++)
    for (let pixel = 0; pixel < height * width; pixel++)
      for (let c = 0; c < channels; c++) {
        const ours = (n * height * width + pixel) * channels + c;
        const theirs = (n * channels + c) * height * width + pixel;
        if (to === 'theirs') result[theirs] = data[ours]!;
        else result[ours] = data[theirs]!;
      }
  return result;
};

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
    const inputs = model.graph.inputs.map(({ name: input, shape }, at): [string, Float32Array] => [
      input,
      reorder(feeds[input]!, shape, session.inputs[at]!.layout, 'theirs'),
    ]);
    const results = await session.run(Object.fromEntries(inputs));
    const expected = interpret(model, feeds);
    for (const { name: output, value } of model.graph.outputs) {
      const shape = shapes.get(value)!;
      const data = reorder(results[output]!.data, shape, session.outputs[0]!.layout, 'ours');
      const reference = { shape, data: expected[output]! };
      t.is(difference(reference, { shape, data }, exact ? exactly : goldenTolerance), null, name);
    }
    await session.dispose();
    compared++;
  }
  t.true(compared > 250, `${compared} cases were compared`);
});

/** A skip that says its reason where the runtime is absent. */
const ifPresent = async (
  runtime: Runtime,
  title: string,
  format: 'onnx' | 'tflite',
  emit: (model: Model) => Uint8Array,
) => {
  const missing = await runtime.whyUnavailable();
  if (missing === null) test(title, macro, runtime, format, emit);
  else test.skip(`${title} (skipped: ${missing})`, macro, runtime, format, emit);
};
await ifPresent(ortRuntime, 'every golden case that ONNX can say is what ONNX Runtime computes', 'onnx', emitOnnx);
await ifPresent(litertRuntime, 'every golden case that TFLite can say is what LiteRT computes', 'tflite', emitTflite);
