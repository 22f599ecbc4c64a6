import {
  type BinaryFunction,
  type Graph,
  inferShapes,
  InvalidInputError,
  type Node,
  type NodeOf,
  type OpKind,
  type OpTable,
  type Shape,
} from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { batchNormTraining } from '../ops/fused-kernels.js';
import { addRelu } from '../ops/relu.js';
import { takeAxis } from '../ops/take-axis.js';
import * as tf from '../tf.js';
import { applyActivation } from './activations.js';
import { evaluateConv2d, evaluateConv2dTranspose } from './convolutions.js';
import { averagePool, maxPool } from './pooling.js';
import { pad, resize } from './resampling.js';
import type { SlotTensors } from './slot-layout.js';

/** What a batch norm saw in training. */
export interface BatchStatistics {
  readonly mean: tfc.Tensor1D;
  /** Biased. */
  readonly variance: tfc.Tensor1D;
  /** Values of each channel in the batch. */
  readonly count: number;
}

/** How a graph is evaluated. */
export type EvaluationMode =
  | { readonly kind: 'inference' }
  | {
      readonly kind: 'training';
      /** `frozen`: no gradient in DGConv's gates, which saves its cost. */
      readonly gates: 'learn' | 'frozen';
      /** Told of every batch norm, during the evaluation: what it wants to keep it must keep. */
      readonly onBatchStatistics: (node: NodeOf<'batch-norm'>, statistics: BatchStatistics) => void;
      /** Uniform in [0, 1): decides what dropout drops. */
      readonly random: () => number;
    };

interface Context {
  readonly inputs: readonly tfc.Tensor[];
  readonly slots: SlotTensors;
  /** Of the node's value, with the batch. */
  readonly shape: Shape;
  readonly mode: EvaluationMode;
  /** In training a batch norm or a sum applies the ReLU that alone reads it. */
  readonly fusedRelu: boolean;
}

type Rule<K extends OpKind> = (node: NodeOf<K>, context: Context) => tfc.Tensor;

const x4 = ({ inputs }: Context) => inputs[0] as tfc.Tensor4D;

type BinaryRule = (left: tfc.Tensor, right: tfc.Tensor, shape: Shape) => tfc.Tensor;

const binaryFunctions: Readonly<Record<BinaryFunction, BinaryRule>> = {
  add: (left, right) => tf.add(left, right),
  subtract: (left, right) => tf.sub(left, right),
  multiply: (left, right) => tf.mul(left, right),
  divide: (left, right) => tf.div(left, right),
  // tfjs's gradients of these two do not sum over what was broadcast.
  maximum: (left, right, shape) => tf.maximum(tf.broadcastTo(left, [...shape]), tf.broadcastTo(right, [...shape])),
  minimum: (left, right, shape) => tf.minimum(tf.broadcastTo(left, [...shape]), tf.broadcastTo(right, [...shape])),
  power: (left, right) => tf.pow(left, right),
};

const reducers = { mean: tf.mean, sum: tf.sum, max: tf.max, min: tf.min } as const;

const rules: OpTable<{ [K in OpKind]: Rule<K> }> = {
  conv2d: (node, { inputs, slots, mode }) =>
    evaluateConv2d(node, inputs, slots, mode.kind === 'training' ? mode.gates : 'frozen'),
  'conv2d-transpose': (node, { inputs, slots, shape }) => evaluateConv2dTranspose(node, inputs[0]!, slots, shape),
  dense({ attrs }, { inputs, slots }) {
    const y = tf.matMul(inputs[0]!, slots['kernel']!, false, true);
    return applyActivation(slots['bias'] ? tf.add(y, slots['bias']) : y, attrs.activation);
  },
  matmul: (_, { inputs }) => tf.matMul(inputs[0]!, inputs[1]!),
  'batch-norm': batchNorm,
  affine: (_, { inputs, slots }) => tf.add(tf.mul(inputs[0]!, slots['scale']!), slots['shift']!),
  activation: ({ attrs }, { inputs, fusedRelu }) =>
    fusedRelu ? inputs[0]! : applyActivation(inputs[0]!, attrs.activation),
  prelu: (_, { inputs, slots }) => tf.add(tf.relu(inputs[0]!), tf.mul(tf.minimum(inputs[0]!, 0), slots['slope']!)),
  binary: ({ attrs }, { inputs, shape, fusedRelu }) =>
    fusedRelu
      ? addRelu(inputs[0]!, inputs[1]!)
      : applyActivation(binaryFunctions[attrs.function](inputs[0]!, inputs[1]!, shape), attrs.activation),
  constant: (_, { slots }) => slots['value']!,
  softmax({ attrs }, { inputs }) {
    const [x] = inputs as [tfc.Tensor];
    if (attrs.axis === x.rank - 1) return tf.softmax(x);
    const order = Array.from({ length: x.rank }, (_, axis) => axis);
    order[attrs.axis] = x.rank - 1;
    order[x.rank - 1] = attrs.axis;
    return tf.transpose(tf.softmax(tf.transpose(x, order)), order);
  },
  'max-pool': ({ attrs }, context) => maxPool(x4(context), attrs),
  'average-pool': ({ attrs }, context) => averagePool(x4(context), attrs),
  reduce: ({ attrs }, { inputs }) => reducers[attrs.function](inputs[0]!, [...attrs.axes], attrs.keepDims),
  concat: ({ attrs }, { inputs }) => tf.concat([...inputs], attrs.axis),
  slice({ attrs }, { inputs, shape }) {
    if (attrs.steps.every((step) => step === 1)) return tf.slice(inputs[0]!, [...attrs.starts], [...shape]);
    return attrs.steps.reduce((x, step, axis) => {
      const indices = Array.from({ length: shape[axis]! }, (_, index) => attrs.starts[axis]! + index * step);
      return takeAxis(x, axis, indices);
    }, inputs[0]!);
  },
  pad: ({ attrs }, { inputs }) => pad(inputs[0]!, attrs),
  resize: ({ attrs }, context) => resize(x4(context), attrs),
  transpose: ({ attrs }, { inputs }) => tf.transpose(inputs[0]!, [...attrs.permutation]),
  reshape: (_, { inputs, shape }) => tf.reshape(inputs[0]!, [...shape]),
  take: ({ attrs }, { inputs }) => takeAxis(inputs[0]!, attrs.axis, attrs.indices),
  identity: (_, { inputs }) => inputs[0]!,
  dropout({ attrs: { rate } }, { inputs, mode }) {
    const [x] = inputs as [tfc.Tensor];
    if (mode.kind === 'inference' || rate === 0) return x;
    const kept = Float32Array.from({ length: x.size }, () => (mode.random() < rate ? 0 : 1 / (1 - rate)));
    return tf.mul(x, tf.tensor(kept, x.shape));
  },
};

function batchNorm(node: NodeOf<'batch-norm'>, { inputs, slots, mode, fusedRelu }: Context): tfc.Tensor {
  const [x] = inputs as [tfc.Tensor];
  const { channels, epsilon } = node.attrs;
  const gamma = slots['gamma'] ?? tf.ones([channels]);
  const beta = slots['beta'] ?? tf.zeros([channels]);
  if (mode.kind === 'training') {
    const { y, mean, variance } = batchNormTraining(x, gamma, beta, { epsilon, relu: fusedRelu });
    mode.onBatchStatistics(node, { mean, variance, count: x.size / channels });
    return y;
  }
  const scale = tf.mul(gamma, tf.rsqrt(tf.add(slots['variance']!, epsilon)));
  return tf.add(tf.mul(x, scale), tf.sub(beta, tf.mul(slots['mean']!, scale)));
}

/** What is derived from a graph once, for all of its evaluations. */
interface Plan {
  /** Batch norms and sums, and the ReLUs that they apply in training. */
  readonly fused: ReadonlySet<string>;
  readonly shapesByBatch: Map<number, Map<string, Shape>>;
}

const plans = new WeakMap<Graph, Plan>();

function planOf(graph: Graph): Plan {
  let plan = plans.get(graph);
  if (!plan) {
    plan = { fused: fusedNodes(graph), shapesByBatch: new Map() };
    plans.set(graph, plan);
  }
  return plan;
}

function fusedNodes(graph: Graph): Set<string> {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) readers.set(input, [...(readers.get(input) ?? []), node]);
  }
  const outputs = new Set(graph.outputs.map(({ value }) => value));
  const fused = new Set<string>();
  for (const node of graph.nodes) {
    const [reader, ...others] = readers.get(node.id) ?? [];
    const isRelu = reader?.op === 'activation' && reader.attrs.activation.function === 'relu';
    if (canApplyRelu(node) && isRelu && others.length === 0 && !outputs.has(node.id)) fused.add(node.id).add(reader.id);
  }
  return fused;
}

function canApplyRelu({ op, attrs }: Node): boolean {
  return (
    op === 'batch-norm' || (op === 'binary' && attrs.function === 'add' && attrs.activation.function === 'identity')
  );
}

/**
 * The outputs of a graph on the current engine, by output name; differentiable in feeds and slots. Call it inside `tf.tidy`.
 * @param slotsOf - the weights of each node in the trainer's layout.
 * @param feeds - graph inputs by name, `[N, …]` with one N.
 * @throws {InvalidInputError} if a feed is missing or does not fit, or, naming the node, a gate is NaN.
 */
export function evaluateGraph(
  graph: Graph,
  slotsOf: (node: Node) => SlotTensors,
  feeds: Readonly<Record<string, tfc.Tensor>>,
  mode: EvaluationMode,
): Record<string, tfc.Tensor> {
  const plan = planOf(graph);
  const values = new Map<string, tfc.Tensor>();
  const batch = feeds[graph.inputs[0]?.name ?? '']?.shape[0] ?? 1;
  for (const { name, shape } of graph.inputs) {
    const feed = feeds[name];
    if (!feed || feed.shape.join() !== shape.with(0, batch).join()) {
      const given = feed ? `[${feed.shape.join(', ')}] was given` : 'nothing was given';
      throw new InvalidInputError(`The input '${name}' is [N, ${shape.slice(1).join(', ')}], and ${given}.`);
    }
    values.set(name, feed);
  }
  let shapes = plan.shapesByBatch.get(batch);
  if (!shapes) plan.shapesByBatch.set(batch, (shapes = inferShapes(graph, { batch })));
  for (const node of graph.nodes) {
    const context: Context = {
      inputs: node.inputs.map((input) => values.get(input)!),
      slots: slotsOf(node),
      shape: shapes.get(node.id)!,
      mode,
      fusedRelu: mode.kind === 'training' && plan.fused.has(node.id),
    };
    try {
      values.set(node.id, (rules[node.op] as (node: Node, context: Context) => tfc.Tensor)(node, context));
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      throw new InvalidInputError(`node '${node.id}' (${node.op}): ${error.message}`, { cause: error });
    }
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, values.get(value)!]));
}
