import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidInputError } from '@dgconv/core';
import type { DataSet, LabelledImages } from './data-set.js';

interface ImageFile {
  readonly path: string;
  readonly label: number;
}

/** What sharp decodes out of the box. */
const imageName = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

/** Images decoded at the same time. */
const batchSize = 16;

/**
 * A folder of images by class, as PyTorch has them: `FOLDER/train/CLASS/*.png` and `FOLDER/test/CLASS/*.png` (or `val`). Classes
 * are numbered by name. Every image is resized to the given size.
 * @param size - `[H, W, C]` with C 1 (grey) or 3.
 * @throws {InvalidInputError} if folders are missing, differ in their classes or hold no images, or an image is broken.
 */
export async function openImageFolder(
  folder: string,
  spec: string,
  size: readonly [number, number, number],
): Promise<DataSet> {
  const test = ['test', 'val'].find((name) => foldersIn(folder).includes(name));
  if (!foldersIn(folder).includes('train') || test === undefined) {
    throw new InvalidInputError(
      `${folder}: an image folder has the folders 'train' and 'test' (or 'val'), each with a folder a class`,
    );
  }
  const classNames = foldersIn(join(folder, 'train'));
  const strangers = foldersIn(join(folder, test)).filter((name) => !classNames.includes(name));
  if (classNames.length === 0 || strangers.length > 0) {
    throw new InvalidInputError(
      classNames.length === 0
        ? `${join(folder, 'train')}: there is no folder, one a class is needed`
        : `${join(folder, test)}: there is the class '${strangers[0]}', which 'train' does not have`,
    );
  }
  const [height, width, channels] = size;
  return {
    spec,
    height,
    width,
    channels,
    classNames,
    train: await decode(filesIn(join(folder, 'train'), classNames), size),
    test: await decode(filesIn(join(folder, test), classNames), size),
  };
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    throw new InvalidInputError(`${folder}: the folder cannot be read`, { cause: error });
  }
}

function filesIn(folder: string, classNames: readonly string[]): ImageFile[] {
  const present = foldersIn(folder);
  const files = classNames.flatMap((name, label) =>
    present.includes(name)
      ? readdirSync(join(folder, name))
          .filter((file) => imageName.test(file))
          .sort()
          .map((file) => ({ path: join(folder, name, file), label }))
      : [],
  );
  if (files.length === 0) throw new InvalidInputError(`${folder}: there are no images in its class folders`);
  return files;
}

async function decode(
  files: readonly ImageFile[],
  [height, width, channels]: readonly [number, number, number],
): Promise<LabelledImages> {
  const { default: sharp } = await import('sharp');
  const size = height * width * channels;
  const pixels = new Uint8Array(files.length * size);
  const decodeOne = async ({ path }: ImageFile, index: number): Promise<void> => {
    try {
      const image = sharp(path, { limitInputPixels: 1e8 }).flatten().resize(width, height, { fit: 'fill' });
      const coloured = channels === 1 ? image.toColourspace('b-w') : image.toColourspace('srgb');
      const { data, info } = await coloured.raw().toBuffer({ resolveWithObject: true });
      if (info.channels !== channels) throw new Error(`it has ${info.channels} channels, ${channels} are needed`);
      pixels.set(data, index * size);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
      throw new InvalidInputError(`${path}: the image cannot be read: ${reason}`, { cause: error });
    }
  };
  for (let start = 0; start < files.length; start += batchSize) {
    await Promise.all(files.slice(start, start + batchSize).map((file, at) => decodeOne(file, start + at)));
  }
  return { count: files.length, pixels, labels: Uint16Array.from(files, ({ label }) => label) };
}
