import { compile, type CompileResult } from '@dgconv/compiler';
import { InvalidInputError, zooGraph, zooNames, type Grouping } from '@dgconv/core';
import { readTextFile } from '@dgconv/core/node';
import type { EquivalenceRecord, LatencyRecord, LayerRecord, RunReportData } from '@dgconv/report';
import type { EpochMetrics, GateRecord } from '@dgconv/trainer';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { openSource } from './sources.js';

/** The hand-made network that a learned one is compared with. */
const handMade: Readonly<Record<string, string>> = {
  g_resnext50: 'resnext50_32x4d',
  g_resnext101: 'resnext101_32x8d',
  g_resnet_mnist: 'resnext_mnist',
  g_resnet_cifar: 'resnext_cifar',
};

const runRecord = z.looseObject({
  model: z.string(),
  data: z.string(),
  command: z.string().optional(),
  backend: z.string().optional(),
  epochs: z.number(),
  seed: z.number(),
  versions: z.record(z.string(), z.string()).optional(),
  budget: z.object({ kind: z.string(), value: z.number() }).nullish(),
});

/** What was measured of a run's files, kept beside the run as `measurements.json`. */
export interface Measurements {
  readonly files: readonly { readonly format: string; readonly bytes: number }[];
  readonly latency: readonly LatencyRecord[];
  readonly equivalence: readonly EquivalenceRecord[];
}

const measurements = z.object({
  files: z.array(z.object({ format: z.string(), bytes: z.number() })),
  latency: z.array(z.looseObject({ name: z.string(), runtime: z.string(), medianMs: z.number(), minMs: z.number(), maxMs: z.number() })), // prettier-ignore
  equivalence: z.array(z.looseObject({ artifact: z.string(), runtime: z.string(), ok: z.boolean() })),
});

/** The objects of a `.jsonl` file that the trainer wrote. */
const readLines = <T>(file: string): T[] =>
  readTextFile(file)
    .split('\n')
    .flatMap((line, at) => {
      if (line === '') return [];
      try {
        return [JSON.parse(line) as T];
      } catch (error) {
        throw new InvalidInputError(`${file}: line ${at + 1} is no JSON`, { cause: error });
      }
    });

const readJson = <T>(file: string, schema: z.ZodType<T>): T => {
  let value: unknown;
  try {
    value = JSON.parse(readTextFile(file));
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw new InvalidInputError(`${file} is no JSON`, { cause: error });
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new InvalidInputError(`${file}: ${z.prettifyError(result.error).replaceAll('\n', ' ')}`);
  return result.data;
};

/** Groups of each convolution in the hand-made counterpart of a network. */
const fixedGroupsOf = (model: string): ReadonlyMap<string, number> => {
  const name = handMade[model];
  if (name === undefined || !zooNames.includes(name)) return new Map();
  return new Map(
    zooGraph(name).nodes.flatMap((node): [string, number][] =>
      node.op === 'conv2d' && 'groups' in node.attrs.connectivity ? [[node.id, node.attrs.connectivity.groups]] : [],
    ),
  );
};

/** The learned convolutions of a compiled network, as the report draws them. */
export const learnedLayers = ({ source, grouped, layers }: CompileResult, model: string): LayerRecord[] => {
  const fixed = fixedGroupsOf(model);
  const learned = new Set(
    source.graph.nodes.flatMap((node) =>
      node.op === 'conv2d' && (node.attrs.connectivity.kind === 'learned' || node.attrs.connectivity.kind === 'masked')
        ? [node.id]
        : [],
    ),
  );
  const groupings = new Map(
    grouped.graph.nodes.flatMap((node): [string, Grouping][] => {
      if (node.op !== 'conv2d') return [];
      const { connectivity } = node.attrs;
      return connectivity.kind === 'masked' || connectivity.kind === 'learned' ? [] : [[node.id, connectivity]];
    }),
  );
  return layers.flatMap(({ name, channelsIn, channelsOut, macsBefore, macsAfter }) => {
    const grouping = groupings.get(name);
    if (grouping === undefined || !learned.has(name)) return [];
    const fixedGroups = fixed.get(name);
    const groups = fixedGroups === undefined ? {} : { fixedGroups };
    return [{ name, channelsIn, channelsOut, grouping, ...groups, macsBefore, macsAfter }];
  });
};

/**
 * Everything that the report of a run shows, from the files of its directory.
 * @throws {InvalidInputError} if it is no run directory or a file is broken.
 */
export const readRunReport = (directory: string): RunReportData => {
  if (!existsSync(directory)) throw new InvalidInputError(`there is no run directory ${directory}`);
  const record = readJson(join(directory, 'run.json'), runRecord);
  const epochs = readLines<EpochMetrics>(join(directory, 'metrics.jsonl'));
  const last = epochs.at(-1);
  if (last === undefined) throw new InvalidInputError(`${directory} has no finished epoch: its metrics.jsonl is empty`);
  const result = compile(openSource(directory, {}), { formats: [] });
  const measured = join(directory, 'measurements.json');
  const empty: Measurements = { files: [], latency: [], equivalence: [] };
  const { files, latency, equivalence } = existsSync(measured)
    ? (readJson(measured, measurements) as Measurements)
    : empty;
  return {
    title: `${basename(resolve(directory))}: ${record.model} on ${record.data}`,
    command: record.command ?? `dgconv train --model ${record.model} --data ${record.data}`,
    environment: [
      `${cpus()[0]?.model ?? process.arch}, ${cpus().length} threads`,
      `Node ${process.versions.node}, training backend ${record.backend ?? 'unknown'}, seed ${record.seed}, ${record.epochs} epochs`,
    ],
    budget: record.budget ? { kind: record.budget.kind, cost: last.cost ?? last.zeta, limit: last.budget! } : null,
    zeta: last.zeta,
    ...(last.testAccuracy === undefined ? {} : { testAccuracy: last.testAccuracy }),
    epochs,
    gateHistory: readLines<GateRecord>(join(directory, 'gates.jsonl')),
    layers: learnedLayers(result, record.model),
    macs: { before: result.macsBefore, after: result.macsAfter },
    params: { before: result.paramsBefore, after: result.paramsAfter },
    files,
    latency,
    equivalence,
  };
};
