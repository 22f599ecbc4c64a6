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
 * The normalisation that gives the training pixels mean 0 and standard deviation 1, channel by channel.
 * Channels that are constant are only shifted.
 */
export function preprocessingOf({ train, channels }: DataSet): Preprocessing {
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let at = 0; at < train.pixels.length; at++) {
    const value = train.pixels[at]! / 255;
    sums[at % channels]! += value;
    squares[at % channels]! += value * value;
  }
  const pixels = Math.max(train.pixels.length / channels, 1);
  const mean = Array.from(sums, (sum) => sum / pixels);
  const deviation = mean.map((value, channel) => Math.sqrt(Math.max(squares[channel]! / pixels - value * value, 0)));
  const rounded = (value: number) => Number(value.toFixed(decimals));
  return {
    resizeShorterSide: null,
    colour: channels === 1 ? 'grey' : 'rgb',
    mean: mean.map(rounded),
    standardDeviation: deviation.map((value) => rounded(value) || 1),
  };
}

/** The first `count` images; all if there are fewer. */
export function firstImages({ count, pixels, labels }: LabelledImages, limit: number): LabelledImages {
  const kept = Math.min(count, limit);
  return { count: kept, pixels: pixels.subarray(0, (pixels.length / count) * kept), labels: labels.subarray(0, kept) };
}
