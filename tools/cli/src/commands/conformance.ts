import { conformanceSuites, runConformance, tapOf, type ConformanceResult } from '@dgconv/conformance';
import { CheckFailedError } from '@dgconv/core';
import { runtimeNames, type RuntimeName } from '@dgconv/runtimes';
import { Option, type Command } from 'commander';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { presentRuntime } from '../runtimes.js';
import { createConsole, paint } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';

interface ConformanceOptions extends CommonOptions {
  readonly suite: (typeof conformanceSuites)[number];
  readonly runtime: RuntimeName;
  readonly data?: string;
  readonly tap?: string;
  readonly force?: boolean;
}

const conformance = async (options: ConformanceOptions): Promise<void> => {
  const console = createConsole(options);
  if (options.tap !== undefined) refuseOverwrite([options.tap], options.force ?? false);
  const runtime = await presentRuntime(options.runtime);
  let progress: ReturnType<typeof console.progress> | undefined;
  const { result, outcomes } = await runConformance({
    suite: options.suite,
    runtime,
    ...(options.data === undefined ? {} : { data: options.data }),
    onProgress: (done, total, name) => {
      progress ??= console.progress('conformance', total);
      progress.update(done, name);
    },
  });
  progress?.stop();
  if (options.tap !== undefined) writeFiles({ [options.tap]: tapOf(outcomes) });
  show(result, console.say);
  console.result(result);
  if (result.failed > 0) throw new CheckFailedError(`${result.failed} of the cases failed on ${result.runtime}`);
};

/** Failures one by one, skips by reason. */
const show = ({ passed, failed, skipped, failures, skips }: ConformanceResult, say: (text: string) => void): void => {
  if (failures.length > 0)
    say(formatTable(['failed', 'stage', 'reason'], failures.map(({ name, stage, reason }) => [name, stage, reason]))); // prettier-ignore
  const reasons = new Map<string, number>();
  for (const { reason } of skips) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  if (reasons.size > 0)
    say(formatTable(['skipped because', 'cases'], [...reasons])); // prettier-ignore
  const colour = failed === 0 ? 'green' : 'red';
  say(paint(colour, `${passed} passed, ${failed} failed, ${skipped} skipped`));
};

/** `dgconv conformance`: the official ONNX vectors and our own golden models on a runtime. */
export const addConformanceCommand = (program: Command): void => {
  const command = program
    .command('conformance')
    .description('operator vectors of ONNX and golden models of our own on a runtime')
    .addOption(new Option('--suite <name>', 'which cases').choices(conformanceSuites).default('all'))
    .addOption(new Option('--runtime <name>', 'what runs them').choices(runtimeNames).default('edge'))
    .option('--data <folder>', "ONNX's vectors (default: where Debian's libonnx-testdata puts them)")
    .option('--tap <file>', 'the outcomes in the Test Anything Protocol')
    .option('--force', 'overwrite');
  withCommonOptions(command).action(conformance);
  withExamples(command, [
    'dgconv conformance --suite edge --runtime edge-wasm',
    'dgconv conformance --suite onnx --json',
  ]);
};
