import { compile, emitters, importTflite } from '@dgconv/compiler';
import { litertRuntime, runNhwc, runtimes } from '@dgconv/runtimes';
import test from 'ava';
import { readFileSync } from 'node:fs';
import { difference } from './compare.js';
import { realNetworkPath, realTfliteNetworks, whyNoRealNetwork } from './testing/networks.js';

/** A bright disc on a gradient, in [0, 1], NHWC: something that a detector of faces answers to. */
function picture([, height, width, channels]: readonly number[]): Float32Array {
  return Float32Array.from({ length: height! * width! * channels! }, (_, index) => {
    const [channel, pixel] = [index % channels!, Math.floor(index / channels!)];
    const [x, y] = [(pixel % width!) / width!, Math.floor(pixel / width!) / height!];
    const isFace = (x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.07;
    return isFace ? 0.85 - 0.1 * channel : 0.25 + 0.3 * y + 0.05 * Math.sin(20 * x);
  });
}

const missing = await litertRuntime.whyUnavailable();
for (const [file, what] of Object.entries(realTfliteNetworks)) {
  const reason = missing === null ? whyNoRealNetwork(file) : `skipped: ${missing}`;
  const title = `a trained TFLite network of others computes the same in every runtime: ${file} (${what})`;
  (reason === null ? test.serial : test.skip)(reason === null ? title : `${title} (${reason})`, async (t) => {
    const bytes = readFileSync(realNetworkPath(file));
    const model = importTflite(bytes);
    const original = await litertRuntime.load(bytes);
    const feeds = { [model.graph.inputs[0]!.name]: picture(model.graph.inputs[0]!.shape) };
    const expected = await runNhwc(original, feeds);
    await original.dispose();
    t.deepEqual(
      model.graph.outputs.map(({ name }) => name),
      Object.keys(expected),
    );
    for (const runtime of runtimes) {
      if ((await runtime.whyUnavailable()) !== null) continue;
      const format = runtime.formats[0]!;
      const session = await runtime.load(emitters[format](compile(model, { formats: [format] }).targets[format]!));
      const results = await runNhwc(session, feeds);
      await session.dispose();
      for (const [name, reference] of Object.entries(expected)) {
        const largest = reference.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        t.true(largest > 1e-2, `${name}: the picture says something to the network`);
        const worst = difference(reference, results[name]!, { relative: 0, absolute: 1e-3 * largest });
        t.is(worst, null, `${runtime.name}, '${name}'`);
      }
    }
  });
}
