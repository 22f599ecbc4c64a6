import { gateCount } from '@dgconv/core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { dgConv2d } from '../ops/dg-conv.js';
import { LearnedConvLayer } from './learned-conv-layer.js';

/** Gates start on either side of 0 at random, so near that the first gradient decides. */
const gateStart = 1e-8;

/** {@link dgConv2d} as a layer; weights in order: kernel `[kh, kw, C_in, filters]`, gates `[K]`, bias `[filters]`. */
export class DGConv2D extends LearnedConvLayer {
  static readonly className = 'DGConv2D';
  #gates: tfl.LayerVariable | undefined;

  protected override addConnectionWeights(channelsIn: number): void {
    const initializer = tf.initializers.randomUniform({ minval: -gateStart, maxval: gateStart });
    this.#gates = this.addWeight('gates', [gateCount(this.filters, channelsIn)], 'float32', initializer);
  }

  protected override convolve(x: tfc.Tensor4D, kernel: tfc.Tensor4D): tfc.Tensor4D {
    return dgConv2d(x, kernel, this.#gates!.read() as tfc.Tensor1D, this.options);
  }
}

tf.serialization.registerClass(DGConv2D);
