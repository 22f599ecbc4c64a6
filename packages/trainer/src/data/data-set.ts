import type { Preprocessing } from '@dgconv/core';

/** Images of one size with their classes. */
export interface LabelledImages {
  readonly count: number;
  /** `[count, H, W, C]`, 0-255. */
  readonly pixels: Uint8Array;
  /** `[count]`, places in the data set's `classNames`. */
  readonly labels: Uint16Array;
}

/** Images to learn from, and others that only measure what was learned. */
export interface DataSet {
  /** As the user named it: `mnist`, `idx:FOLDER`, … */
  readonly spec: string;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly classNames: readonly string[];
  readonly train: LabelledImages;
  readonly test: LabelledImages;
}

/** Decimals of a mean that are told in metadata: enough for any network, short enough to read. */
const decimals = 4;

/**
 * The normalisation that gives the training pixels mean 0 and standard deviation 1, the same for all channels, because MediaPipe's
 * classifiers know no other. Images that are constant are only shifted.
 */
export function preprocessingOf({ train, channels }: DataSet): Preprocessing {
  let [sum, squares] = [0, 0];
  for (const pixel of train.pixels) {
    const value = pixel / 255;
    sum += value;
    squares += value * value;
  }
  const count = Math.max(train.pixels.length, 1);
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(squares / count - mean * mean, 0));
  const forAll = (value: number): number[] => new Array<number>(channels).fill(Number(value.toFixed(decimals)));
  return {
    resizeShorterSide: null,
    colour: channels === 1 ? 'grey' : 'rgb',
    mean: forAll(mean),
    standardDeviation: forAll(deviation).map((value) => value || 1),
  };
}

/** The first `count` images; all if there are fewer. */
export function firstImages({ count, pixels, labels }: LabelledImages, limit: number): LabelledImages {
  const kept = Math.min(count, limit);
  return { count: kept, pixels: pixels.subarray(0, (pixels.length / count) * kept), labels: labels.subarray(0, kept) };
}
