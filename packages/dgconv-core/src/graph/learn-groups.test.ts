import test from 'ava';
import { InvalidInputError, UnsupportedError } from '../errors.js';
import { contiguousGrouping } from '../grouping/contiguous.js';
import { gatesOfGrouping } from '../grouping/gates-of-grouping.js';
import { groupingFromGates } from '../grouping/kronecker.js';
import { RandomSource } from '../random.js';
import { initialWeights } from '../zoo/initial-weights.js';
import { GraphBuilder } from './builder.js';
import type { Graph, NodeOf } from './graph.js';
import { interpret } from './interpret.js';
import { learnGroups } from './learn-groups.js';
import { mapSource } from './sources.js';

function network(channels: number, groups: number): Graph {
  const g = new GraphBuilder({ name: 'test' });
  let x = g.input('input', [1, 8, 8, 3]);
  x = g.conv('stem', x, { channelsOut: channels, kernelSize: 3 });
  x = g.conv('a.conv', x, { channelsOut: channels, kernelSize: 3, groups, bias: true });
  x = g.conv('b.conv', x, { channelsOut: channels, kernelSize: 1 });
  return g.build([{ name: 'output', value: x }]);
}

function conv(graph: Graph, id: string): NodeOf<'conv2d'> {
  return graph.nodes.find((node): node is NodeOf<'conv2d'> => node.id === id && node.op === 'conv2d')!;
}

test('gates of a grouping are the inverse of the grouping of gates', (t) => {
  for (const [channelsOut, channelsIn] of [
    [64, 64],
    [96, 96],
    [24, 36],
    [30, 210],
  ] as const) {
    const gateCount = gatesOfGrouping(contiguousGrouping(channelsOut, channelsIn, 1))!.length;
    for (let bits = 0; bits < 2 ** gateCount; bits++) {
      const gates = Array.from({ length: gateCount }, (_, k) => ((bits >> k) & 1) as 0 | 1);
      const found = gatesOfGrouping(groupingFromGates(gates, channelsOut, channelsIn));
      t.deepEqual(
        groupingFromGates(found!, channelsOut, channelsIn),
        groupingFromGates(gates, channelsOut, channelsIn),
      );
    }
  }
});

test('three contiguous groups of 96 channels have no gates, because the factors of two are outermost', (t) => {
  t.is(gatesOfGrouping(contiguousGrouping(96, 96, 3)), null);
  t.deepEqual(gatesOfGrouping(contiguousGrouping(96, 96, 32)), [0, 0, 0, 0, 0, 1]);
});

test('a grouped kernel is expanded and the gates reproduce its groups', (t) => {
  const before = network(16, 4);
  const after = conv(learnGroups(before, { rule: 'dgconv', weights: 'keep' }), 'a.conv');
  t.deepEqual(after.attrs.connectivity, { kind: 'learned', rule: 'dgconv', channelsOut: 16, channelsIn: 16 });
  t.deepEqual(after.weights.kernel, {
    kind: 'expand',
    of: { kind: 'stored', name: 'a.conv.weight' },
    grouping: contiguousGrouping(16, 16, 4),
  });
  t.deepEqual(after.weights.bias, { kind: 'stored', name: 'a.conv.bias' });
  const { gates } = after.weights;
  t.deepEqual(groupingFromGates(gates?.kind === 'literal' ? gates.values : [], 16, 16), contiguousGrouping(16, 16, 4));
});

test('networks with kept weights compute the same before and after', (t) => {
  for (const [groups, rule] of [
    [4, 'dgconv'],
    [1, 'dgconv'],
    [1, 'condense'],
  ] as const) {
    const before = network(16, groups);
    const after = learnGroups(before, { rule, weights: 'keep' });
    t.notDeepEqual(after, before);
    const weights = mapSource(initialWeights(before, 3));
    const random = new RandomSource(4);
    const feeds = { input: Float64Array.from({ length: 8 * 8 * 3 }, () => random.normal()) };
    t.deepEqual(interpret({ graph: after, weights }, feeds), interpret({ graph: before, weights }, feeds));
  }
});

test('by default DGConv learns spatial kernels and the others 1×1 kernels, never those of the input', (t) => {
  const learned = (graph: Graph): string[] =>
    graph.nodes.filter((node) => node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned').map((n) => n.id);
  t.deepEqual(learned(learnGroups(network(16, 1), { rule: 'dgconv', weights: 'new' })), ['a.conv']);
  t.deepEqual(learned(learnGroups(network(16, 1), { rule: 'flgc', weights: 'new' })), ['b.conv']);
  t.deepEqual(learned(learnGroups(network(16, 1), { rule: 'condense', weights: 'keep' })), ['b.conv']);
  t.deepEqual(learned(learnGroups(network(16, 1), { rule: 'dgconv', select: 'a.*, b*', weights: 'new' })), [
    'a.conv',
    'b.conv',
  ]);
});

test('FLGC with kept weights starts from assignments that depend on seed and layer alone', (t) => {
  const options = { rule: 'flgc', select: '?.conv,*.conv', weights: 'keep', groups: 4 } as const;
  const one = learnGroups(network(16, 1), options);
  t.deepEqual(one, learnGroups(network(16, 1), options));
  t.notDeepEqual(one, learnGroups(network(16, 1), { ...options, seed: 1 }));
  t.notDeepEqual(conv(one, 'a.conv').weights.inputAssignment, conv(one, 'b.conv').weights.inputAssignment);
});

test('what cannot be learned is refused by name and reason', (t) => {
  const refused = (run: () => unknown, message: string): void => {
    t.throws(run, { instanceOf: InvalidInputError, message });
  };
  refused(
    () => learnGroups(network(16, 1), { rule: 'dgconv', select: 'x*', weights: 'new' }),
    "'x*' selects none of the network's 3 convolutions ('stem', 'a.conv', 'b.conv')",
  );
  refused(
    () => learnGroups(network(16, 1), { rule: 'dgconv', select: 'stem', weights: 'new' }),
    "convolution 'stem' cannot learn groups by 'dgconv': 3 input and 16 output channels have no common factor",
  );
  refused(
    () => learnGroups(network(96, 3), { rule: 'dgconv', weights: 'keep' }),
    "convolution 'a.conv' cannot learn groups by 'dgconv': no gates reproduce its 3 groups of 96 channels",
  );
  refused(
    () => learnGroups(network(10, 1), { rule: 'condense', weights: 'new' }),
    "convolution 'b.conv' cannot learn groups by 'condense': 10 inputs and 10 outputs with 4 groups and condense factor 4; " +
      'the kernel must be 1×1, dense, and its channels multiples of groups and (the inputs) of the condense factor',
  );
});

test('a network with an operation without gradient is refused', (t) => {
  const g = new GraphBuilder({ name: 'test' });
  const x = g.conv('conv', g.input('input', [1, 4, 4, 4]), { channelsOut: 4, kernelSize: 3 });
  const graph = g.build([{ name: 'output', value: g.activation('step', x, { function: 'floor' }) }]);
  t.throws(() => learnGroups(graph, { rule: 'dgconv', select: '*', weights: 'keep' }), {
    instanceOf: UnsupportedError,
    message: "'step' (activation) cannot be trained: the gradient of floor is zero everywhere",
  });
});
