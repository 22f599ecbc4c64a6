import { InvalidInputError } from '@dgconv/core';
import { filesMatching, makeFolder } from '@dgconv/core/node';
import { encodeEdge } from '@dgconv/runtime-edge';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConformanceCase, type OnProgress, outcomeOf } from './conformance-case.js';
import type { Outcome } from './outcome.js';

/** The file of a bundle that lists its cases: on each line a file's name, a tab and a case's name. */
export const bundleIndex = 'cases.txt';

/** The files in a folder that a bundle written there would replace: those of an older bundle, its results, or somebody's of the same name. */
export const filesOfBundle = (folder: string): string[] =>
  filesMatching(folder, /^(\d+-\d+\.edge|cases\.txt|README\.txt|result\.(json|tap))$/);

const readme = `These are conformance cases for dgconv's engine, compiled, with inputs and expected outputs inside. Copy this folder and the
program dgconv-run to the machine, and there run

  ./dgconv-run conformance .

It writes result.json and result.tap into this folder. Bring one of them back and look at it with

  npx dgconv conformance --result result.json
`;

/** What became of cases that are not in a bundle. */
export type LeftOut = Exclude<Outcome, { status: 'passed' }>;

export interface Bundle {
  /** The case of each line of the index. */
  readonly written: ReadonlyMap<string, ConformanceCase>;
  /** Skipped, or failed before there was a file. */
  readonly left: readonly LeftOut[];
}

/**
 * Writes cases as a folder that `dgconv-run conformance` runs on a machine that has nothing else: `.edge` files with test vectors.
 * What {@link filesOfBundle} gives is replaced.
 * @throws {InvalidInputError} if the folder cannot be written.
 */
export async function writeBundle(
  folder: string,
  cases: readonly ConformanceCase[],
  onProgress?: OnProgress,
): Promise<Bundle> {
  const written = new Map<string, ConformanceCase>();
  const lines: string[] = [];
  const left: LeftOut[] = [];
  try {
    makeFolder(folder);
    for (const file of filesOfBundle(folder)) rmSync(file);
    for (const [index, conformanceCase] of cases.entries()) {
      const files: Uint8Array[] = [];
      const outcome = await outcomeOf(conformanceCase, (enter) => {
        for (const { target, feeds, expected, tolerance } of conformanceCase.prepare('edge', enter)) {
          enter('compile');
          const outputs = Object.fromEntries(Object.entries(expected).map(([name, { data }]) => [name, data]));
          const testVectors = [{ inputs: feeds, outputs }];
          files.push(encodeEdge(target, { testVectors, tolerance }));
        }
        return null;
      });
      if (outcome.status === 'passed') {
        for (const [set, bytes] of files.entries()) {
          const file = `${index}-${set}.edge`;
          const name = nameInBundle(conformanceCase.name, set);
          writeFileSync(join(folder, file), bytes);
          lines.push(`${file}\t${name}\n`);
          written.set(name, conformanceCase);
        }
      } else left.push(outcome);
      onProgress?.(index + 1, cases.length, conformanceCase.name);
    }
    writeFileSync(join(folder, bundleIndex), lines.join(''));
    writeFileSync(join(folder, 'README.txt'), readme);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new InvalidInputError(`the bundle ${folder} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { written, left };
}

/** A case's name as one field of a line, with a number for each data set after the first. */
function nameInBundle(name: string, set: number): string {
  const clean = name.replaceAll(/[\t\r\n]/g, ' ');
  return set === 0 ? clean : `${clean} (data set ${set})`;
}
