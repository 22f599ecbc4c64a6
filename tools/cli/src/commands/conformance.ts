import {
  casesOf,
  conformanceSuites,
  filesOfBundle,
  modelSuite,
  readBundleResult,
  runConformance,
  tapOf,
  writeBundle,
  type ConformanceCase,
  type ConformanceResult,
  type ConformanceSuite,
} from '@dgconv/conformance';
import { CheckFailedError, UsageError } from '@dgconv/core';
import { runtimeNames, type RuntimeName } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { basename } from 'node:path';
import { readBytes } from '../files/read.js';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { withCommonOptions, withExamples, withSourceOptions, type CommonOptions, type SourceOptions } from '../options.js'; // prettier-ignore
import { loadRuntime, presentRuntime } from '../runtimes.js';
import { openSource } from '../sources.js';
import { createConsole, paint, type Console } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';

interface ConformanceOptions extends CommonOptions, SourceOptions {
  readonly suite?: ConformanceSuite;
  readonly runtime?: RuntimeName;
  readonly data?: string;
  readonly fromModel?: string;
  readonly bundle?: string;
  readonly result?: string;
  readonly tap?: string;
  readonly force?: boolean;
}

/** Most lines of one table; `--json` has everything. */
const mostRows = 40;

/** Reasons without what is in quotes, so that alike ones count as one: most frequent first. */
const summariseReasons = (reasons: readonly string[]): [number, string][] => {
  const counts = new Map<string, number>();
  for (const reason of reasons) {
    const alike = reason.replaceAll(/'[^']*'/g, '…').replaceAll(/\b\d[\d.,]*\b/g, 'N');
    counts.set(alike, (counts.get(alike) ?? 0) + 1);
  }
  return [...counts].map(([reason, count]): [number, string] => [count, reason]).sort(([a], [b]) => b - a);
};

const sayResult = (
  console: Console,
  { runtime, suite, passed, failed, skipped, failures, skips }: ConformanceResult,
) => {
  if (skips.length > 0) {
    const rows = summariseReasons(skips.map(({ reason }) => reason));
    console.say(formatTable(['skipped', 'because'], rows.slice(0, mostRows)));
    if (rows.length > mostRows) console.say(`… and ${rows.length - mostRows} more reasons (--json lists all)`);
    console.say('');
  }
  if (failures.length > 0) {
    const rows = failures.slice(0, mostRows).map(({ name, stage, reason }) => [name, stage, reason]);
    console.say(formatTable(['failed', 'stage', 'reason'], rows));
    if (failures.length > mostRows) console.say(`… and ${failures.length - mostRows} more (--json lists all)`);
    console.say('');
  }
  const verdict = failed === 0 ? paint('green', '✓') : paint('red', '✗');
  console.say(`${verdict} ${suite} on ${runtime}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
};

/** @throws {CheckFailedError} if a case failed. */
const report = (console: Console, result: ConformanceResult): void => {
  sayResult(console, result);
  console.result(result);
  if (result.failed > 0)
    throw new CheckFailedError(`${result.failed} of ${result.passed + result.failed} cases failed`);
};

const conformance = async (options: ConformanceOptions): Promise<void> => {
  const { suite = 'all', data, fromModel, bundle, tap, force = false } = options;
  const console = createConsole(options);
  if (options.result !== undefined) {
    const text = new TextDecoder().decode(readBytes(options.result));
    return report(console, readBundleResult(text, options.result));
  }
  if (fromModel !== undefined && (options.suite !== undefined || data !== undefined))
    throw new UsageError('--from-model takes the place of --suite and --data: give one or the other');
  if (tap !== undefined) refuseOverwrite([tap], force);
  if (bundle !== undefined) refuseOverwrite(filesOfBundle(bundle), force);
  const runtime =
    bundle !== undefined
      ? undefined
      : options.runtime === undefined
        ? await loadRuntime(undefined, 'edge')
        : await presentRuntime(options.runtime);
  const cases: readonly ConformanceCase[] =
    fromModel === undefined ? casesOf(suite, data) : modelSuite(openSource(fromModel, options));
  const progress = console.progress('conformance', cases.length);
  const onProgress = (done: number, _total: number, name: string): void => progress.update(done, name);
  try {
    if (bundle !== undefined) {
      const { written, left } = await writeBundle(bundle, cases, onProgress);
      progress.stop();
      const failures = left.filter((outcome) => outcome.status === 'failed');
      console.say(`${bundle} holds ${written.size} cases; README.txt in it says how to run them on a board`);
      const rows = summariseReasons(left.map(({ reason }) => reason));
      if (rows.length > 0) console.say(formatTable(['left out', 'because'], rows.slice(0, mostRows)));
      console.result({ bundle, cases: written.size, left });
      if (failures.length > 0) throw new CheckFailedError(`${failures.length} cases could not be compiled: ${failures[0]!.name}: ${failures[0]!.reason}`); // prettier-ignore
      return;
    }
    const name = fromModel === undefined ? suite : basename(fromModel);
    const { result, outcomes } = await runConformance(name, cases, runtime!, onProgress);
    progress.stop();
    if (tap !== undefined) writeFiles({ [tap]: tapOf(outcomes) });
    report(console, result);
  } finally {
    progress.stop();
  }
};

/** `dgconv conformance`: does a runtime compute what ONNX, our interpreter and the user's own model say? */
export const addConformanceCommand = (program: Command): void => {
  const command = program
    .command('conformance')
    .description("run ONNX's operator vectors and our golden models on a runtime, or on a board")
    .addOption(new Option('--suite <name>', 'default: all').choices(conformanceSuites))
    .addOption(new Option('--runtime <name>', 'default: edge').choices(runtimeNames))
    .option('--data <dir>', "ONNX's test vectors (default: where Debian's libonnx-testdata puts them)")
    .option('--from-model <file>', "the model's own ops as cases, in the place of a suite")
    .addOption(
      new Option(
        '--bundle <dir>',
        'write a folder that dgconv-run runs on a board, instead of running anything',
      ).conflicts(['runtime', 'result', 'tap']),
    )
    .addOption(
      new Option('--result <file>', 'show what dgconv-run wrote on a board').conflicts([
        'suite',
        'runtime',
        'data',
        'fromModel',
        'tap',
      ]),
    )
    .option('--tap <file>', 'write the outcomes in the Test Anything Protocol, too')
    .option('--force', 'overwrite files');
  withSourceOptions(command);
  withCommonOptions(command).action(conformance);
  withExamples(command, [
    'dgconv conformance --suite onnx --runtime edge',
    'dgconv conformance --suite all --runtime edge-arm64 --json',
    'dgconv conformance --from-model build/demo/demo.edge',
    'dgconv conformance --bundle board && scp -r board packages/runtime-edge/build/arm64/dgconv-run pi:',
    'dgconv conformance --result result.json',
  ]);
};
