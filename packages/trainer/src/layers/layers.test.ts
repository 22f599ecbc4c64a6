import test from 'ava';
import { useBackend } from '../backends.js';
import { dgConv2d } from '../ops/dg-conv.js';
import * as tf from '../tf.js';
import { CondenseConv2D } from './condense-conv2d.js';
import { DGConv2D } from './dg-conv2d.js';
import { FlgcConv2D } from './flgc-conv2d.js';

test.beforeEach(() => useBackend('cpu'));

const learned = () =>
  tf.sequential({
    layers: [
      new DGConv2D({ filters: 8, kernelSize: 3, padding: 'same', inputShape: [6, 6, 4], name: 'dg' }),
      new FlgcConv2D({ filters: 6, kernelSize: 1, groups: 2, strides: 2, name: 'flgc' }),
      new CondenseConv2D({ filters: 4, groups: 2, condenseFactor: 3, useBias: false, name: 'condense' }),
      tf.layers.globalAveragePooling2d({}),
    ],
  });

test.serial('a model of learned layers trains all of its weights but the mask', async (t) => {
  const model = learned();
  model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
  const before = model.getWeights().map((weight) => weight.dataSync().slice());
  const x = tf.randomNormal([4, 6, 6, 4], 0, 1, 'float32', 1);
  await model.fit(x, tf.randomNormal([4, 4], 0, 1, 'float32', 2), { epochs: 2, verbose: 0 });
  model.weights.forEach((weight, index) => {
    const isMask = weight.originalName.endsWith('mask');
    const after = model.getWeights()[index]!.dataSync();
    t.is(
      before[index]!.every((value, position) => value === after[position]),
      isMask,
      weight.originalName,
    );
  });
});

test.serial('learned layers keep their meaning through tfjs topology and weights', async (t) => {
  const model = learned();
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler((artifacts) => {
      saved = artifacts;
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } });
    }),
  );
  const copy = await tf.loadLayersModel(tf.io.fromMemory(saved!));
  const x = tf.randomNormal([2, 6, 6, 4], 0, 1, 'float32', 3);
  t.deepEqual((copy.predict(x) as tf.Tensor).dataSync(), (model.predict(x) as tf.Tensor).dataSync());
});

test.serial('the DGConv2D layer is the op plus bias, and its gates start on both sides of 0', (t) => {
  const layer = new DGConv2D({ filters: 4096, kernelSize: 1, inputShape: [1, 1, 4096], trainable: false });
  t.is(layer.trainable, false);
  const small = new DGConv2D({ filters: 8, kernelSize: [3, 2], padding: 'same', strides: 2, dilationRate: 1 });
  const x = tf.randomNormal<tf.Rank.R4>([1, 5, 5, 8], 0, 1, 'float32', 4);
  const y = small.apply(x) as tf.Tensor;
  t.deepEqual(y.shape, [1, 3, 3, 8]);
  t.deepEqual(small.computeOutputShape([null, 5, 5, 8]), [null, 3, 3, 8]);
  const [kernel, gates, bias] = small.getWeights() as [tf.Tensor4D, tf.Tensor1D, tf.Tensor1D];
  t.deepEqual(gates.shape, [3]);
  t.true(gates.dataSync().every((gate) => Math.abs(gate) <= 1e-8));
  const expected = tf.add(dgConv2d(x, kernel, gates, { strides: 2, padding: 'same' }), bias);
  t.deepEqual(y.dataSync(), expected.dataSync());
});

test.serial('condensing the layer leaves 1/C of its inputs', (t) => {
  const layer = new CondenseConv2D({ filters: 4, groups: 2, condenseFactor: 3, useBias: false });
  layer.apply(tf.zeros([1, 2, 2, 6]));
  layer.condense(0.9);
  const mask = layer.getWeights()[1]!;
  t.is(tf.sum(mask).dataSync()[0], 8);
  t.true(layer.groupLasso().dataSync()[0]! > 0);
});

test.serial('layers say what does not fit', (t) => {
  t.throws(() => new DGConv2D({ filters: 4, kernelSize: 3, padding: 'causal' as 'same' }), {
    message: /must be "same" or "valid"/,
  });
  t.throws(() => new DGConv2D({ filters: 4, kernelSize: 3 }).apply(tf.zeros([2, 4])), {
    message: /takes \[N, H, W, C\]/,
  });
  t.throws(() => new CondenseConv2D({ filters: 4, groups: 3, condenseFactor: 2 }).apply(tf.zeros([1, 1, 1, 6])), {
    message: /6 → 4 channels/,
  });
});
