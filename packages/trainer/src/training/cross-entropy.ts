import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';

/** Loss and right answers of one batch. */
export interface BatchScore {
  /** Mean of `-log softmax(logits)[label]`. */
  readonly loss: number;
  readonly correct: number;
}

interface Scored extends BatchScore {
  readonly probabilities: Float32Array;
}

function score(logits: ArrayLike<number>, labels: ArrayLike<number>, classes: number): Scored {
  const probabilities = new Float32Array(logits.length);
  let loss = 0;
  let correct = 0;
  for (let row = 0; row < labels.length; row++) {
    const start = row * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[start + c]! > logits[start + best]!) best = c;
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      probabilities[start + c] = Math.exp(logits[start + c]! - logits[start + best]!);
      sum += probabilities[start + c]!;
    }
    for (let c = 0; c < classes; c++) probabilities[start + c]! /= sum;
    const label = labels[row]!;
    loss += Math.log(sum) - (logits[start + label]! - logits[start + best]!);
    if (best === label) correct++;
  }
  return { loss: loss / labels.length, correct, probabilities };
}

/** Loss and right answers of logits `[N, classes]`. */
export function scoreLogits(logits: tfc.Tensor2D, labels: ArrayLike<number>): BatchScore {
  return score(logits.dataSync(), labels, logits.shape[1]);
}

/**
 * Softmax cross-entropy of logits `[N, classes]`, a differentiable scalar.
 * @param onScore - told of the values when they are computed.
 */
export function softmaxCrossEntropy(
  logits: tfc.Tensor2D,
  labels: ArrayLike<number>,
  onScore: (score: BatchScore) => void,
): tfc.Scalar {
  const [rows, classes] = logits.shape;
  const op = tf.customGrad((...args) => {
    const [given] = args as unknown as [tfc.Tensor2D];
    const { loss, correct, probabilities } = score(given.dataSync(), labels, classes);
    onScore({ loss, correct });
    const gradFunc = (dy: tfc.Tensor) => {
      const gradient = probabilities.slice();
      for (let row = 0; row < rows; row++) gradient[row * classes + labels[row]!]! -= 1;
      const scale = dy.dataSync()[0]! / rows;
      return tf.tensor2d(
        gradient.map((value) => value * scale),
        [rows, classes],
      );
    };
    return { value: tf.scalar(loss), gradFunc };
  });
  return op(logits) as tfc.Scalar;
}
