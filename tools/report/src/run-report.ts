import { gatesChart, groupsChart, latencyChart, learningChart, zetaChart } from './charts.js';
import { maskPair } from './mask-pair.js';
import { byteCount, milliseconds, relativeChange, siCount, smallNumber } from './numbers.js';
import { escapeHtml, page, section, table, tile } from './page.js';
import type { RunReportData } from './report-data.js';

/** The report of a run as one self-contained HTML page: no script, no file beside it, light and dark. */
export function renderRunReport(data: RunReportData): string {
  const parts = [
    `<h1>${escapeHtml(data.title)}</h1><p class="muted">How many groups each layer chose for itself, what that saves, and the proof that the compiled files compute the same.</p>`,
    `<div class="tiles">${headline(data).join('')}</div>`,
    section(
      'Groups over depth',
      'More groups are fewer connections. The dashed line is the network with the same number of groups everywhere.',
      groupsChart(data.layers),
    ),
    section(
      'Who is connected with whom',
      'One picture a layer: rows are output channels, columns input channels. Left as learned; right after the channels were put in the order of their groups, which is what the compiled convolution executes.',
      `<div class="masks">${data.layers.map(maskPair).join('')}</div>`,
    ),
  ];
  if (data.gateHistory.length > 1) {
    parts.push(
      `<div class="two grid">${section('Connections over training', connectionsLimit(data) === null ? 'ζ counts the connections of all learned layers.' : 'ζ has to end below the budget.', zetaChart(data.gateHistory, connectionsLimit(data)))}${section('Learning', 'The checkpoint is chosen on the validation split.', learningChart(data.epochs))}</div>`,
      section(
        'Gates over training',
        'A row for each gate, outermost first. Blue merges two halves, orange keeps them apart; stronger colour is a larger value.',
        gatesChart(data.gateHistory),
      ),
    );
  }
  parts.push(
    section('What it costs', 'Multiply-adds (MACs) of convolutions and dense layers, for one image.', costs(data)),
  );
  if (data.latency.length > 0) {
    parts.push(
      section(
        'How long it takes',
        'All rows were measured in one run, in turn, one thread, batch 1.',
        latencyChart(data.latency),
      ),
    );
  }
  if (data.equivalence.length > 0) {
    parts.push(
      section(
        'Is it the same network?',
        'Every file in every runtime against an interpreter of the trained network that computes in float64; errors relative to the largest output.',
        equivalence(data),
      ),
    );
  }
  parts.push(section('How this was made', data.environment.join(' · '), `<pre>${escapeHtml(data.command)}</pre>`));
  return page(data.title, parts.join('\n'));
}

/** The budget, if it is one of connections. */
function connectionsLimit({ budget }: RunReportData): number | null {
  return budget?.kind === 'b' || budget?.kind === 'zeta' ? budget.limit : null;
}

function headline(data: RunReportData): string[] {
  const { testAccuracy, zeta, budget, macs, params, latency } = data;
  const tiles: string[] = [];
  if (testAccuracy !== undefined) tiles.push(tile(`${(testAccuracy * 100).toFixed(2)} %`, 'accuracy on the test set'));
  const limit = connectionsLimit(data);
  tiles.push(tile(siCount(zeta), limit === null ? 'connections ζ' : `connections ζ, budget ${siCount(limit)}`));
  if (budget !== null && limit === null) {
    const [show, unit] = budget.kind === 'ms' ? [milliseconds, 'by the table'] : [siCount, budget.kind];
    tiles.push(tile(show(budget.cost), `${unit}, budget ${show(budget.limit)}`));
  }
  if (macs)
    tiles.push(tile(relativeChange(macs.before, macs.after), `MACs: ${siCount(macs.before)} → ${siCount(macs.after)}`));
  if (params) {
    tiles.push(
      tile(
        relativeChange(params.before, params.after),
        `parameters: ${siCount(params.before)} → ${siCount(params.after)}`,
      ),
    );
  }
  const ours = latency.find(({ runtime }) => runtime === 'edge');
  if (ours) tiles.push(tile(milliseconds(ours.medianMs), 'an image on our engine, one thread'));
  return tiles;
}

function costs({ layers, macs, params, files }: RunReportData): string {
  const row = (name: string, before: number, after: number, extra = ''): string[] => [
    name,
    extra,
    siCount(before),
    siCount(after),
    relativeChange(before, after),
  ];
  const rows = layers.map(({ name, grouping, macsBefore, macsAfter }) =>
    row(escapeHtml(name), macsBefore, macsAfter, String(grouping.groups)),
  );
  if (macs) rows.push(row('<b>all MACs</b>', macs.before, macs.after));
  if (params) rows.push(row('<b>all parameters</b>', params.before, params.after));
  const sizes = files.map(({ format, bytes }) => `.${escapeHtml(format)} ${byteCount(bytes)}`).join(' · ');
  return (
    table(['learned layer', 'groups', 'before', 'after', 'change'], rows) +
    (sizes === '' ? '' : `<p class="muted" style="margin:12px 0 0">Files: ${sizes}</p>`)
  );
}

function equivalence({ equivalence: rows }: RunReportData): string {
  return table(
    ['file', 'runtime', 'largest error', 'relative', 'allowed', 'result'],
    rows.map(({ artifact, runtime, maxAbsError, maxRelError, tolerance, ok, skipped }) => [
      escapeHtml(artifact),
      escapeHtml(runtime),
      maxAbsError === undefined ? '–' : smallNumber(maxAbsError),
      maxRelError === undefined ? '–' : smallNumber(maxRelError),
      tolerance === undefined ? '–' : smallNumber(tolerance),
      skipped !== undefined
        ? `<span class="muted">skipped: ${escapeHtml(skipped)}</span>`
        : ok
          ? '<span class="ok">equal</span>'
          : '<span class="no">differs</span>',
    ]),
  );
}
