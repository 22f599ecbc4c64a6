import { compile, emitters } from '@dgconv/compiler';
import { interpret } from '@dgconv/core';
import { randomFeeds, randomModel, structuralParts } from '@dgconv/core/testing';
import { runNhwc, runtimes } from '@dgconv/runtimes';
import test from 'ava';

/** Random networks for each runtime; a nightly run asks for more. */
const networks = Number(process.env['DGCONV_RANDOM_NETWORKS'] ?? 150);

// Asked before the first test is declared, because ava takes none that comes later.
const cases = await Promise.all(
  runtimes.map(async (runtime) => ({ runtime, missing: await runtime.whyUnavailable() })),
);

for (const { runtime, missing } of cases) {
  // Emulation is slow: a few networks show what differs from the native engine.
  const count = runtime.name === 'edge-arm64' ? Math.ceil(networks / 50) : networks;
  const title = `random networks with masks and gates of every kind compute the same in ${runtime.name}, compiled`;
  const isHere = missing === null;
  (isHere ? test : test.skip)(isHere ? title : `${title} (skipped: ${missing})`, async (t) => {
    t.timeout(600_000);
    const format = runtime.formats[0]!;
    let compared = 0;
    for (let seed = 0; seed < count; seed += 1) {
      // Every second one with splits, shuffles, padded channels, transposes and reshapes.
      const ops = seed % 2 === 0 ? {} : { ops: structuralParts };
      const model = randomModel(seed, { size: 6 + (seed % 20), ...ops });
      const feeds = randomFeeds(model.graph, seed);
      const expected = interpret(model, feeds);
      const bytes = emitters[format](compile(model, { formats: [format] }).targets[format]!);
      const session = await runtime.load(bytes);
      const actual = await runNhwc(session, feeds);
      await session.dispose();
      for (const [name, values] of Object.entries(expected)) {
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
        const error = values.reduce((most, value, at) => Math.max(most, Math.abs(value - actual[name]!.data[at]!)), 0);
        t.true(error <= 1e-4 * largest, `network ${seed}, output ${name}: ${error} of ${largest}`);
        compared += 1;
      }
    }
    t.true(compared >= count);
  });
}
