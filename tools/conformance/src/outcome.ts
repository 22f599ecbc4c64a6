/** Where a case failed. */
export type Stage = 'import' | 'compile' | 'load' | 'run' | 'mismatch';

/** What became of one case. */
export type Outcome =
  | { readonly name: string; readonly status: 'passed' }
  | { readonly name: string; readonly status: 'failed'; readonly stage: Stage; readonly reason: string }
  | { readonly name: string; readonly status: 'skipped'; readonly reason: string };

/** The result of a suite on one runtime: the JSON document of `dgconv conformance`. */
export interface ConformanceResult {
  /** Name of the runtime; of a board's result, what dgconv-run calls itself. */
  readonly runtime: string;
  readonly suite: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly { readonly name: string; readonly stage: Stage; readonly reason: string }[];
  readonly skips: readonly { readonly name: string; readonly reason: string }[];
}

/** Counts outcomes. */
export function summarise(runtime: string, suite: string, outcomes: readonly Outcome[]): ConformanceResult {
  const failures = outcomes.filter((outcome) => outcome.status === 'failed');
  const skips = outcomes.filter((outcome) => outcome.status === 'skipped');
  return {
    runtime,
    suite,
    passed: outcomes.length - failures.length - skips.length,
    failed: failures.length,
    skipped: skips.length,
    failures: failures.map(({ name, stage, reason }) => ({ name, stage, reason })),
    skips: skips.map(({ name, reason }) => ({ name, reason })),
  };
}

/** Outcomes in the Test Anything Protocol, version 13. */
export function tapOf(outcomes: readonly Outcome[]): string {
  const clean = (text: string) => text.replace(/[#\n\r]/g, ' ');
  const lines = outcomes.map((outcome, index) => {
    const title = `${index + 1} - ${clean(outcome.name)}`;
    switch (outcome.status) {
      case 'passed':
        return `ok ${title}`;
      case 'failed':
        return `not ok ${title}\n# ${clean(`${outcome.stage}: ${outcome.reason}`)}`;
      case 'skipped':
        return `ok ${title} # SKIP ${clean(outcome.reason)}`;
    }
  });
  return ['TAP version 13', `1..${outcomes.length}`, ...lines, ''].join('\n');
}
