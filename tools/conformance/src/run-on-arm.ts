import { InvalidInputError } from '@dgconv/core';
import { dgconvRunArm64 } from '@dgconv/runtimes';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundleResult } from './bundle-result.js';
import { writeBundle } from './bundle.js';
import type { ConformanceCase, OnProgress } from './conformance-case.js';
import type { Outcome } from './outcome.js';

/**
 * Runs cases on the arm64 build of dgconv-run as a board would: through a bundle, all in one process.
 * @throws {InvalidInputError} if dgconv-run gives no result.
 */
export async function runOnArm(cases: readonly ConformanceCase[], onProgress?: OnProgress): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-bundle-'));
  try {
    const { written, left } = await writeBundle(folder, cases, onProgress);
    const outcomes = new Map<ConformanceCase, Outcome>();
    for (const conformanceCase of written.values()) {
      outcomes.set(conformanceCase, { name: conformanceCase.name, status: 'passed' });
    }
    if (written.size > 0) {
      const { code, stdout, stderr } = await dgconvRunArm64(['conformance', folder, '--json']);
      if (code > 1) throw new InvalidInputError(stderr.trim());
      const result = readBundleResult(stdout, 'the output of dgconv-run');
      if (result.passed + result.failed !== written.size) {
        throw new InvalidInputError(`dgconv-run ran ${result.passed + result.failed} of ${written.size} cases`);
      }
      for (const { name, stage, reason } of result.failures) {
        const failed = written.get(name);
        if (failed === undefined) throw new InvalidInputError(`dgconv-run speaks of '${name}', which is no case`);
        outcomes.set(failed, { name: failed.name, status: 'failed', stage, reason });
      }
    }
    const leftOut = new Map(left.map((outcome) => [outcome.name, outcome]));
    return cases.map((conformanceCase) => outcomes.get(conformanceCase) ?? leftOut.get(conformanceCase.name)!);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
