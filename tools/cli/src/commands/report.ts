import type { ModelSummary } from '@dgconv/report';
import type { Command } from 'commander';
import { compile } from '@dgconv/compiler';
import { statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { refuseOverwrite, writeFiles } from '../files/write.js';
import { withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { readRunReport } from '../run-report-data.js';
import { openSource } from '../sources.js';
import { createConsole } from '../terminal/console.js';

interface ReportOptions extends CommonOptions {
  readonly output?: string;
  readonly force?: boolean;
}

/** A file or run as one side of a comparison. */
const summarise = (input: string): ModelSummary => {
  const { grouped, layers, macsAfter, paramsAfter } = compile(openSource(input, {}), { formats: [] });
  const groupings = new Map(
    grouped.graph.nodes.flatMap((node) => {
      const { kind } = node.op === 'conv2d' ? node.attrs.connectivity : { kind: undefined };
      return node.op === 'conv2d' && kind !== 'masked' && kind !== 'learned'
        ? [[node.id, node.attrs.connectivity as ModelSummary['layers'][number]['grouping']] as const]
        : [];
    }),
  );
  return {
    name: basename(resolve(input)),
    macs: macsAfter,
    params: paramsAfter,
    layers: layers.flatMap(({ name, channelsIn, channelsOut, macsAfter: macs }) => {
      const grouping = groupings.get(name);
      return grouping === undefined ? [] : [{ name, channelsIn, channelsOut, grouping, macsAfter: macs }];
    }),
  };
};

const report = async (a: string, b: string | undefined, options: ReportOptions): Promise<void> => {
  const console = createConsole(options);
  const output = options.output ?? (b === undefined ? join(a, 'report.html') : 'report.html');
  refuseOverwrite([output], options.force ?? false);
  // The charts take half a second to load, which no other command should wait for.
  const { renderComparison, renderRunReport } = await import('@dgconv/report');
  const html = b === undefined ? renderRunReport(readRunReport(a)) : renderComparison(summarise(a), summarise(b));
  writeFiles({ [output]: html });
  console.say(`${output} (${(statSync(output).size / 1024).toFixed(0)} kB)`);
  console.result({ path: output, bytes: statSync(output).size });
};

/** `dgconv report`: one page about a run, or two models side by side. */
export const addReportCommand = (program: Command): void => {
  const command = program
    .command('report <run> [other]')
    .description('one self-contained HTML page about a run, or two models side by side')
    .option('-o, --output <file>', 'the page (default: report.html in the run)')
    .option('--force', 'overwrite');
  withCommonOptions(command).action(report);
  withExamples(command, [
    'dgconv report runs/demo -o report.html --force',
    'dgconv report runs/demo build/demo/demo.edge -o comparison.html --force',
  ]);
};
