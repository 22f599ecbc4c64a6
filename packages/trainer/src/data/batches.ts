import type { Preprocessing, RandomSource } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import type { DataSet, LabelledImages } from './data-set.js';

/** Which images of the training set are learned from, and which choose the checkpoint. */
export interface ValidationSplit {
  readonly train: Uint32Array;
  readonly validation: Uint32Array;
}

/** Of MNIST's 60,000 images 5,000 validate; other sets are split in the same proportion. */
const validationShare = 1 / 12;

/** Splits `count` images at random. */
export function splitForValidation(count: number, random: RandomSource): ValidationSplit {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  random.shuffle(order);
  const held = Math.min(Math.max(Math.round(count * validationShare), 1), count - 1);
  return { train: order.slice(held).sort(), validation: order.slice(0, held).sort() };
}

/** A batch as a network takes it. */
export interface Batch {
  /** `[N, H, W, C]`, normalised. */
  readonly images: tfc.Tensor4D;
  /** `[N]` */
  readonly labels: Uint16Array;
}

/** Cuts batches out of labelled images. */
export class Batches {
  readonly #source: LabelledImages;
  readonly #shape: readonly [number, number, number];
  /** Normalised value of each byte, channel by channel. */
  readonly #table: Float32Array;

  constructor({ height, width, channels }: DataSet, source: LabelledImages, preprocessing: Preprocessing) {
    this.#source = source;
    this.#shape = [height, width, channels];
    const { mean, standardDeviation } = preprocessing;
    this.#table = new Float32Array(256 * channels);
    for (let value = 0; value < 256; value++) {
      for (let channel = 0; channel < channels; channel++) {
        this.#table[value * channels + channel] = (value / 255 - mean[channel]!) / standardDeviation[channel]!;
      }
    }
  }

  /** The images at these places. The caller disposes the tensor. */
  cut(indices: Uint32Array): Batch {
    const channels = this.#shape[2];
    const size = this.#shape[0] * this.#shape[1] * channels;
    const values = new Float32Array(indices.length * size);
    const { pixels, labels } = this.#source;
    indices.forEach((index, row) => {
      for (let at = 0; at < size; at++) {
        values[row * size + at] = this.#table[pixels[index * size + at]! * channels + (at % channels)]!;
      }
    });
    return {
      images: tf.tensor4d(values, [indices.length, ...this.#shape]),
      labels: Uint16Array.from(indices, (index) => labels[index]!),
    };
  }
}
