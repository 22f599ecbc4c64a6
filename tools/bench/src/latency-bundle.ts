import { decode, InvalidInputError, latencyCaseDecoder, type LatencyTable } from '@dgconv/core';
import { filesMatching, makeFolder, readTextFile } from '@dgconv/core/node';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LatencyPlan, latencyTable, layerFile, type MeasuredNetwork, planLatencies } from './latency-plan.js';

const planFile = 'plan.json';
const namesFile = 'files.txt';
const timesFile = 'times.jsonl';
const machineFile = 'machine.txt';

/** What a board without Node runs: a shell and dgconv-run are enough. */
const script = `#!/bin/sh
# Times every file of this folder with dgconv-run (beside this script, or $DGCONV_RUN) and writes ${timesFile}.
# THREADS (1) and REPEATS (50) may be set.
set -e
cd "$(dirname "$0")"
uname -srm >${machineFile}
: >${timesFile}.part
while read -r file; do
  \${DGCONV_RUN:-./dgconv-run} bench "$file" --repeats "\${REPEATS:-50}" --threads "\${THREADS:-1}" --json </dev/null >>${timesFile}.part
done <${namesFile}
mv ${timesFile}.part ${timesFile}
`;

const caseName = (at: number): string => `layer-${at}.edge`;
const networkName = (at: number): string => `network-${at}.edge`;

/** The files in a folder that a bundle written there replaces: those of an older bundle with its times, or somebody's of the same name. */
export const filesOfLatencyBundle = (folder: string): string[] =>
  filesMatching(
    folder,
    /^((layer|network)-\d+\.edge|plan\.json|files\.txt|measure\.sh|machine\.txt|times\.jsonl(\.part)?)$/,
  );

/**
 * Writes a folder with which a board measures a latency table: a file for each convolution in each number of groups, the networks,
 * and `measure.sh`. What {@link filesOfLatencyBundle} gives is replaced.
 * @returns how many files the board times.
 * @throws {InvalidInputError} if the folder cannot be written.
 */
export function writeLatencyBundle(folder: string, networks: readonly MeasuredNetwork[]): number {
  const plan = planLatencies(networks.map(({ graph }) => graph));
  try {
    makeFolder(folder);
    for (const file of filesOfLatencyBundle(folder)) rmSync(file);
    for (const [at, latencyCase] of plan.cases.entries()) writeFileSync(join(folder, caseName(at)), layerFile(latencyCase)); // prettier-ignore
    for (const [at, { bytes }] of networks.entries()) writeFileSync(join(folder, networkName(at)), bytes);
    writeFileSync(join(folder, planFile), JSON.stringify(plan));
    writeFileSync(join(folder, namesFile), namesOf(plan).map((name) => `${name}\n`).join('')); // prettier-ignore
    writeFileSync(join(folder, 'measure.sh'), script);
    chmodSync(join(folder, 'measure.sh'), 0o755);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new InvalidInputError(`the bundle ${folder} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return plan.cases.length + networks.length;
}

const namesOf = ({ cases, networks }: LatencyPlan): string[] => [
  ...cases.map((_, at) => caseName(at)),
  ...networks.map((_, at) => networkName(at)),
];

const planDecoder: decode.Decoder<LatencyPlan> = decode.object({
  cases: decode.array(latencyCaseDecoder),
  networks: decode.array(decode.object({ name: decode.string, cases: decode.array(decode.integer) })),
});

/**
 * The latency table of a folder of {@link writeLatencyBundle} in which a board has run `measure.sh`.
 * @throws {InvalidInputError} if it has not, or the folder is broken.
 */
export function readLatencyBundle(folder: string): LatencyTable {
  const path = join(folder, planFile);
  const plan = decode.decodeJson(readTextFile(path), planDecoder, path);
  if (plan.networks.some(({ cases }) => cases.some((at) => at < 0 || at >= plan.cases.length)))
    throw new InvalidInputError(`${path}: a network has a convolution that is none of the ${plan.cases.length} cases`);
  const times = readTimes(join(folder, timesFile));
  const timeOf = (name: string): number => {
    const row = times.get(name);
    if (row === undefined) throw new InvalidInputError(`${join(folder, timesFile)}: it lacks the time of ${name}`);
    return row.medianMs;
  };
  const threads = new Set([...times.values()].map((row) => row.threads));
  if (threads.size > 1)
    throw new InvalidInputError(`${join(folder, timesFile)}: it has times of ${[...threads].join(' and ')} threads`);
  const caseMs = plan.cases.map((_, at) => timeOf(caseName(at)));
  const networkMs = plan.networks.map((_, at) => timeOf(networkName(at)));
  const cpu = readTextFile(join(folder, machineFile)).trim();
  return latencyTable(plan, { caseMs, networkMs }, { cpu, threads: [...threads][0] ?? 1 });
}

interface Row {
  readonly threads: number;
  readonly medianMs: number;
}

/** What `dgconv-run bench --json` printed, a line a file, by the file's name. */
function readTimes(path: string): Map<string, Row> {
  const lines = readTextFile(path).split('\n');
  return new Map(
    lines.flatMap((line, index): [string, Row][] => {
      if (line.trim() === '') return [];
      const refuse = (): never => {
        throw new InvalidInputError(`${path}: line ${index + 1} is no result of dgconv-run bench`);
      };
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        return refuse();
      }
      const row = (value as { rows?: { name?: unknown; threads?: unknown; medianMs?: unknown }[] } | null)?.rows?.[0];
      const { name, threads, medianMs } = row ?? refuse();
      if (typeof name !== 'string' || typeof medianMs !== 'number' || !(medianMs >= 0) || !Number.isInteger(threads))
        return refuse();
      return [[name, { threads: threads as number, medianMs }]];
    }),
  );
}
