import { InvalidInputError } from '../errors.js';
import { contiguousGrouping } from '../grouping/contiguous.js';
import type { Grouping } from '../grouping/grouping.js';
import { channelShuffle } from '../grouping/permutation.js';
import type { Graph, GraphInput, GraphMetadata, GraphOutput, Node } from './graph.js';
import type { Activation, BinaryFunction } from './ops.js';
import type { Shape } from './shape.js';
import { nodeShape } from './types.js';
import type { Weight } from './weights.js';
import { squareWindow } from './window.js';

/** What a convolution of {@link GraphBuilder.conv} looks like; sizes in pixels, one number for both directions. */
export interface ConvOptions {
  readonly channelsOut: number;
  readonly kernelSize: number;
  readonly stride?: number;
  readonly dilation?: number;
  /** Zero padding on every side; default keeps the size at stride 1. */
  readonly padding?: number;
  readonly groups?: number;
  readonly bias?: boolean;
}

/** Window of a pooling of {@link GraphBuilder}; sizes in pixels, one number for both directions. */
export interface PoolOptions {
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding?: number;
}

const stored = (name: string): Weight => ({ kind: 'stored', name });

/**
 * Writes a network down, one call a node: every method returns the id of the value that it made. Ids are module names as in
 * PyTorch (`layer1.0.conv2`), weights are named after them (`layer1.0.conv2.weight`), which is how public checkpoints bind.
 */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #inputs: GraphInput[] = [];
  readonly #shapes = new Map<string, Shape>();

  constructor(readonly metadata: GraphMetadata) {}

  /** A network input of shape `[1, H, W, C]`. */
  input(name: string, shape: Shape): string {
    this.#inputs.push({ name, shape });
    this.#shapes.set(name, shape);
    return name;
  }

  /** Shape of a value, for batch 1. */
  shape(value: string): Shape {
    const shape = this.#shapes.get(value);
    if (shape === undefined) throw new Error(`internal: the value '${value}' does not exist yet`);
    return shape;
  }

  /** Channels of a value: its last dimension. */
  channels(value: string): number {
    return this.shape(value).at(-1)!;
  }

  /**
   * x `[1, H, W, C_in]` → `[1, H', W', channelsOut]`.
   * @throws {InvalidInputError} if groups do not divide the channels or nothing is left of the channels or the image.
   */
  conv(id: string, x: string, options: ConvOptions): string {
    const { channelsOut, kernelSize, stride = 1, dilation = 1, groups = 1 } = options;
    const { padding = (dilation * (kernelSize - 1)) >> 1 } = options;
    const channelsIn = this.channels(x);
    if (channelsOut < 1) {
      throw new InvalidInputError(
        `convolution '${id}' would have ${channelsOut} output channels: it needs at least one`,
      );
    }
    let connectivity: Grouping;
    try {
      connectivity = contiguousGrouping(channelsOut, channelsIn, groups);
    } catch (error) {
      throw error instanceof InvalidInputError
        ? new InvalidInputError(`convolution '${id}': ${error.message}`, { cause: error })
        : error;
    }
    return this.#push({
      id,
      op: 'conv2d',
      inputs: [x],
      attrs: {
        ...squareWindow(kernelSize, stride, padding),
        dilations: [dilation, dilation],
        connectivity,
        pre: 'none',
        activation: { function: 'identity' },
      },
      weights: {
        kernel: stored(`${id}.weight`),
        ...(options.bias === true ? { bias: stored(`${id}.bias`) } : {}),
      },
      origin: [id],
    });
  }

  /** Batch normalisation over the last dimension, with the names `weight`, `bias`, `running_mean`, `running_var`. */
  batchNorm(id: string, x: string, epsilon = 1e-5): string {
    return this.#push({
      id,
      op: 'batch-norm',
      inputs: [x],
      attrs: { channels: this.channels(x), epsilon },
      weights: {
        gamma: stored(`${id}.weight`),
        beta: stored(`${id}.bias`),
        mean: stored(`${id}.running_mean`),
        variance: stored(`${id}.running_var`),
      },
      origin: [id],
    });
  }

  activation(id: string, x: string, activation: Activation): string {
    return this.#push({ id, op: 'activation', inputs: [x], attrs: { activation }, weights: {}, origin: [id] });
  }

  relu(id: string, x: string): string {
    return this.activation(id, x, { function: 'relu' });
  }

  /** Elementwise with numpy broadcasting. */
  binary(id: string, a: string, b: string, name: BinaryFunction): string {
    return this.#push({
      id,
      op: 'binary',
      inputs: [a, b],
      attrs: { function: name, activation: { function: 'identity' } },
      weights: {},
      origin: [id],
    });
  }

  add(id: string, a: string, b: string): string {
    return this.binary(id, a, b, 'add');
  }

  /** @throws {InvalidInputError} if nothing is left of the image. */
  maxPool(id: string, x: string, { kernelSize, stride, padding = 0 }: PoolOptions): string {
    return this.#push({
      id,
      op: 'max-pool',
      inputs: [x],
      attrs: squareWindow(kernelSize, stride, padding),
      weights: {},
      origin: [id],
    });
  }

  /** Padded zeros count, as by default in PyTorch. @throws {InvalidInputError} if nothing is left of the image. */
  averagePool(id: string, x: string, { kernelSize, stride, padding = 0 }: PoolOptions): string {
    return this.#push({
      id,
      op: 'average-pool',
      inputs: [x],
      attrs: { ...squareWindow(kernelSize, stride, padding), countPadding: true },
      weights: {},
      origin: [id],
    });
  }

  /** Mean over all pixels: x `[1, H, W, C]` → `[1, C]`. */
  globalAveragePool(id: string, x: string): string {
    return this.#push({
      id,
      op: 'reduce',
      inputs: [x],
      attrs: { function: 'mean', axes: [1, 2], keepDims: false },
      weights: {},
      origin: [id],
    });
  }

  /** Concatenation of channels. */
  concatChannels(id: string, values: readonly string[]): string {
    const axis = this.shape(values[0]!).length - 1;
    return this.#push({ id, op: 'concat', inputs: values, attrs: { axis }, weights: {}, origin: [id] });
  }

  /** Channel c of the result is channel `indices[c]` of x. */
  takeChannels(id: string, x: string, indices: readonly number[]): string {
    const axis = this.shape(x).length - 1;
    return this.#push({ id, op: 'take', inputs: [x], attrs: { axis, indices }, weights: {}, origin: [id] });
  }

  /** ShuffleNet's channel shuffle: output `k·groups + i` is input `i·(C/groups) + k`. */
  channelShuffle(id: string, x: string, groups: number): string {
    return this.takeChannels(id, x, channelShuffle(this.channels(x), groups));
  }

  dropout(id: string, x: string, rate: number): string {
    return this.#push({ id, op: 'dropout', inputs: [x], attrs: { rate }, weights: {}, origin: [id] });
  }

  softmax(id: string, x: string): string {
    const axis = this.shape(x).length - 1;
    return this.#push({ id, op: 'softmax', inputs: [x], attrs: { axis }, weights: {}, origin: [id] });
  }

  /** x `[1, C_in]` → `[1, channelsOut]`, by default with bias. */
  dense(id: string, x: string, channelsOut: number, { bias = true } = {}): string {
    return this.#push({
      id,
      op: 'dense',
      inputs: [x],
      attrs: { channelsIn: this.channels(x), channelsOut, activation: { function: 'identity' } },
      weights: { kernel: stored(`${id}.weight`), ...(bias ? { bias: stored(`${id}.bias`) } : {}) },
      origin: [id],
    });
  }

  /** The finished network. */
  build(outputs: readonly GraphOutput[]): Graph {
    return { formatVersion: '1.0', nodes: this.#nodes, inputs: this.#inputs, outputs, metadata: this.metadata };
  }

  #push(node: Node): string {
    if (this.#shapes.has(node.id)) throw new Error(`internal: two nodes are named '${node.id}'`);
    const inputs = node.inputs.map((value) => this.shape(value));
    const shape = nodeShape(node, { inputs, single: inputs, batch: 1 });
    this.#nodes.push(node);
    this.#shapes.set(node.id, shape);
    return node.id;
  }
}
