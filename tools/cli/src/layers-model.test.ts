import { compile, importModel } from '@dgconv/compiler';
import { interpret } from '@dgconv/core';
import { CondenseConv2D, DGConv2D, FlgcConv2D, tf, useBackend } from '@dgconv/trainer';
import test from 'ava';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Saves a model as tfjs does in a browser or with tfjs-node: `model.json` and one shard. */
async function save(model: tf.LayersModel): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-layers-'));
  await model.save(
    tf.io.withSaveHandler(({ modelTopology, weightSpecs, weightData }) => {
      writeFileSync(join(folder, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      writeFileSync(
        join(folder, 'model.json'),
        JSON.stringify({ format: 'layers-model', modelTopology, weightsManifest }),
      );
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } });
    }),
  );
  return join(folder, 'model.json');
}

test('a LayersModel with learned layers, made by tf.layers alone, compiles and computes the same', async (t) => {
  await useBackend('cpu');
  const input = tf.input({ shape: [10, 9, 6] });
  let x = new DGConv2D({ filters: 12, kernelSize: 3, padding: 'same', strides: 2 }).apply(input) as tf.SymbolicTensor;
  x = tf.layers.batchNormalization({}).apply(x) as tf.SymbolicTensor;
  x = tf.layers.reLU().apply(x) as tf.SymbolicTensor;
  x = new FlgcConv2D({ filters: 8, kernelSize: 1, groups: 3 }).apply(x) as tf.SymbolicTensor;
  const condensed = new CondenseConv2D({ filters: 8, groups: 2, condenseFactor: 2, useBias: false });
  x = condensed.apply(x) as tf.SymbolicTensor;
  x = new DGConv2D({ filters: 8, kernelSize: [3, 1] }).apply(x) as tf.SymbolicTensor;
  x = tf.layers.globalAveragePooling2d({}).apply(x) as tf.SymbolicTensor;
  const output = tf.layers.dense({ units: 5, activation: 'softmax' }).apply(x) as tf.SymbolicTensor;
  const layersModel = tf.model({ inputs: input, outputs: output });
  condensed.condense(0.9);
  const model = importModel(await save(layersModel)).model;
  const image = tf.randomNormal([1, 10, 9, 6], 0, 1, 'float32', 3);
  const expected = (layersModel.predict(image) as tf.Tensor).dataSync();
  const { targets } = compile(model, { formats: ['edge'] });
  for (const { graph, weights } of [model, targets.edge!]) {
    const [values] = Object.values(interpret({ graph, weights }, { [graph.inputs[0]!.name]: image.dataSync() }));
    expected.forEach((value, at) => t.true(Math.abs(value - values![at]!) < 1e-6));
  }
});
