import { convolutionKey, type LatencyTable } from '@dgconv/core';
import { EdgeSession } from '@dgconv/runtime-edge';
import { inputsOf } from './inputs.js';
import { interleave, median } from './interleave.js';
import { type LatencyCase, latencyTable, layerFile, type MeasuredNetwork, planLatencies } from './latency-plan.js';
import { cpuName } from './rows.js';

/** Runs of a turn: those that fetch back what others have pushed out of the caches, and those that are timed. */
const turn = { untimed: 2, timed: 5 } as const;

/** Median milliseconds of the kernels of `.edge` files, without what a call costs; they run in turn. */
async function kernelTimes(
  files: readonly Uint8Array[],
  options: { readonly threads: number; readonly rounds: number },
) {
  const sessions = await Promise.all(files.map((bytes) => EdgeSession.load(bytes, { threads: options.threads })));
  try {
    const subjects = sessions.map((session) => ({ session, feeds: inputsOf(session), samples: [] as number[] }));
    for (let round = 0; round < options.rounds; round++) {
      for (const { session, feeds, samples } of round % 2 === 0 ? subjects : subjects.toReversed()) {
        for (let run = 0; run < turn.untimed; run++) session.run(feeds);
        for (let run = 0; run < turn.timed; run++) {
          samples.push(session.profile(feeds).reduce((sum, { ms }) => sum + ms, 0));
        }
      }
    }
    return subjects.map(({ samples }) => median(samples.sort((a, b) => a - b)));
  } finally {
    for (const session of sessions) session.dispose();
  }
}

/** Median milliseconds of a run of a `.edge` file. */
async function runTime(bytes: Uint8Array, { threads, rounds }: { readonly threads: number; readonly rounds: number }) {
  const session = await EdgeSession.load(bytes, { threads });
  try {
    const feeds = inputsOf(session);
    const subject = { name: 'network', run: () => void session.run(feeds) };
    const [timing] = await interleave([subject], { warmup: 2, rounds });
    return median(timing!.sortedMs);
  } finally {
    session.dispose();
  }
}

/** Measures networks whole, and every convolution of theirs with every number of groups that its channels allow, in turn. */
export async function measureLatencies(
  networks: readonly MeasuredNetwork[],
  options: {
    readonly threads: number;
    readonly rounds: number;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<LatencyTable> {
  const plan = planLatencies(networks.map(({ graph }) => graph));
  const total = plan.cases.length + networks.length;
  const caseMs: number[] = [];
  for (const cases of ofEqualShape(plan.cases)) {
    caseMs.push(...(await kernelTimes(cases.map(layerFile), options)));
    options.onProgress?.(caseMs.length, total);
  }
  const networkMs: number[] = [];
  for (const { bytes } of networks) {
    networkMs.push(await runTime(bytes, options));
    options.onProgress?.(caseMs.length + networkMs.length, total);
  }
  return latencyTable(plan, { caseMs, networkMs }, { cpu: cpuName(), threads: options.threads });
}

/** Neighbours of one shape together: they take turns. */
function ofEqualShape(cases: readonly LatencyCase[]): LatencyCase[][] {
  const byShape = new Map<string, LatencyCase[]>();
  for (const latencyCase of cases) {
    const key = convolutionKey(latencyCase);
    byShape.set(key, [...(byShape.get(key) ?? []), latencyCase]);
  }
  return [...byShape.values()];
}
