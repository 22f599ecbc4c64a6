import { relativeChange, siCount } from './numbers.js';
import { escapeHtml, page, section, table, tile } from './page.js';
import { maskPair } from './mask-pair.js';
import type { LayerRecord } from './report-data.js';

/** A model as one side of a comparison; MACs for one image. */
export interface ModelSummary {
  readonly name: string;
  readonly macs: number;
  readonly params: number;
  readonly layers: readonly Omit<LayerRecord, 'macsBefore'>[];
}

/** Two models side by side, layer by layer, with their groups drawn: one self-contained HTML page. */
export function renderComparison(a: ModelSummary, b: ModelSummary): string {
  const names = [...new Set([...a.layers, ...b.layers].map(({ name }) => name))];
  const find = (model: ModelSummary, name: string) => model.layers.find((layer) => layer.name === name);
  const [nameA, nameB] = [escapeHtml(a.name), escapeHtml(b.name)];
  const rows = names.map((name) => {
    const [left, right] = [find(a, name), find(b, name)];
    return [
      `<span title="${escapeHtml(name)}">${escapeHtml(name)}</span>`,
      left ? String(left.grouping.groups) : '–',
      right ? String(right.grouping.groups) : '–',
      left ? siCount(left.macsAfter) : '–',
      right ? siCount(right.macsAfter) : '–',
      left && right ? relativeChange(left.macsAfter, right.macsAfter) : '–',
    ];
  });
  const grouped = (model: ModelSummary) =>
    model.layers
      .filter(({ grouping }) => grouping.kind !== 'dense')
      .map(maskPair)
      .join('');
  const title = `${a.name} beside ${b.name}`;
  return page(
    title,
    [
      `<h1>${nameA} <span class="muted">beside</span> ${nameB}</h1>`,
      `<div class="tiles">${tile(relativeChange(a.macs, b.macs), `MACs: ${siCount(a.macs)} → ${siCount(b.macs)}`)}${tile(relativeChange(a.params, b.params), `parameters: ${siCount(a.params)} → ${siCount(b.params)}`)}</div>`,
      section(
        'Layer by layer',
        'Multiply-adds (MACs) for one image; layers are matched by name.',
        table(['layer', `groups, ${nameA}`, `groups, ${nameB}`, `MACs, ${nameA}`, `MACs, ${nameB}`, 'change'], rows),
      ),
      ...[a, b].map((model) =>
        section(
          `Groups of ${model.name}`,
          'Rows are output channels, columns input channels; left as they are, right in the order of the groups.',
          `<div class="masks">${grouped(model) || '<p class="muted">Every convolution is dense.</p>'}</div>`,
        ),
      ),
    ].join('\n'),
  );
}
