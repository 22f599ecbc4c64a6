import type { NodeOf } from '@dgconv/core';
import type { BatchStatistics } from '../evaluate/evaluate.js';
import type { TrainableNetwork } from '../evaluate/trainable-network.js';
import { averageArrays } from '../distributed/average-gradients.js';
import type { Communicator } from '../distributed/communicator.js';
import * as tf from '../tf.js';

/** Share of the newest batch in running statistics, as in PyTorch. */
const newest = 0.1;

interface Seen {
  readonly node: string;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly count: number;
}

/** Running mean and variance of every batch norm, for inference: of what each process saw, the mean over all. */
export class BatchNormStatistics {
  readonly #network: TrainableNetwork;
  readonly #communicator: Communicator;
  #seen: Seen[] = [];

  constructor(network: TrainableNetwork, communicator: Communicator) {
    this.#network = network;
    this.#communicator = communicator;
  }

  /** Notes what a batch norm saw. */
  add(node: NodeOf<'batch-norm'>, { mean, variance, count }: BatchStatistics): void {
    this.#seen.push({
      node: node.id,
      mean: Float32Array.from(mean.dataSync()),
      variance: Float32Array.from(variance.dataSync()),
      count,
    });
  }

  /** Moves the running statistics towards what was noted; the variance is made unbiased first. */
  apply(): void {
    averageArrays(
      this.#seen.flatMap(({ mean, variance }) => [mean, variance]),
      this.#communicator,
    );
    for (const { node, mean, variance, count } of this.#seen) {
      const unbiased = count / Math.max(count - 1, 1);
      this.#move(node, 'mean', mean);
      this.#move(
        node,
        'variance',
        variance.map((value) => value * unbiased),
      );
    }
    this.#seen = [];
  }

  #move(node: string, slot: 'mean' | 'variance', seen: Float32Array): void {
    const { variable } = this.#network.parameter(node, slot);
    const next = variable.dataSync().map((value, at) => (1 - newest) * value + newest * seen[at]!);
    const tensor = tf.tensor1d(next);
    variable.assign(tensor);
    tensor.dispose();
  }
}
