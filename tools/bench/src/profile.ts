import { EdgeSession, type StepTime } from '@dgconv/runtime-edge';
import { inputsOf } from './inputs.js';
import { median } from './interleave.js';

/** Median time of every step of a `.edge` model over several runs, in the order of execution. */
export async function profileModel(
  bytes: Uint8Array,
  { threads, rounds }: { readonly threads: number; readonly rounds: number },
): Promise<StepTime[]> {
  const session = await EdgeSession.load(bytes, { threads });
  try {
    const feeds = inputsOf(session);
    session.run(feeds);
    const runs = Array.from({ length: rounds }, () => session.profile(feeds));
    return runs[0]!.map((step, index) => ({
      ...step,
      ms: median(runs.map((run) => run[index]!.ms).sort((a, b) => a - b)),
    }));
  } finally {
    session.dispose();
  }
}

/**
 * Steps as a Chrome trace, to be opened in `chrome://tracing` or Perfetto: one process a model, one slice a step.
 * @see Trace Event Format, "Complete Events"; times in microseconds
 */
export function chromeTrace(models: readonly { readonly name: string; readonly steps: readonly StepTime[] }[]): string {
  const events = models.flatMap(({ name, steps }, pid) => {
    let ts = 0;
    const slices = steps.map(({ id, op, kernel, ms }) => {
      const slice = { name: id, cat: op, ph: 'X', pid, tid: 0, ts, dur: ms * 1000, args: { op, kernel } };
      ts += ms * 1000;
      return slice;
    });
    return [{ name: 'process_name', ph: 'M', pid, tid: 0, args: { name } }, ...slices];
  });
  return JSON.stringify({ traceEvents: events, displayTimeUnit: 'ms' });
}
