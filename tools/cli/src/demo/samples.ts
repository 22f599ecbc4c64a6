import { InvalidInputError } from '@dgconv/core';
import type { LabelledImages } from '@dgconv/trainer';

/** A picture to try the model on. */
export interface Sample {
  /** `<digit>-<index>.png`, the index in the test set. */
  readonly file: string;
  readonly png: Uint8Array;
}

/**
 * One test image of each class as a PNG: the first that `isRight` accepts.
 * @throws {InvalidInputError} if a class has none.
 */
export const pickSamples = async (
  { count, pixels, labels }: LabelledImages,
  [height, width]: readonly [number, number],
  classCount: number,
  isRight: (image: Uint8Array, label: number) => Promise<boolean>,
): Promise<Sample[]> => {
  const { default: sharp } = await import('sharp');
  const size = height * width;
  const found = new Map<number, number>();
  for (let index = 0; index < count && found.size < classCount; index++) {
    const label = labels[index]!;
    if (found.has(label)) continue;
    if (await isRight(pixels.subarray(index * size, (index + 1) * size), label)) found.set(label, index);
  }
  if (found.size < classCount)
    throw new InvalidInputError(`only ${found.size} of ${classCount} classes are recognised`);
  const sorted = [...found].sort(([a], [b]) => a - b);
  return Promise.all(
    sorted.map(async ([label, index]) => {
      const raw = { width, height, channels: 1 } as const;
      const image = pixels.subarray(index * size, (index + 1) * size);
      return { file: `${label}-${index}.png`, png: await sharp(image, { raw }).png().toBuffer() };
    }),
  );
};
