import { compile, emitters, importOnnx } from '@dgconv/compiler';
import { elementCount } from '@dgconv/core';
import { convertLayout, runNhwc, runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { readFileSync } from 'node:fs';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { difference } from './compare.js';
import { realNetworkPath, realOnnxNetworks, whyNoRealNetwork } from './testing/networks.js';

/** Dark bars of several sizes on white, in ±1: something that a text detector answers to. `[C, H, W]`. */
function pictureOfBars([channels, height, width]: readonly [number, number, number]): Float32Array {
  return Float32Array.from({ length: channels * height * width }, (_, index) => {
    const [x, y] = [index % width, Math.floor(index / width) % height];
    const isBar = y % 24 > 8 && y % 24 < 18 && x % 7 < 4 && x > 8 && x < width - 8;
    return (isBar ? -0.9 : 0.9) + 0.05 * Math.sin(index * 0.7);
  });
}

interface OnnxRuntime {
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof Tensor;
}

/** What ONNX Runtime computes for the original file. */
async function original(bytes: Uint8Array, shape: readonly number[], data: Float32Array) {
  const specifier: string = 'onnxruntime-node';
  const { InferenceSession, Tensor } = (await import(specifier)) as OnnxRuntime;
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const results = await session.run({ [session.inputNames[0]!]: new Tensor('float32', data, [1, ...shape]) });
  await session.release();
  return results;
}

const run = test.macro(async (t, file: string) => {
  const shape = realOnnxNetworks[file]!;
  const bytes = readFileSync(realNetworkPath(file));
  const picture = pictureOfBars(shape);
  const expected = await original(bytes, shape, picture);
  const model = importOnnx(bytes, { inputShape: shape });
  const feed = convertLayout({ shape: [1, ...shape], data: picture }, 'NCHW', 'NHWC').data;
  for (const runtime of runtimes) {
    if ((await runtime.whyUnavailable()) !== null) continue;
    const format = runtime.formats[0]!;
    const session = await runtime.load(emitters[format](compile(model, { formats: [format] }).targets[format]!));
    const results = await runNhwc(session, { [model.graph.inputs[0]!.name]: feed });
    for (const [name, { dims, data }] of Object.entries(expected)) {
      const reference = convertLayout({ shape: dims, data: data as Float32Array }, 'NCHW', 'NHWC');
      const largest = reference.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      t.true(largest > 1e-2, `${name}: the picture says something to the network`);
      t.is(elementCount(reference.shape), results[name]!.data.length);
      const worst = difference(reference, results[name]!, { relative: 0, absolute: 1e-3 * largest });
      t.is(worst, null, `${runtime.name}, '${name}'`);
    }
    await session.dispose();
  }
});
for (const file of Object.keys(realOnnxNetworks)) {
  const title = `a trained network of others computes the same in every runtime: ${file}`;
  const reason = whyNoRealNetwork(file);
  if (reason === null) test.serial(title, run, file);
  else test.skip(`${title} (${reason})`, run, file);
}
