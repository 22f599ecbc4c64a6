import { compile, emitters, importModel } from '@dgconv/compiler';
import { runNhwc, runtimes } from '@dgconv/runtimes';
import { tf, useBackend } from '@dgconv/trainer';
import test from 'ava';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../../../node_modules/.cache/real-networks/', import.meta.url));

/** What TensorFlow.js itself computes for a LayersModel on disk. */
async function predicted(directory: string, shape: readonly number[], image: Float32Array): Promise<Float32Array> {
  const { modelTopology, weightsManifest } = JSON.parse(
    readFileSync(`${directory}/model.json`, 'utf8'),
  ) as tf.io.ModelJSON;
  const shards = weightsManifest.flatMap(({ paths }) => paths).map((path) => readFileSync(`${directory}/${path}`));
  const bytes = Buffer.concat(shards);
  const model = await tf.loadLayersModel({
    load: () =>
      Promise.resolve({
        modelTopology,
        weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
        weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
      }),
  });
  const output = model.predict(tf.tensor(image, [...shape])) as tf.Tensor;
  return (await output.data()) as Float32Array;
}

/** Trained networks, with the C, H, W of those that leave the size of their images open. */
const networks: Readonly<Record<string, readonly [number, number, number] | undefined>> = {
  mobilenet_v2: undefined,
  inception_v3: undefined,
  upscaler: [3, 12, 16],
};

for (const [name, inputShape] of Object.entries(networks)) {
  const directory = `${folder}${name}`;
  const isHere = existsSync(directory);
  const title = `the trained LayersModel ${name} computes what TensorFlow.js does, in every runtime`;
  (isHere ? test : test.skip)(isHere ? title : `${title} (skipped: run scripts/fetch-real-networks.mjs)`, async (t) => {
    t.timeout(600_000);
    await useBackend('cpu');
    const { model } = importModel(directory, inputShape === undefined ? {} : { inputShape });
    const { name: input, shape } = model.graph.inputs[0]!;
    const image = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, at) => ((at * 7919) % 1000) / 1000,
    );
    const expected = await predicted(directory, shape, image);
    t.true(Math.max(...expected) > 0.3, 'the network is sure of something');
    for (const runtime of runtimes) {
      // Minutes under emulation.
      if (runtime.name === 'edge-arm64' || (await runtime.whyUnavailable()) !== null) continue;
      const format = runtime.formats[0]!;
      const session = await runtime.load(emitters[format](compile(model, { formats: [format] }).targets[format]!));
      const [output] = Object.values(await runNhwc(session, { [input]: image }));
      await session.dispose();
      const error = Math.max(...Array.from(expected, (value, at) => Math.abs(value - output!.data[at]!)));
      t.true(error < 1e-3 * Math.max(...expected), `${runtime.name}: ${error}`);
    }
  });
}
