import type * as tfl from '@tensorflow/tfjs-layers';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import {
  checkCondenseShape,
  condenseConv2d,
  condenseLasso,
  condenseMask,
  condenseStage,
  type CondenseShape,
} from '../ops/condense-conv.js';
import { LearnedConvLayer, type LearnedConvLayerConfig } from './learned-conv-layer.js';

export interface CondenseConv2DConfig extends Omit<LearnedConvLayerConfig, 'kernelSize'> {
  /** Only 1 × 1. */
  readonly kernelSize?: 1 | readonly [1, 1];
  readonly groups: number;
  readonly condenseFactor: number;
}

/**
 * {@link condenseConv2d} as a layer, 1 × 1; weights in order: kernel `[1, 1, C_in, filters]`, mask of the same shape (not
 * trainable), bias. Call {@link CondenseConv2D.condense} as training progresses.
 */
export class CondenseConv2D extends LearnedConvLayer {
  static readonly className = 'CondenseConv2D';
  readonly #groups: number;
  readonly #condenseFactor: number;
  #shape: CondenseShape | undefined;
  #mask: tfl.LayerVariable | undefined;

  constructor(config: CondenseConv2DConfig) {
    super({ ...config, kernelSize: 1 });
    this.#groups = config.groups;
    this.#condenseFactor = config.condenseFactor;
  }

  /** Drops what the schedule asks for after the share `progress` in [0, 1) of the training. */
  condense(progress: number): void {
    const kernel = this.#kernel();
    const stage = condenseStage(progress, this.#condenseFactor);
    const next = condenseMask(kernel.dataSync(), this.#mask!.read().dataSync(), stage, this.#shape!);
    const mask = tf.tensor4d(next, kernel.shape);
    this.#mask!.write(mask);
    mask.dispose();
  }

  /** The group lasso of this layer's kernel, a scalar to be added to the loss with a small factor. */
  groupLasso(): tfc.Scalar {
    return condenseLasso(this.#kernel(), this.#shape!);
  }

  #kernel(): tfc.Tensor4D {
    return this.weights[0]!.read() as tfc.Tensor4D;
  }

  protected override addConnectionWeights(channelsIn: number): void {
    const shape = {
      channelsIn,
      channelsOut: this.filters,
      groups: this.#groups,
      condenseFactor: this.#condenseFactor,
    };
    checkCondenseShape(shape);
    this.#shape = shape;
    const ones = tf.initializers.ones();
    this.#mask = this.addWeight('mask', [1, 1, channelsIn, this.filters], 'float32', ones, undefined, false);
  }

  protected override convolve(x: tfc.Tensor4D, kernel: tfc.Tensor4D): tfc.Tensor4D {
    return condenseConv2d(x, kernel, this.#mask!.read() as tfc.Tensor4D, this.options);
  }

  override getConfig(): tfc.serialization.ConfigDict {
    return { ...super.getConfig(), groups: this.#groups, condenseFactor: this.#condenseFactor };
  }
}

tf.serialization.registerClass(CondenseConv2D);
