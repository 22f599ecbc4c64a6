import { interpret, type Model } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { randomFeeds, randomModel } from '@dgconv/core/testing';
import { assignChannelOrders } from './assign-channel-orders.js';
import { chooseForms } from './choose-forms.js';
import { type FormCosts, formCosts } from './form-costs.js';
import { hardenGates } from './harden-gates.js';
import { lowerGroups } from './lower-groups.js';
import { recogniseGroups } from './recognise-groups.js';
import { separateShuffles } from './separate-shuffles.js';

const explicit = [hardenGates, recogniseGroups];
/** Prices under which no groups are given up that a grouped convolution can express. */
const groupsAreFree: FormCosts = {
  convolution: ({ connections }) => connections,
  move: () => 0,
  copy: () => 0,
  start: () => 0,
  buckets: () => 0,
  rate: undefined,
};
const inOrder = () => ({ inputs: false, outputs: false });
const lowered = [
  ...explicit,
  chooseForms(groupsAreFree),
  assignChannelOrders(inOrder, groupsAreFree),
  separateShuffles(inOrder),
  lowerGroups,
];

test('unequal groups and shared inputs become grouped convolutions that compute the same, to the bit on integers', (t) => {
  let [buckets, gathers] = [0, 0];
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 10 }), (seed, size) => {
      const source = randomModel(seed, {
        size,
        integers: true,
        connectivities: ['dense', 'unequal', 'shared-inputs', 'masked', 'condense'],
      });
      const model = lowered.reduce((current, pass) => pass.run(current), source as Model);
      const feeds = randomFeeds(source.graph, seed, { integers: true });
      t.deepEqual(interpret(model, feeds), interpret(source, feeds));
      const kinds = model.graph.nodes.map((node) => (node.op === 'conv2d' ? node.attrs.connectivity.kind : 'dense'));
      t.true(kinds.every((kind) => kind === 'dense' || kind === 'equal'));
      buckets += model.graph.nodes.filter(({ id }) => id.includes('.bucket')).length;
      gathers += model.graph.nodes.filter(({ id }) => id.includes('.inputs')).length;
    }),
    { numRuns: 300, seed: 1 },
  );
  t.true(buckets > 20 && gathers > 5, `${buckets} buckets and ${gathers} gathers were made`);
});

test('groups of two channels are merged for ONNX Runtime on x64 only where that is predicted to be faster', (t) => {
  const costs = formCosts('onnx', 'x64');
  const time = (channelsPerGroup: number): number =>
    costs.convolution({ connections: 128 * channelsPerGroup, channelsPerGroup, pixels: 1, positions: 9 });
  t.true(time(16) < time(8), 'eight channels a group are slower than sixteen with zeros');
  t.true(time(4) < time(8), 'four channels are not');
  t.true(time(64) / 64 < time(48) / 48, 'wider groups are faster');
  t.is(time(1000) / 1000, time(64) / 64, 'beyond the table everything is as fast as its last entry');
});

test('what is tuned for nowhere in particular lies between the machines', (t) => {
  for (const format of ['onnx', 'tflite', 'edge'] as const) {
    const work = { connections: 1, channelsPerGroup: 4, pixels: 1, positions: 1 };
    const times = (['x64', 'arm64', 'wasm'] as const).map((target) => formCosts(format, target).convolution(work));
    const generic = formCosts(format, 'generic').convolution(work);
    t.true(generic >= Math.min(...times) - 1e-9 && generic <= Math.max(...times) + 1e-9, format);
    t.is(formCosts(format, 'generic').rate, undefined);
  }
});
