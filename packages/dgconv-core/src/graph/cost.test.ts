import test from 'ava';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import { singleNodeModel, type NodeFields } from '../testing/single-node.js';
import type { Connectivity } from './connectivity.js';
import { costOf } from './cost.js';
import { printGraph } from './print.js';
import { fillWeight, literalWeight } from './weight-constructors.js';
import { slotShapes } from './slots.js';
import type { Weight } from './weights.js';
import type { Model } from './graph.js';
import { squareWindow } from './window.js';

const conv = (connectivity: Connectivity, weights: Record<string, Weight> = {}): Model => {
  const fields = {
    op: 'conv2d',
    attrs: {
      ...squareWindow(3, 2, 1),
      connectivity,
      pre: 'none',
      activation: { function: 'relu' },
    },
  } as const;
  const shapes = slotShapes(
    singleNodeModel([[1, 8, 8, connectivity.channelsIn]], fields as NodeFields).graph.nodes[0]!,
  );
  const filled = { kernel: fillWeight(shapes.kernel!, 1), bias: fillWeight(shapes.bias!, 0), ...weights };
  return singleNodeModel([[1, 8, 8, connectivity.channelsIn]], { ...fields, weights: filled } as NodeFields);
};

test('a grouped convolution costs what is connected, per output pixel', (t) => {
  const grouping = recogniseGrouping(Mask.fromFunction(8, 4, (output, input) => output >> 2 === input >> 1));
  const { layers, macs, params, weightBytes, connections } = costOf(conv(grouping).graph);
  t.like(layers[0], { name: 'node', grouping: 'equal', groups: 2, channelsIn: 4, channelsOut: 8, connections: 16 });
  t.is(macs, 4 * 4 * 9 * 16);
  t.is(params, 9 * 16 + 8);
  t.is(weightBytes, 4 * params);
  t.is(connections, 0, 'ζ counts learned and masked layers only');
});

test('a learned convolution costs its dense kernel; its gates are no parameters, and its connections need them', (t) => {
  const model = conv(
    { kind: 'learned', rule: 'dgconv', channelsOut: 8, channelsIn: 4 },
    { gates: literalWeight([2], [-1, 1]) },
  );
  const without = costOf(model.graph);
  t.is(without.macs, 4 * 4 * 9 * 32);
  t.is(without.params, 9 * 32 + 8);
  t.is(without.connections, null);
  const withWeights = costOf(model.graph, model.weights);
  t.is(withWeights.connections, 16);
  t.is(withWeights.layers[0]!.groups, 2);
  t.is(withWeights.layers[0]!.grouping, 'dgconv');
});

test('batch norm has two parameters a channel, and statistics only in bytes', (t) => {
  const vector = fillWeight([4], 1);
  const { graph } = singleNodeModel([[1, 2, 2, 4]], {
    op: 'batch-norm',
    attrs: { channels: 4, epsilon: 0 },
    weights: { gamma: vector, beta: vector, mean: vector, variance: vector },
  });
  t.like(costOf(graph), { macs: 0, params: 8, weightBytes: 64 });
});

test('a dense layer and a transposed convolution are counted', (t) => {
  const dense = singleNodeModel([[1, 5]], {
    op: 'dense',
    attrs: { channelsIn: 5, channelsOut: 3, activation: { function: 'identity' } },
    weights: { kernel: fillWeight([3, 5], 1), bias: fillWeight([3], 1) },
  });
  t.like(costOf(dense.graph), { macs: 15, params: 18 });
  const transposed = singleNodeModel([[1, 2, 3, 4]], {
    op: 'conv2d-transpose',
    attrs: {
      ...squareWindow(2, 2),
      channelsIn: 4,
      channelsOut: 6,
      groups: 2,
      outputPadding: [0, 0],
      activation: { function: 'identity' },
    },
    weights: { kernel: fillWeight([4, 3, 2, 2], 1) },
  });
  t.like(costOf(transposed.graph), { macs: 2 * 3 * 4 * 3 * 4, params: 48 });
});

test('a graph prints as text with shapes, attributes and weights', (t) => {
  const grouping = recogniseGrouping(Mask.fromSupports(2, [[1], [0]]));
  t.is(
    printGraph(conv(grouping).graph),
    [
      'graph single',
      'input a: [1, 8, 8, 2]',
      'node: [1, 4, 4, 2] = conv2d(a) {2 → 2, equal, 2 groups, in [0 1], out [1 0]; 3×3 window; stride 2×2; padding [1 1 1 1]; relu}',
      '    kernel = fill([2, 1, 3, 3], 1)',
      '    bias = fill([2], 0)',
      'output y = node',
      '',
    ].join('\n'),
  );
});
