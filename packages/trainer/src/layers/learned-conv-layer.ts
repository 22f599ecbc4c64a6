import { InvalidInputError } from '@dgconv/core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import type { ConvOptions } from '../ops/conv-options.js';

/** Arguments that the learned convolution layers share; names and defaults are those of tf.layers.conv2d, plus fan-out He weights. */
export interface LearnedConvLayerConfig {
  readonly filters: number;
  readonly kernelSize: number | readonly [height: number, width: number];
  readonly strides?: number | readonly [height: number, width: number];
  readonly padding?: 'same' | 'valid';
  readonly dilationRate?: number | readonly [height: number, width: number];
  readonly useBias?: boolean;
  /** Given to tf.layers by `inputShape` on the first layer of a sequential model. */
  readonly inputShape?: readonly (number | null)[];
  readonly name?: string;
  readonly trainable?: boolean;
}

const pair = (value: number | readonly [number, number] | undefined): [number, number] =>
  value === undefined ? [1, 1] : typeof value === 'number' ? [value, value] : [value[0], value[1]];

/** He initialisation by fan-out, as ResNets have it. */
const kernelInitializer = () => tf.initializers.varianceScaling({ scale: 2, mode: 'fanOut', distribution: 'normal' });

/** What the learned convolution layers share: kernel `[kh, kw, C_in, filters]`, bias, geometry; NHWC only. */
export abstract class LearnedConvLayer extends tf.layers.Layer {
  protected readonly filters: number;
  protected readonly kernelSize: [number, number];
  protected readonly options: ConvOptions & {
    readonly strides: [number, number];
    readonly dilations: [number, number];
    readonly padding: 'same' | 'valid';
  };
  readonly #useBias: boolean;
  #kernel: tfl.LayerVariable | undefined;
  #bias: tfl.LayerVariable | undefined;

  constructor(config: LearnedConvLayerConfig) {
    super(config as unknown as ConstructorParameters<typeof tf.layers.Layer>[0]);
    const padding: string = config.padding ?? 'valid';
    if (padding !== 'same' && padding !== 'valid') {
      throw new InvalidInputError(`The padding of layer ${this.name} is "${padding}": it must be "same" or "valid".`);
    }
    this.filters = config.filters;
    this.kernelSize = pair(config.kernelSize);
    this.options = { strides: pair(config.strides), dilations: pair(config.dilationRate), padding };
    this.#useBias = config.useBias ?? true;
  }

  /** Adds the weights that decide the connections, between kernel and bias. */
  protected abstract addConnectionWeights(channelsIn: number): void;

  protected abstract convolve(x: tfc.Tensor4D, kernel: tfc.Tensor4D): tfc.Tensor4D;

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const channelsIn = channelsOf(inputShape, this.name);
    const shape = [...this.kernelSize, channelsIn, this.filters];
    this.#kernel = this.addWeight('kernel', shape, 'float32', kernelInitializer());
    this.addConnectionWeights(channelsIn);
    if (this.#useBias) this.#bias = this.addWeight('bias', [this.filters], 'float32', tf.initializers.zeros());
    super.build(inputShape);
  }

  override call(inputs: tfc.Tensor | tfc.Tensor[]): tfc.Tensor {
    return tf.tidy(() => {
      const x = (Array.isArray(inputs) ? inputs[0]! : inputs) as tfc.Tensor4D;
      const y = this.convolve(x, this.#kernel!.read() as tfc.Tensor4D);
      return this.#bias ? tf.add(y, this.#bias.read()) : y;
    });
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const [batch, height, width] = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape;
    const { strides, dilations, padding } = this.options;
    const size = (length: number | null | undefined, axis: 0 | 1): number | null => {
      if (length === null || length === undefined) return null;
      const window = padding === 'same' ? 1 : (this.kernelSize[axis] - 1) * dilations[axis] + 1;
      return Math.ceil((length - window + 1) / strides[axis]);
    };
    return [batch ?? null, size(height, 0), size(width, 1), this.filters];
  }

  override getConfig(): tfc.serialization.ConfigDict {
    const { strides, dilations, padding } = this.options;
    return {
      ...super.getConfig(),
      filters: this.filters,
      kernelSize: this.kernelSize,
      strides,
      padding,
      dilationRate: dilations,
      useBias: this.#useBias,
    };
  }
}

function channelsOf(inputShape: tfl.Shape | tfl.Shape[], name: string): number {
  const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape;
  const channels = shape[3];
  if (shape.length !== 4 || channels === null || channels === undefined) {
    throw new InvalidInputError(
      `Layer ${name} takes [N, H, W, C] with a known number of channels, not [${shape.join(', ')}].`,
    );
  }
  return channels;
}
