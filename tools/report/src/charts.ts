import * as echarts from 'echarts';
import type { GateSnapshot, LatencyRecord, RunReportData } from './report-data.js';
import { milliseconds, siCount } from './numbers.js';

/** Colours that stand for a theme variable: ECharts computes with real colours, so they are exchanged in the finished SVG. */
const themed = {
  text: '#010101',
  muted: '#020202',
  line: '#030303',
  accent: '#040404',
  soft: '#050505',
  second: '#060606',
  card: '#070707',
} as const;
const variables: Readonly<Record<string, string>> = {
  [themed.text]: 'var(--text)',
  [themed.muted]: 'var(--muted)',
  [themed.line]: 'var(--line)',
  [themed.accent]: 'var(--accent)',
  [themed.soft]: 'var(--accent-soft)',
  [themed.second]: 'var(--second)',
  [themed.card]: 'var(--card)',
};

/** An SVG of `option`, drawn without a browser, in the colours of the page's theme. */
function chart(option: echarts.EChartsCoreOption, height: number, width = 960): string {
  const instance = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    instance.setOption({
      animation: false,
      textStyle: { color: themed.text, fontFamily: 'system-ui, sans-serif' },
      legend: { textStyle: { color: themed.muted }, top: 0, left: 'center', itemGap: 36, icon: 'roundRect' },
      grid: { left: 34, right: 20, top: 44, bottom: 34, containLabel: true },
      ...option,
    });
    return instance
      .renderToSVGString()
      .replace(/#0[1-7]0[1-7]0[1-7]/g, (colour) => variables[colour] ?? colour)
      .replace(/<svg width="\d+" height="\d+"/, '<svg role="img"');
  } finally {
    instance.dispose();
  }
}

const axis = (name: string, extra: object = {}): object => ({
  name,
  nameLocation: 'middle',
  nameGap: 30,
  nameTextStyle: { color: themed.muted },
  axisLabel: { color: themed.muted },
  axisLine: { lineStyle: { color: themed.line } },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: themed.line } },
  ...extra,
});

/** Learned groups of each layer over depth, beside the fixed choice. */
export function groupsChart(layers: RunReportData['layers']): string {
  const fixed = layers.map(({ fixedGroups }) => fixedGroups ?? null);
  return chart(
    {
      xAxis: axis('layer, from input to output', { type: 'category', data: layers.map(({ name }) => name) }),
      yAxis: axis('groups', { type: 'log', logBase: 2, min: 1, nameGap: 40 }),
      series: [
        {
          name: 'learned',
          type: 'bar',
          barMaxWidth: 54,
          itemStyle: { color: themed.accent, borderRadius: [6, 6, 0, 0] },
          label: { show: true, position: 'top', color: themed.text },
          data: layers.map(({ grouping }) => grouping.groups),
        },
        ...(fixed.some((value) => value !== null)
          ? [
              {
                name: 'fixed by hand',
                type: 'line',
                step: 'middle',
                symbol: 'none',
                lineStyle: { color: themed.second, width: 2, type: 'dashed' },
                itemStyle: { color: themed.second },
                data: fixed,
              },
            ]
          : []),
      ],
    },
    300,
  );
}

/** ζ over training, against the budget if that is one of connections. */
export function zetaChart(history: readonly GateSnapshot[], budget: number | null): string {
  return chart(
    {
      xAxis: axis('step', { type: 'value', max: 'dataMax', splitLine: { show: false } }),
      yAxis: axis('connections ζ', {
        type: 'value',
        nameGap: 52,
        axisLabel: { color: themed.muted, formatter: (value: number) => siCount(value) },
      }),
      series: [
        {
          name: 'ζ',
          type: 'line',
          step: 'end',
          symbol: 'none',
          lineStyle: { color: themed.accent, width: 2 },
          itemStyle: { color: themed.accent },
          areaStyle: { color: themed.soft, opacity: 0.35 },
          data: history.map(({ step, zeta }) => [step, zeta]),
        },
        ...(budget === null
          ? []
          : [
              {
                name: 'budget o',
                type: 'line',
                symbol: 'none',
                lineStyle: { color: themed.second, width: 2, type: 'dashed' },
                itemStyle: { color: themed.second },
                data: [
                  [history[0]?.step ?? 0, budget],
                  [history.at(-1)?.step ?? 1, budget],
                ],
              },
            ]),
      ],
    },
    290,
    480,
  );
}

/** Loss and accuracy over epochs. */
export function learningChart(epochs: RunReportData['epochs']): string {
  const series = (name: string, values: readonly (number | undefined)[], colour: string, yAxisIndex: number) => ({
    name,
    type: 'line',
    yAxisIndex,
    symbolSize: 6,
    lineStyle: { color: colour, width: 2 },
    itemStyle: { color: colour },
    data: values.map((value) => value ?? null),
  });
  return chart(
    {
      grid: { left: 34, right: 34, top: 44, bottom: 34, containLabel: true },
      xAxis: axis('epoch', { type: 'category', data: epochs.map(({ epoch }) => epoch) }),
      yAxis: [
        axis('training loss', { type: 'value', nameGap: 40, min: 0 }),
        axis('accuracy, %', { type: 'value', nameGap: 44, scale: true, splitLine: { show: false } }),
      ],
      series: [
        series(
          'loss',
          epochs.map(({ loss }) => loss),
          themed.second,
          0,
        ),
        series(
          'validation accuracy',
          epochs.map(({ validationAccuracy: value }) =>
            value === undefined ? undefined : Number((value * 100).toFixed(3)),
          ),
          themed.accent,
          1,
        ),
      ],
    },
    290,
    480,
  );
}

/** Every gate over training: a row a gate, above zero merges, below splits. */
export function gatesChart(history: readonly GateSnapshot[]): string {
  const layers = Object.keys(history[0]?.gates ?? {});
  const rows = layers.flatMap((layer) => history[0]!.gates[layer]!.map((_, gate) => ({ layer, gate })));
  const columns = history.length;
  const height = rows.length * 13;
  const x = (column: number) => 150 + (column * 790) / columns;
  const largest = Math.max(1e-12, ...history.flatMap(({ gates }) => Object.values(gates).flat().map(Math.abs)));
  const cells = rows.flatMap(({ layer, gate }, row) =>
    history.map(({ gates }, column) => {
      const value = gates[layer]?.[gate] ?? 0;
      const strength = (0.25 + 0.75 * Math.sqrt(Math.abs(value) / largest)).toFixed(2);
      return `<rect x="${x(column).toFixed(1)}" y="${row * 13 + 1}" width="${(790 / columns + 0.3).toFixed(1)}" height="11" fill="var(--${value > 0 ? 'accent' : 'second'})" opacity="${strength}"/>`;
    }),
  );
  const labels = rows.map(
    ({ layer, gate }, row) =>
      `<text x="142" y="${row * 13 + 10}" text-anchor="end" font-size="9.5" fill="var(--muted)">${gate === 0 ? layer : ''} · ${gate}</text>`,
  );
  return `<svg role="img" viewBox="0 0 960 ${height + 22}"><g>${cells.join('')}</g>${labels.join('')}<text x="150" y="${height + 16}" font-size="11" fill="var(--muted)">step ${history[0]?.step ?? 0}</text><text x="940" y="${height + 16}" text-anchor="end" font-size="11" fill="var(--muted)">step ${history.at(-1)?.step ?? 0}</text></svg>`;
}

/** Median time of each model in each runtime, with the spread. */
export function latencyChart(rows: readonly LatencyRecord[]): string {
  const labels = rows.map(({ name, runtime }) => `${name} · ${runtime}`);
  // One slow run (a busy machine) must not flatten the bars: the axis follows the medians and cuts the spread off.
  const end = Number((1.6 * Math.max(...rows.map(({ medianMs }) => medianMs))).toPrecision(2));
  return chart(
    {
      grid: { left: 12, right: 90, top: 10, bottom: 34, containLabel: true },
      xAxis: axis('median of interleaved runs, ms (the line is the spread)', { type: 'value', min: 0, max: end }),
      yAxis: axis('', {
        type: 'category',
        inverse: true,
        data: labels,
        axisLabel: { color: themed.text },
        splitLine: { show: false },
      }),
      series: [
        {
          type: 'bar',
          barMaxWidth: 20,
          itemStyle: { borderRadius: [0, 5, 5, 0] },
          data: rows.map(({ medianMs, runtime }) => ({
            value: medianMs,
            itemStyle: { color: runtime.startsWith('edge') ? themed.accent : themed.soft },
          })),
        },
        {
          type: 'custom',
          renderItem: (_: unknown, api: { value(i: number): number; coord(p: number[]): number[] }) => {
            const from = api.coord([api.value(1), api.value(0)]);
            const to = api.coord([api.value(2), api.value(0)]);
            return {
              type: 'line',
              shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] },
              style: { stroke: themed.text, lineWidth: 1.5 },
            };
          },
          encode: { x: [1, 2], y: 0 },
          data: rows.map(({ minMs, maxMs }, index) => [index, minMs, Math.min(maxMs, end)]),
        },
        {
          type: 'scatter',
          symbolSize: 1,
          itemStyle: { color: 'none' },
          label: {
            show: true,
            position: 'right',
            distance: 8,
            color: themed.text,
            formatter: ({ dataIndex }: { dataIndex: number }) => milliseconds(rows[dataIndex]!.medianMs),
          },
          data: rows.map(({ maxMs }, index) => [Math.min(maxMs, end), index]),
        },
      ],
    },
    60 + rows.length * 34,
  );
}
