import type * as tfl from '@tensorflow/tfjs-layers';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { flgcConv2d } from '../ops/flgc-conv.js';
import { LearnedConvLayer, type LearnedConvLayerConfig } from './learned-conv-layer.js';

export interface FlgcConv2DConfig extends LearnedConvLayerConfig {
  readonly groups: number;
  readonly gradient?: 'masked' | 'full';
}

/** {@link flgcConv2d} as a layer; weights in order: kernel, inputAssignment `[C_in, G]`, outputAssignment `[filters, G]`, bias. */
export class FlgcConv2D extends LearnedConvLayer {
  static readonly className = 'FlgcConv2D';
  readonly #groups: number;
  readonly #gradient: 'masked' | 'full';
  #inputAssignment: tfl.LayerVariable | undefined;
  #outputAssignment: tfl.LayerVariable | undefined;

  constructor(config: FlgcConv2DConfig) {
    super(config);
    this.#groups = config.groups;
    this.#gradient = config.gradient ?? 'masked';
  }

  protected override addConnectionWeights(channelsIn: number): void {
    const initializer = () => tf.initializers.randomNormal({ mean: 0, stddev: 1 });
    this.#inputAssignment = this.addWeight('inputAssignment', [channelsIn, this.#groups], 'float32', initializer());
    this.#outputAssignment = this.addWeight('outputAssignment', [this.filters, this.#groups], 'float32', initializer());
  }

  protected override convolve(x: tfc.Tensor4D, kernel: tfc.Tensor4D): tfc.Tensor4D {
    const inputs = this.#inputAssignment!.read() as tfc.Tensor2D;
    const outputs = this.#outputAssignment!.read() as tfc.Tensor2D;
    return flgcConv2d(x, kernel, inputs, outputs, { ...this.options, gradient: this.#gradient });
  }

  override getConfig(): tfc.serialization.ConfigDict {
    return { ...super.getConfig(), groups: this.#groups, gradient: this.#gradient };
  }
}

tf.serialization.registerClass(FlgcConv2D);
