import {
  fillWeight,
  type Graph,
  GraphBuilder,
  initialWeights,
  interpret,
  learnGroups,
  mapSource,
  type Model,
  type Node,
  type OpKind,
  RandomSource,
  type Shape,
  type StoredTensor,
  type Weight,
} from '@dgconv/core';
import test from 'ava';
import type * as tfc from '@tensorflow/tfjs-core';
import { findBackends, useBackend } from '../backends.js';
import { activations, cases, pick, positive, randomModel, randomValues } from '../testing/random-node.js';
import * as tf from '../tf.js';
import { TrainableNetwork } from './trainable-network.js';

const { available } = await findBackends();

type Feeds = Record<string, Float32Array>;

function randomFeeds({ inputs }: Graph, batch: number, r: RandomSource, isPositive = false): Feeds {
  const size = (shape: Shape) => batch * shape.reduce((product, length) => product * length, 1);
  return Object.fromEntries(inputs.map(({ name, shape }) => [name, randomValues(r, size(shape), isPositive)]));
}

const feedTensors = ({ inputs }: Graph, feeds: Feeds, batch: number) =>
  Object.fromEntries(inputs.map(({ name, shape }) => [name, tf.tensor(feeds[name]!, [batch, ...shape.slice(1)])]));

/** Largest difference relative to the largest value. */
function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const scale = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  return Array.from(expected).reduce((most, value, at) => Math.max(most, Math.abs(value - actual[at]!)), 0) / scale;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, at) => sum + value * b[at]!, 0);

/** Gradients by the trainer against differences of the interpreter's float64 values along random directions. */
function checkGradients(network: TrainableNetwork, model: Model, feeds: Feeds, batch: number, r: RandomSource): number {
  const { graph } = model;
  const output = graph.outputs[0]!.name;
  const y = interpret(model, feeds, { batch })[output]!;
  const dy = randomValues(r, y.length);
  const names = graph.inputs.map(({ name }) => name);
  const gradients = tf.tidy(() => {
    const tensors = feedTensors(graph, feeds, batch);
    const loss = (...inputs: tfc.Tensor[]): tfc.Scalar => {
      const outputs = network.evaluate(Object.fromEntries(names.map((name, at) => [name, inputs[at]!])), {
        kind: 'inference',
      });
      return tf.sum(tf.mul(outputs[output]!, tf.tensor(dy, outputs[output]!.shape)));
    };
    return tf
      .grads(loss)(names.map((name) => tensors[name]!))
      .map((gradient) => gradient.dataSync());
  });
  const step = 2 ** -18;
  const directions = names.map((name) => randomValues(r, feeds[name]!.length));
  const moved = (sign: number) =>
    Object.fromEntries(
      names.map((name, at) => [
        name,
        Float64Array.from(feeds[name]!, (value, k) => value + sign * step * directions[at]![k]!),
      ]),
    );
  const at = (sign: number) => dot(interpret(model, moved(sign), { batch })[output]!, dy);
  const expected = (at(1) - at(-1)) / (2 * step);
  const actual = gradients.reduce((sum, gradient, index) => sum + dot(gradient, directions[index]!), 0);
  const scale = gradients.reduce(
    (sum, gradient, index) => sum + Math.sqrt(dot(gradient, gradient) * dot(directions[index]!, directions[index]!)),
    1e-3,
  );
  return Math.abs(actual - expected) / scale;
}

/** The same in the weights that follow gradients exactly: on a grid of 2⁻⁸, so that a step of 2⁻¹⁶ is exact in float32. */
function checkWeightGradients(model: Model, feeds: Feeds, batch: number, r: RandomSource): number {
  const stored = new TrainableNetwork(model);
  const { graph, weights } = stored.toModel();
  stored.dispose();
  const base = new Map(
    weights.names.map((name): [string, StoredTensor] => {
      const values = weights.read(name).map((value) => Math.round(value * 256) / 256);
      return [name, { shape: weights.shape(name), values }];
    }),
  );
  const network = new TrainableNetwork({ graph, weights: mapSource(base) });
  const trained = network.parameters.filter(({ role }) => role === 'kernel' || role === 'vector');
  if (trained.length === 0) {
    network.dispose();
    return 0;
  }
  const output = graph.outputs[0]!.name;
  const dy = randomValues(r, interpret(network.toModel(), feeds, { batch })[output]!.length);
  const gradients = tf.tidy(() => {
    const tensors = feedTensors(graph, feeds, batch);
    const loss = (): tfc.Scalar => {
      const y = network.evaluate(tensors, { kind: 'inference' })[output]!;
      return tf.sum(tf.mul(y, tf.tensor(dy, y.shape)));
    };
    const { grads } = tf.variableGrads(
      loss,
      trained.map(({ variable }) => variable),
    );
    return trained.map(({ variable, layout }) => layout.unpack(Float32Array.from(grads[variable.name]!.dataSync())));
  });
  network.dispose();
  const directions = trained.map(({ name }) => Float32Array.from(base.get(name)!.values, () => r.below(3) - 1));
  const step = 2 ** -16;
  const at = (sign: number) => {
    const moved = new Map(base);
    trained.forEach(({ name, shape }, index) => {
      const values = base.get(name)!.values.map((value, k) => value + sign * step * directions[index]![k]!);
      moved.set(name, { shape, values });
    });
    return dot(interpret({ graph, weights: mapSource(moved) }, feeds, { batch })[output]!, dy);
  };
  const expected = (at(1) - at(-1)) / (2 * step);
  const actual = gradients.reduce((sum, gradient, index) => sum + dot(gradient, directions[index]!), 0);
  const scale = gradients.reduce(
    (sum, gradient, index) => sum + Math.sqrt(dot(gradient, gradient) * dot(directions[index]!, directions[index]!)),
    1e-3,
  );
  return Math.abs(actual - expected) / scale;
}

for (const backend of available) {
  test.serial(
    `on ${backend} every op equals the interpreter, and its gradient equals finite differences`,
    async (t) => {
      await useBackend(backend);
      for (const kind of Object.keys(cases) as OpKind[]) {
        const runs = kind === 'conv2d' ? 40 : kind === 'activation' ? 30 : 12;
        for (let seed = 0; seed < runs; seed++) {
          const r = new RandomSource(seed);
          const model = randomModel(kind, r);
          const batch = kind === 'constant' ? 1 : 1 + (seed % 2);
          checkModel(t, `${kind}, seed ${seed}`, model, batch, r);
        }
      }
    },
  );

  test.serial(`on ${backend} functions of positive numbers equal the interpreter, with gradients`, async (t) => {
    await useBackend(backend);
    for (const activation of positive) {
      const builder = new GraphBuilder({ name: 'positive' });
      const x = builder.activation('node', builder.input('x', [1, 2, 5]), activation);
      checkModel(
        t,
        activation.function,
        { graph: builder.build([{ name: 'y', value: x }]), weights: mapSource(new Map()) },
        2,
        new RandomSource(1),
        true,
      );
    }
    for (const name of ['divide', 'power'] as const) {
      const builder = new GraphBuilder({ name });
      const y = builder.binary('node', builder.input('a', [1, 7]), builder.input('b', [1, 7]), name);
      checkModel(
        t,
        name,
        { graph: builder.build([{ name: 'y', value: y }]), weights: mapSource(new Map()) },
        2,
        new RandomSource(2),
        true,
      );
    }
  });

  test.serial(`on ${backend} random residual networks with learned convolutions equal the interpreter`, async (t) => {
    await useBackend(backend);
    for (let seed = 0; seed < 8; seed++) {
      const r = new RandomSource(seed);
      const graph = randomNetwork(r);
      const model = { graph, weights: mapSource(initialWeights(graph, seed)) };
      checkModel(t, `network ${seed}`, model, 2, r);
    }
  });

  test.serial(`on ${backend} batch norm in training normalises by the batch, ReLU fused or not`, async (t) => {
    await useBackend(backend);
    for (const readers of [1, 2]) {
      const builder = new GraphBuilder({ name: 'norm' });
      const norm = builder.batchNorm('bn', builder.input('x', [1, 3, 2, 4]));
      const relu = builder.relu('relu', norm);
      const y = readers === 1 ? relu : builder.add('sum', relu, norm);
      const graph = builder.build([{ name: 'y', value: y }]);
      const tensors = new Map<string, StoredTensor>();
      const r = new RandomSource(5);
      for (const name of ['weight', 'bias', 'running_mean', 'running_var']) {
        tensors.set(`bn.${name}`, { shape: [4], values: randomValues(r, 4, name === 'running_var') });
      }
      const network = new TrainableNetwork({ graph, weights: mapSource(tensors) });
      const feeds = randomFeeds(graph, 5, r);
      const trained = tf.tidy(() => {
        const { y: value } = network.evaluate(feedTensors(graph, feeds, 5), {
          kind: 'training',
          gates: 'learn',
          random: () => 0,
          onBatchStatistics: (node, { mean, variance, count }) => {
            t.is(node.id, 'bn');
            t.is(count, 30);
            tensors.set('bn.running_mean', { shape: [4], values: Float32Array.from(mean.dataSync()) });
            tensors.set('bn.running_var', { shape: [4], values: Float32Array.from(variance.dataSync()) });
          },
        });
        return value!.dataSync();
      });
      const expected = interpret({ graph, weights: mapSource(tensors) }, feeds, { batch: 5 })['y']!;
      t.true(relativeDifference(trained, expected) < 1e-5);
      network.dispose();
    }
  });
}

test.serial('a feed of another shape is refused', async (t) => {
  await useBackend('cpu');
  const builder = new GraphBuilder({ name: 'small' });
  const y = builder.relu('relu', builder.input('x', [1, 3]));
  const network = new TrainableNetwork({
    graph: builder.build([{ name: 'y', value: y }]),
    weights: mapSource(new Map()),
  });
  t.throws(() => network.evaluate({ x: tf.zeros([2, 4]) }, { kind: 'inference' }), {
    message: "The input 'x' is [N, 3], and [2, 4] was given.",
  });
  t.throws(() => network.evaluate({}, { kind: 'inference' }), { message: /nothing was given/ });
});

test.serial('weights that are expressions become stored tensors with their values', async (t) => {
  await useBackend('cpu');
  const r = new RandomSource(1);
  const { graph, weights } = randomModel('affine', r);
  const [node] = graph.nodes as [Node];
  const scale: Weight = { kind: 'scale', of: { kind: 'stored', name: 'scale' }, axis: 0, by: fillWeight([4], 2) };
  const changed = { ...graph, nodes: [{ ...node, weights: { ...node.weights, scale } } as Node] };
  const network = new TrainableNetwork({ graph: changed, weights });
  const model = network.toModel();
  t.deepEqual(model.weights.names, ['node.scale', 'shift']);
  t.deepEqual(
    [...model.weights.read('node.scale')],
    [...weights.read('scale')].map((value) => 2 * value),
  );
  network.dispose();
});

test.serial('a network that goes through the trainer untouched comes back equal', async (t) => {
  await useBackend('cpu');
  for (let seed = 0; seed < 12; seed++) {
    const model = randomModel('conv2d', new RandomSource(seed));
    const network = new TrainableNetwork(model);
    const back = network.toModel();
    for (const name of model.weights.names)
      t.deepEqual(back.weights.read(name), model.weights.read(name), `${seed} ${name}`);
    network.dispose();
  }
});

function checkModel(
  t: { true(value: boolean, message: string): void },
  what: string,
  model: Model,
  batch: number,
  r: RandomSource,
  isPositive = false,
): void {
  const { graph } = model;
  const network = new TrainableNetwork(model);
  const feeds = randomFeeds(graph, batch, r, isPositive);
  const expected = interpret(model, feeds, { batch });
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const actual = network.evaluate(feedTensors(graph, feeds, batch), { kind: 'inference' });
    for (const [name, values] of Object.entries(expected)) {
      const difference = relativeDifference(actual[name]!.dataSync(), values);
      t.true(difference < 2e-5, `${what} differs by ${difference}`);
    }
  });
  if (graph.nodes[0]!.op !== 'constant') {
    const difference = checkGradients(network, model, feeds, batch, r);
    t.true(difference < 2e-4, `the gradient of ${what} differs by ${difference}`);
    const inWeights = checkWeightGradients(model, feeds, batch, r);
    t.true(inWeights < 2e-4, `the gradient of ${what} in its weights differs by ${inWeights}`);
  }
  t.true(tf.memory().numTensors === before, `${what} leaks tensors`);
  network.dispose();
}

/** Blocks with shortcuts, shuffles and concatenations between learned, grouped and depthwise convolutions. */
function randomNetwork(r: RandomSource): Graph {
  const g = new GraphBuilder({ name: 'random' });
  let x = g.input('x', [1, 8, 7, 4]);
  for (let block = 0; block < 4; block++) {
    const id = `block${block}`;
    const channels = g.channels(x);
    let y = g.conv(`${id}.conv1`, x, { channelsOut: channels, kernelSize: 1, bias: r.below(2) === 0 });
    y = g.relu(`${id}.relu`, g.batchNorm(`${id}.bn`, y));
    y = g.conv(`${id}.learned`, y, { channelsOut: channels, kernelSize: 3 });
    y = g.channelShuffle(`${id}.shuffle`, y, 2);
    y = g.conv(`${id}.grouped`, y, { channelsOut: channels, kernelSize: 3, groups: pick(r, [1, 2, channels]) });
    y = g.activation(`${id}.act`, y, pick(r, activations.slice(3, 7)));
    x = r.below(2) === 0 ? g.add(`${id}.add`, y, x) : g.concatChannels(`${id}.concat`, [y, x]);
    if (block === 1) x = g.averagePool(`${id}.pool`, x, { kernelSize: 2, stride: 2 });
  }
  const y = g.dense('fc', g.globalAveragePool('gap', x), 5);
  return learnGroups(g.build([{ name: 'y', value: y }]), { rule: 'dgconv', select: '*.learned', weights: 'new' });
}
