import type { BenchResult, BenchRow } from './rows.js';

const percent = (share: number | null): string => (share === null ? '–' : `${Math.round(share * 100)} %`);
const ms = (value: number): string => Number(value.toPrecision(3)).toString();

const columns: readonly { readonly title: string; readonly cell: (row: BenchRow, executed: boolean) => string }[] = [
  { title: 'network', cell: ({ name }) => name },
  { title: 'runtime', cell: ({ runtime, threads }) => (threads === 1 ? runtime : `${runtime}, ${threads} threads`) },
  { title: 'median ms', cell: ({ medianMs }) => ms(medianMs) },
  { title: 'min–max', cell: ({ minMs, maxMs }) => `${ms(minMs)}–${ms(maxMs)}` },
  { title: 'first', cell: ({ firstMs }) => ms(firstMs) },
  { title: 'load', cell: ({ loadMs }) => ms(loadMs) },
  {
    title: 'peak MB',
    cell: ({ peakMemoryBytes }) => (peakMemoryBytes === null ? '–' : (peakMemoryBytes / 1e6).toFixed(0)),
  },
  { title: 'GFLOP/s', cell: ({ gflops }) => (gflops === null ? '–' : gflops.toFixed(1)) },
  {
    title: 'of the peak',
    cell: ({ peakShare, executedPeakShare }, executed) => percent(executed ? executedPeakShare : peakShare),
  },
  { title: '× ORT', cell: ({ speedup }) => (speedup === null ? '–' : speedup.toFixed(2)) },
];

/** The result as a table for people; `executed` shows the share of the peak without multiply-adds on padding. */
export function tableOf({ cpu, peakGflops, wasmPeakGflops, versions, rows }: BenchResult, executed = false): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => cell(row, executed))),
  ];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => [...row[column]!].length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat(widths[column]! - [...cell].length);
        return column < 2 ? cell + gap : gap + cell;
      })
      .join('  ')
      .trimEnd();
  const peak = peakGflops === null ? '' : ` · FMA peak of one core ${peakGflops.toFixed(0)} GFLOP/s`;
  const wasmPeak =
    wasmPeakGflops === null
      ? ''
      : ` · WebAssembly's, of which its rows are shares: ${wasmPeakGflops.toFixed(1)} GFLOP/s`;
  return [
    ...cells.map(line),
    '',
    `${cpu}${peak}${wasmPeak}`,
    Object.entries(versions)
      .map(([name, version]) => `${name}: ${version}`)
      .join(' · '),
  ].join('\n');
}
