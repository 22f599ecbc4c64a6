import type { Graph, Node, NodeOf } from '../graph/graph.js';
import type { OpKind, Shape } from '../graph/ops.js';
import type { Weight } from '../graph/weights.js';
import { gateCount } from '../grouping/gates.js';
import { RandomSource } from '../random.js';

/** The weight of one slot: its logical shape and how its values are drawn. */
type NewTensor = readonly [weight: Weight | undefined, shape: Shape, draw: (random: RandomSource) => number];

const constant = (value: number) => () => value;
const normal = (deviation: number) => (random: RandomSource) => deviation * random.normal();
const uniform = (bound: number) => (random: RandomSource) => bound * (2 * random.uniform() - 1);
const coin = (size: number) => (random: RandomSource) => (random.nextUint32() >>> 31 === 0 ? -size : size);

/**
 * First weights of a network whose weights are stored tensors, as the zoo writes them: convolutions Kaiming-normal by fan-out,
 * dense layers uniform in ±1/√C_in, batch norms the identity, gates ±1e-8 at random, FLGC's assignments standard normal,
 * CondenseNet's masks ones. The values depend on graph and seed only.
 * @returns each tensor under its name, in the order of the nodes.
 */
export function initialWeights(graph: Graph, seed: number): Map<string, { shape: Shape; values: Float32Array }> {
  const random = new RandomSource(seed);
  const tensors = new Map<string, { shape: Shape; values: Float32Array }>();
  for (const node of graph.nodes) {
    for (const [weight, shape, draw] of newTensorsOf(node)) {
      if (weight?.kind !== 'stored' || tensors.has(weight.name)) continue;
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      for (let index = 0; index < values.length; index++) values[index] = draw(random);
      tensors.set(weight.name, { shape, values });
    }
  }
  return tensors;
}

const noWeights = (): NewTensor[] => [];

const newTensors: { readonly [K in OpKind]: (node: NodeOf<K>) => NewTensor[] } = {
  conv2d({ attrs: { connectivity, kernelSize }, weights }) {
    const { channelsOut, channelsIn } = connectivity;
    const groups = connectivity.kind === 'equal' ? connectivity.groups : 1;
    const assigned = connectivity.kind === 'learned' && connectivity.rule === 'flgc' ? connectivity.groups : 0;
    const fanOut = channelsOut * kernelSize[0] * kernelSize[1];
    return [
      [weights.kernel, [channelsOut, channelsIn / groups, ...kernelSize], normal(Math.sqrt(2 / fanOut))],
      [weights.bias, [channelsOut], constant(0)],
      [weights.preScale, [channelsIn], constant(1)],
      [weights.preShift, [channelsIn], constant(0)],
      [weights.gates, [gateCount(channelsOut, channelsIn)], coin(1e-8)],
      [weights.inputAssignment, [channelsIn, assigned], normal(1)],
      [weights.outputAssignment, [channelsOut, assigned], normal(1)],
      [weights.mask, [channelsOut, channelsIn, 1, 1], constant(1)],
    ];
  },
  'conv2d-transpose'({ attrs: { channelsIn, channelsOut, groups, kernelSize }, weights }) {
    const fanOut = (channelsOut / groups) * kernelSize[0] * kernelSize[1];
    return [
      [weights.kernel, [channelsIn, channelsOut / groups, ...kernelSize], normal(Math.sqrt(2 / fanOut))],
      [weights.bias, [channelsOut], constant(0)],
    ];
  },
  dense({ attrs: { channelsIn, channelsOut }, weights }) {
    const bound = 1 / Math.sqrt(channelsIn);
    return [
      [weights.kernel, [channelsOut, channelsIn], uniform(bound)],
      [weights.bias, [channelsOut], uniform(bound)],
    ];
  },
  'batch-norm': ({ attrs: { channels }, weights }) => [
    [weights.gamma, [channels], constant(1)],
    [weights.beta, [channels], constant(0)],
    [weights.mean, [channels], constant(0)],
    [weights.variance, [channels], constant(1)],
  ],
  affine: ({ attrs: { channels }, weights }) => [
    [weights.scale, [channels], constant(1)],
    [weights.shift, [channels], constant(0)],
  ],
  prelu: ({ attrs: { channels }, weights }) => [[weights.slope, [channels], constant(0.25)]],
  constant: ({ attrs: { shape }, weights }) => [[weights.value, shape, constant(0)]],
  matmul: noWeights,
  activation: noWeights,
  binary: noWeights,
  softmax: noWeights,
  'max-pool': noWeights,
  'average-pool': noWeights,
  reduce: noWeights,
  concat: noWeights,
  slice: noWeights,
  pad: noWeights,
  resize: noWeights,
  transpose: noWeights,
  reshape: noWeights,
  take: noWeights,
  identity: noWeights,
  dropout: noWeights,
};

function newTensorsOf(node: Node): NewTensor[] {
  return (newTensors[node.op] as (node: Node) => NewTensor[])(node);
}
