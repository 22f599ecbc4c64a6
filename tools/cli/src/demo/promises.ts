import { importModel, type CompileResult } from '@dgconv/compiler';
import { hardGates, type Graph } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import type { LayerRecord } from '@dgconv/report';
import type { GateRecord, TrainResult } from '@dgconv/trainer';
import { readBytes } from '../files/read.js';
import { formatCount, formatError } from '../terminal/table.js';
import type { Verification } from '../verify-artifacts.js';

/** Something that the demo promises, and whether it came true. */
export interface Promised {
  readonly what: string;
  readonly found: string;
  readonly holds: boolean;
}

export interface DemoOutcome {
  readonly training: TrainResult;
  readonly gates: readonly GateRecord[];
  readonly layers: readonly LayerRecord[];
  readonly compiled: CompileResult;
  readonly files: Readonly<Record<'onnx' | 'edge', string>>;
  readonly verifications: readonly Verification[];
}

/** Gates that are hard in another way at the end than at the start. */
const movedGates = (records: readonly GateRecord[]): number => {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) return 0;
  return Object.entries(last.gates).reduce((sum, [layer, gates]) => {
    const before = hardGates(first.gates[layer] ?? []);
    return sum + hardGates(gates).filter((gate, at) => gate !== before[at]).length;
  }, 0);
};

/** Nodes that move channels, or whose connections are still decided by weights. */
const leftovers = ({ nodes }: Graph): string[] =>
  nodes.flatMap((node) => {
    const isMove = node.op === 'take' || node.op === 'transpose';
    const isOpen = node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned';
    return isMove || isOpen ? [node.id] : [];
  });

/** What the demo's README paragraph says, checked on what it left behind. */
export const checkPromises = ({ training, gates, layers, compiled, files, verifications }: DemoOutcome): Promised[] => {
  const between = layers.filter(({ grouping, channelsIn }) => grouping.groups > 1 && grouping.groups < channelsIn);
  const widths = new Set(between.map(({ grouping, channelsIn }) => channelsIn / grouping.groups));
  const moved = movedGates(gates);
  const left = [
    ...leftovers(importModel(files.onnx).model.graph),
    ...leftovers(decodeEdge(readBytes(files.edge)).graph),
    ...leftovers(compiled.targets.tflite!.graph),
  ];
  const checked = verifications.filter(({ skipped }) => skipped === undefined);
  const worst = Math.max(...checked.map(({ maxRelError }) => maxRelError ?? 0));
  const shareOfMacs = compiled.macsAfter / compiled.macsBefore;
  return [
    {
      what: 'test accuracy at least 98.5 %',
      found: `${(100 * training.testAccuracy).toFixed(2)} %`,
      holds: training.testAccuracy >= 0.985,
    },
    { what: 'gates moved', found: `${moved} changed`, holds: moved > 0 },
    {
      what: 'at least 3 layers with groups between 1 and C',
      found: between.map(({ grouping, channelsIn }) => `${grouping.groups} of ${channelsIn}`).join(', '),
      holds: between.length >= 3,
    },
    {
      what: 'at least two sizes of groups among them',
      found: `${[...widths].sort((a, b) => a - b).join(', ')} channels a group`,
      holds: widths.size >= 2,
    },
    {
      what: 'ζ within the budget',
      found: `${formatCount(training.zeta)} of ${formatCount(training.budget ?? 0)}`,
      holds: training.budgetMet === true,
    },
    {
      what: 'fewer than 70 % of the MACs are left',
      found: `${(100 * shareOfMacs).toFixed(1)} %`,
      holds: shareOfMacs < 0.7,
    },
    {
      what: 'no gate and no permutation in the files',
      found: left.length === 0 ? 'none' : left.join(', '),
      holds: left.length === 0,
    },
    {
      what: 'every file equals the reference in every engine',
      found: `${checked.length} comparisons, at most ${formatError(worst)} relative`,
      holds: checked.length > 0 && checked.every(({ ok }) => ok),
    },
  ];
};
