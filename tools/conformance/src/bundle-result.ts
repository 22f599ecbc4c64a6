import { InvalidInputError } from '@dgconv/core';
import { type ConformanceResult, type Outcome, type Stage, summarise } from './outcome.js';

/**
 * What a board sent back: `result.json` or `result.tap` of `dgconv-run conformance`.
 * @param file - how messages call it.
 * @throws {InvalidInputError} if it is neither.
 */
export function readBundleResult(text: string, file: string): ConformanceResult {
  if (text.startsWith('TAP version')) return readTap(text, file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InvalidInputError(`${file} is neither JSON nor TAP of dgconv-run: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const refuse = (rule: string): never => {
    throw new InvalidInputError(`${file} is no result of dgconv-run: ${rule}`);
  };
  const record = (value: unknown): Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : refuse('there is a value where an object belongs');
  const textIn = (from: Record<string, unknown>, key: string): string =>
    typeof from[key] === 'string' ? printable(from[key]) : refuse(`'${key}' is no text`);
  const count = (from: Record<string, unknown>, key: string): number =>
    Number.isSafeInteger(from[key]) && (from[key] as number) >= 0
      ? (from[key] as number)
      : refuse(`'${key}' is no count`);
  const list = (from: Record<string, unknown>, key: string): Record<string, unknown>[] =>
    Array.isArray(from[key]) ? from[key].map(record) : refuse(`'${key}' is no list`);

  const root = record(json);
  const result: ConformanceResult = {
    runtime: textIn(root, 'runtime'),
    suite: textIn(root, 'suite'),
    passed: count(root, 'passed'),
    failed: count(root, 'failed'),
    skipped: count(root, 'skipped'),
    failures: list(root, 'failures').map((failure) => {
      const reason = textIn(failure, 'reason');
      return { name: textIn(failure, 'name'), stage: stageOf(reason), reason };
    }),
    skips: list(root, 'skips').map((skip) => ({ name: textIn(skip, 'name'), reason: textIn(skip, 'reason') })),
  };
  if (result.failures.length !== result.failed) refuse(`it counts ${result.failed} failures and lists ${result.failures.length}`); // prettier-ignore
  const { cases } = root;
  const total = result.passed + result.failed + result.skipped;
  if (cases !== undefined && (!Array.isArray(cases) || cases.length !== total)) refuse(`'cases' does not list the ${total} cases that it counts`); // prettier-ignore
  const stray = Array.isArray(cases) ? [...result.failures, ...result.skips].find(({ name }) => !cases.includes(name)) : undefined; // prettier-ignore
  if (stray !== undefined) refuse(`'${stray.name}' is none of its cases`);
  if (result.skips.length !== result.skipped) refuse(`it counts ${result.skipped} skips and lists ${result.skips.length}`); // prettier-ignore
  return result;
}

/** What failed, by the words of dgconv-run (a value of a test vector) and of `tapOf`. */
const stageOf = (reason: string): Stage => (/^(test vector \d+: value|mismatch:) /.test(reason) ? 'mismatch' : 'run');

/** A text from elsewhere without what would steer a terminal. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ');

/** TAP 13 as `tapOf` and dgconv-run write it: the reason of a failure is the comment behind it. */
function readTap(text: string, file: string): ConformanceResult {
  const lines = text.split(/\r?\n/).map(printable);
  const stop = lines.find((line) => line.startsWith('Bail out!'));
  if (stop !== undefined) throw new InvalidInputError(`${file} ends early: ${stop}`);
  const numbers: number[] = [];
  const outcomes = lines.flatMap((line, index): Outcome[] => {
    const point = /^(not )?ok (\d+) - (.*?)(?: # SKIP (.*))?$/.exec(line);
    if (!point) return [];
    numbers.push(Number(point[2]));
    const name = point[3]!;
    if (point[4] !== undefined) return [{ name, status: 'skipped', reason: point[4] }];
    if (point[1] === undefined) return [{ name, status: 'passed' }];
    const reason = /^# (.*)$/.exec(lines[index + 1] ?? '')?.[1] ?? 'no reason is given';
    return [{ name, status: 'failed', stage: stageOf(reason), reason }];
  });
  const plan = lines.map((line) => /^1\.\.(\d+)$/.exec(line)?.[1]).find((found) => found !== undefined);
  if (Number(plan) !== outcomes.length)
    throw new InvalidInputError(`${file}: the plan says ${plan ?? 'nothing'}, there are ${outcomes.length} results`);
  const misplaced = numbers.findIndex((number, index) => number !== index + 1);
  if (misplaced >= 0)
    throw new InvalidInputError(`${file}: result ${misplaced + 1} carries the number ${numbers[misplaced]}`);
  return summarise('dgconv-run', 'bundle', outcomes);
}
