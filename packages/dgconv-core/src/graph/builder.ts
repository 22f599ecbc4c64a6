import { InvalidInputError } from '../errors.js';
import { contiguousGrouping } from '../grouping/contiguous.js';
import type { Grouping } from '../grouping/grouping.js';
import { channelShuffle } from '../grouping/permutation.js';
import type { Graph, GraphInput, GraphMetadata, GraphOutput, Node } from './graph.js';
import type { Activation, BinaryFunction, Padding, Shape } from './ops.js';
import type { Weight } from './weights.js';

/** What a convolution of {@link GraphBuilder.conv} looks like; sizes in pixels, one number for both directions. */
export interface ConvOptions {
  readonly channelsOut: number;
  readonly kernelSize: number;
  readonly stride?: number;
  /** Zero padding on every side; default keeps the size at stride 1. */
  readonly padding?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Name of the kernel in the checkpoint; default `<id>.weight`. */
  readonly weightName?: string;
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
    const { channelsOut, kernelSize, stride = 1, padding = (kernelSize - 1) >> 1, groups = 1 } = options;
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
    return this.#push(
      {
        id,
        op: 'conv2d',
        inputs: [x],
        attrs: {
          ...square(kernelSize, stride, padding),
          connectivity,
          pre: 'none',
          activation: { function: 'identity' },
        },
        weights: {
          kernel: stored(options.weightName ?? `${id}.weight`),
          ...(options.bias === true ? { bias: stored(`${id}.bias`) } : {}),
        },
        origin: [id],
      },
      this.#windowed(id, x, kernelSize, stride, padding, channelsOut),
    );
  }

  /** Batch normalisation over the last dimension, with the names `weight`, `bias`, `running_mean`, `running_var`. */
  batchNorm(id: string, x: string, epsilon = 1e-5): string {
    return this.#push(
      {
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
      },
      this.shape(x),
    );
  }

  activation(id: string, x: string, activation: Activation): string {
    return this.#push(
      { id, op: 'activation', inputs: [x], attrs: { activation }, weights: {}, origin: [id] },
      this.shape(x),
    );
  }

  relu(id: string, x: string): string {
    return this.activation(id, x, { function: 'relu' });
  }

  /** Elementwise on two values of one shape. */
  binary(id: string, a: string, b: string, name: BinaryFunction): string {
    const shape = this.shape(a);
    if (shape.join() !== this.shape(b).join()) {
      throw new InvalidInputError(
        `'${id}' cannot ${name} values of shapes [${shape.join(', ')}] and [${this.shape(b).join(', ')}]: they must be equal`,
      );
    }
    return this.#push(
      {
        id,
        op: 'binary',
        inputs: [a, b],
        attrs: { function: name, activation: { function: 'identity' } },
        weights: {},
        origin: [id],
      },
      shape,
    );
  }

  add(id: string, a: string, b: string): string {
    return this.binary(id, a, b, 'add');
  }

  /** @throws {InvalidInputError} if nothing is left of the image. */
  maxPool(id: string, x: string, { kernelSize, stride, padding = 0 }: PoolOptions): string {
    return this.#push(
      { id, op: 'max-pool', inputs: [x], attrs: square(kernelSize, stride, padding), weights: {}, origin: [id] },
      this.#windowed(id, x, kernelSize, stride, padding, this.channels(x)),
    );
  }

  /** Padded zeros count, as by default in PyTorch. @throws {InvalidInputError} if nothing is left of the image. */
  averagePool(id: string, x: string, { kernelSize, stride, padding = 0 }: PoolOptions): string {
    return this.#push(
      {
        id,
        op: 'average-pool',
        inputs: [x],
        attrs: { ...square(kernelSize, stride, padding), countPadding: true },
        weights: {},
        origin: [id],
      },
      this.#windowed(id, x, kernelSize, stride, padding, this.channels(x)),
    );
  }

  /** Mean over all pixels: x `[1, H, W, C]` → `[1, C]`. */
  globalAveragePool(id: string, x: string): string {
    return this.#push(
      {
        id,
        op: 'reduce',
        inputs: [x],
        attrs: { function: 'mean', axes: [1, 2], keepDims: false },
        weights: {},
        origin: [id],
      },
      [1, this.channels(x)],
    );
  }

  /** Concatenation of channels. */
  concatChannels(id: string, values: readonly string[]): string {
    const shape = [...this.shape(values[0]!)];
    shape[shape.length - 1] = values.reduce((sum, value) => sum + this.channels(value), 0);
    return this.#push(
      { id, op: 'concat', inputs: values, attrs: { axis: shape.length - 1 }, weights: {}, origin: [id] },
      shape,
    );
  }

  /** Channel c of the result is channel `indices[c]` of x. */
  takeChannels(id: string, x: string, indices: readonly number[]): string {
    const shape = this.shape(x);
    return this.#push(
      { id, op: 'take', inputs: [x], attrs: { axis: shape.length - 1, indices }, weights: {}, origin: [id] },
      [...shape.slice(0, -1), indices.length],
    );
  }

  /** ShuffleNet's channel shuffle: output `k·groups + i` is input `i·(C/groups) + k`. */
  channelShuffle(id: string, x: string, groups: number): string {
    return this.takeChannels(id, x, channelShuffle(this.channels(x), groups));
  }

  dropout(id: string, x: string, rate: number): string {
    return this.#push({ id, op: 'dropout', inputs: [x], attrs: { rate }, weights: {}, origin: [id] }, this.shape(x));
  }

  softmax(id: string, x: string): string {
    const shape = this.shape(x);
    return this.#push(
      { id, op: 'softmax', inputs: [x], attrs: { axis: shape.length - 1 }, weights: {}, origin: [id] },
      shape,
    );
  }

  /** x `[1, C_in]` → `[1, channelsOut]`, by default with bias. */
  dense(id: string, x: string, channelsOut: number, { bias = true } = {}): string {
    return this.#push(
      {
        id,
        op: 'dense',
        inputs: [x],
        attrs: { channelsIn: this.channels(x), channelsOut, activation: { function: 'identity' } },
        weights: { kernel: stored(`${id}.weight`), ...(bias ? { bias: stored(`${id}.bias`) } : {}) },
        origin: [id],
      },
      [1, channelsOut],
    );
  }

  /** The finished network. */
  build(outputs: readonly GraphOutput[]): Graph {
    return { formatVersion: '1.0', nodes: this.#nodes, inputs: this.#inputs, outputs, metadata: this.metadata };
  }

  #push(node: Node, shape: Shape): string {
    if (this.#shapes.has(node.id)) throw new Error(`internal: two nodes are named '${node.id}'`);
    this.#nodes.push(node);
    this.#shapes.set(node.id, shape);
    return node.id;
  }

  #windowed(id: string, x: string, kernel: number, stride: number, padding: number, channels: number): Shape {
    const [, height = 0, width = 0] = this.shape(x);
    const size = (pixels: number): number => Math.floor((pixels + 2 * padding - kernel) / stride) + 1;
    if (size(height) < 1 || size(width) < 1) {
      throw new InvalidInputError(
        `'${id}': a ${kernel}×${kernel} window with padding ${padding} does not fit into ${height}×${width} pixels: the network needs a larger input`,
      );
    }
    return [1, size(height), size(width), channels];
  }
}

function square(
  kernelSize: number,
  stride: number,
  padding: number,
): {
  kernelSize: readonly [number, number];
  strides: readonly [number, number];
  dilations: readonly [number, number];
  padding: Padding;
} {
  return {
    kernelSize: [kernelSize, kernelSize],
    strides: [stride, stride],
    dilations: [1, 1],
    padding: { top: padding, bottom: padding, left: padding, right: padding },
  };
}
