import { groupingFromGates, kroneckerMask } from '@dgconv/core';
import test from 'ava';
import { renderComparison } from './comparison.js';
import { maskPicture } from './mask-picture.js';
import { byteCount, relativeChange, siCount } from './numbers.js';
import type { RunReportData } from './report-data.js';
import { renderRunReport } from './run-report.js';

const layer = {
  name: 'layer1.0.conv2',
  channelsIn: 8,
  channelsOut: 8,
  grouping: groupingFromGates([1, -1, 1], 8, 8),
  fixedGroups: 4,
  macsBefore: 1000,
  macsAfter: 500,
};
const data: RunReportData = {
  title: 'a <run>',
  command: 'dgconv train --model x && echo "done"',
  environment: ['one CPU'],
  budget: { kind: 'b', cost: 32, limit: 40 },
  zeta: 32,
  testAccuracy: 0.9871,
  epochs: [{ epoch: 1, loss: 0.5, validationAccuracy: 0.97, zeta: 32 }],
  gateHistory: [
    { step: 0, zeta: 64, gates: { 'layer1.0.conv2': [0.1, 0.2, 0.3] } },
    { step: 10, zeta: 32, gates: { 'layer1.0.conv2': [0.1, -0.2, 0.3] } },
  ],
  layers: [layer],
  macs: { before: 4.1e6, after: 1.6e6 },
  files: [{ format: 'edge', bytes: 1234 }],
  latency: [{ name: 'compiled', runtime: 'edge', medianMs: 0.08, minMs: 0.07, maxMs: 0.1 }],
  equivalence: [
    { artifact: 'm.edge', runtime: 'edge', maxAbsError: 1e-6, maxRelError: 1e-7, tolerance: 1e-4, ok: true },
    { artifact: 'm.onnx', runtime: 'ort', ok: false, skipped: 'not installed' },
  ],
};

test('the report is self-contained: it loads no script, style, font or picture from anywhere', (t) => {
  const html = renderRunReport(data);
  t.false(/<script|<link|src=|url\((?!#)|@import/.test(html));
  t.false(/https?:\/\/(?!www\.w3\.org)/.test(html));
});

test('what users name is escaped', (t) => {
  const html = renderRunReport(data);
  t.false(html.includes('<run>'));
  t.true(html.includes('a &#60;run&#62;'));
  t.true(html.includes('&#38;&#38; echo &#34;done&#34;'));
});

test('no placeholder colour of the charts is left in the page', (t) => {
  t.false(/#0[1-7]0[1-7]0[1-7]/.test(renderRunReport(data)));
});

test('the headline numbers are those of the data', (t) => {
  const html = renderRunReport(data);
  for (const text of ['98.71 %', '−61 %', '4.1 M → 1.6 M', '0.08 ms', 'not installed'])
    t.true(html.includes(text), text);
});

test('a mask picture has exactly the ones of the mask', (t) => {
  const mask = kroneckerMask([1, -1, 1], 8, 8);
  let ones = 0;
  for (const [, width] of maskPicture(mask, 'm').matchAll(/h(\d+)v1/g)) ones += Number(width);
  t.is(ones, mask.nonZeros);
});

test('a comparison matches layers by name and shows what only one side has', (t) => {
  const side = (name: string, layers: (typeof layer)[]) => ({ name, macs: 10, params: 20, layers });
  const html = renderComparison(
    side('A', [layer]),
    side('B', [
      { ...layer, macsAfter: 250 },
      { ...layer, name: 'only-b' },
    ]),
  );
  t.true(html.includes('−50 %'));
  t.true(html.includes('only-b'));
});

test('numbers are written the way people read them', (t) => {
  t.is(siCount(4_228_000_000), '4.23 G');
  t.is(siCount(512), '512');
  t.is(byteCount(1234), '1.2 kB');
  t.is(relativeChange(4, 5), '+25 %');
  t.is(relativeChange(0, 5), '–');
});

test('a budget is shown in its unit, and limits connections only where it counts them', (t) => {
  const shown = (budget: RunReportData['budget']) => renderRunReport({ ...data, budget });
  const connections = shown({ kind: 'zeta', cost: 32, limit: 40 });
  t.true(connections.includes('connections ζ, budget 40') && connections.includes('budget o'));
  const time = shown({ kind: 'ms', cost: 0.038, limit: 0.04 });
  t.true(time.includes('0.038 ms') && time.includes('by the table, budget 0.04 ms'));
  const macs = shown({ kind: 'macs', cost: 2.5e6, limit: 3e6 });
  t.true(macs.includes('2.5 M') && macs.includes('macs, budget 3 M'));
  for (const html of [time, macs, shown(null)]) t.false(html.includes('budget o'));
});
