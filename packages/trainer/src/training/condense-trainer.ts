import type * as tfc from '@tensorflow/tfjs-core';
import type { TrainableNetwork } from '../evaluate/trainable-network.js';
import { condenseLasso, condenseMask, type CondenseShape, condenseStage } from '../ops/condense-conv.js';
import * as tf from '../tf.js';

interface CondensedLayer {
  readonly shape: CondenseShape;
  readonly kernel: tfc.Variable;
  readonly mask: tfc.Variable;
  stage: number;
}

/** CondenseNet's schedule over all of a network's learned group convolutions. */
export class CondenseTrainer {
  readonly #layers: CondensedLayer[] = [];

  constructor(network: TrainableNetwork) {
    for (const { id, op, attrs } of network.graph.nodes) {
      if (op !== 'conv2d' || attrs.connectivity.kind !== 'learned' || attrs.connectivity.rule !== 'condense') continue;
      const kernel = network.parameter(id, 'kernel').variable;
      this.#layers.push({ shape: attrs.connectivity, kernel, mask: network.parameter(id, 'mask').variable, stage: 0 });
    }
  }

  /** Condenses every layer to the stage of this share of the training, in [0, 1). */
  advance(progress: number): void {
    for (const layer of this.#layers) {
      const { shape, kernel, mask } = layer;
      const stage = condenseStage(progress, shape.condenseFactor);
      if (stage === layer.stage) continue;
      const next = tf.tensor(condenseMask(kernel.dataSync(), mask.dataSync(), stage, shape), mask.shape);
      mask.assign(next);
      next.dispose();
      layer.stage = stage;
    }
  }

  /** The group lasso's part of the loss, until a layer's last stage; null if there is none. */
  lasso(weight: number): tfc.Scalar | null {
    const growing = this.#layers.filter(({ stage, shape }) => stage < shape.condenseFactor - 1);
    if (growing.length === 0 || weight === 0) return null;
    const parts = growing.map(({ kernel, shape }) => condenseLasso(kernel as tfc.Tensor4D, shape));
    return tf.mul(tf.addN(parts), weight);
  }
}
