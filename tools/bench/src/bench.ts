import { compile, emitters, importOnnx, importTflite } from '@dgconv/compiler';
import {
  costOf,
  DgconvError,
  type Graph,
  inferShapes,
  initialWeights,
  InvalidInputError,
  mapSource,
  type Model,
} from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import type { Runtime, RuntimeSession } from '@dgconv/runtimes';
import { performance } from 'node:perf_hooks';
import type { BenchCase } from './cases.js';
import { executedShare } from './executed-macs.js';
import { inputsOf } from './inputs.js';
import { interleave, median, type Subject, type Timing } from './interleave.js';
import { peakMemoryOf } from './peak-memory.js';
import { type BenchResult, cpuName, type PeakKind, peakOf, type RowFacts, rowsOf } from './rows.js';

export interface BenchOptions {
  readonly runtimes: readonly Runtime[];
  readonly threads: number;
  readonly warmup: number;
  readonly rounds: number;
  /** Measures the FMA peak of one core, GFLOP/s; null where it cannot be measured. */
  readonly measurePeak?: () => number | null;
  /** The same for WebAssembly: multiply-adds in its registers. */
  readonly measureWasmPeak?: () => number | null;
  /** Measures peak memory too, each model once more in a process of its own, after all that is timed; default: no. */
  readonly memory?: boolean;
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

/** A model in the formats that its runtimes need. */
export interface BenchModel {
  readonly name: string;
  /** The bytes for a runtime, or null if there is no file in its format. */
  bytesFor(runtime: Runtime): Uint8Array | null;
  /** Multiply-adds of convolutions and dense layers; null where they are not known. */
  readonly macs: number | null;
  readonly executedMacs: number | null;
}

/** Multiply-adds of a graph without those that fall on zero padding. */
export function executedMacsOf(graph: Graph): number {
  const shapes = inferShapes(graph);
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  return costOf(graph).layers.reduce((sum, { name, macs }) => {
    const node = nodes.get(name);
    if (node?.op !== 'conv2d') return sum + macs;
    return sum + macs * executedShare(shapes.get(node.inputs[0]!)!, shapes.get(node.id)!, node.attrs);
  }, 0);
}

/** A case of a suite, written for every runtime from the same random weights, its groups as they are unless the case says otherwise. */
export function modelOfCase({ name, graph, isMergedForPeers = false }: BenchCase): BenchModel {
  const network = graph();
  const weights = mapSource(initialWeights(network, 1));
  return modelOfNetwork(name, { graph: network, weights }, { keepGroups: !isMergedForPeers });
}

/** A network, compiled for every runtime. */
export function modelOfNetwork(name: string, model: Model, { keepGroups = true } = {}): BenchModel {
  const files = new Map<string, Uint8Array>();
  return {
    name,
    macs: costOf(model.graph).macs,
    executedMacs: executedMacsOf(model.graph),
    bytesFor(runtime) {
      const format = runtime.formats[0]!;
      let bytes = files.get(format);
      if (bytes === undefined) {
        bytes = emitters[format](compile(model, { formats: [format], keepGroups }).targets[format]!);
        files.set(format, bytes);
      }
      return bytes;
    },
  };
}

/** The graph of the first file that we can read, or null: what a runtime can run need not be a network that we import. */
function graphOf({ edge, onnx, tflite }: Readonly<Record<string, Uint8Array>>): Graph | null {
  if (edge !== undefined) return decodeEdge(edge).graph;
  try {
    if (onnx !== undefined) return importOnnx(onnx).graph;
    return tflite === undefined ? null : importTflite(tflite).graph;
  } catch (error) {
    if (error instanceof DgconvError) return null;
    throw error;
  }
}

/**
 * Files of one network in one or more formats.
 * @throws {InvalidInputError} if the `.edge` file is broken.
 */
export function modelOfFiles(name: string, files: Readonly<Record<string, Uint8Array>>): BenchModel {
  const graph = graphOf(files);
  return {
    name,
    macs: graph === null ? null : costOf(graph).macs,
    executedMacs: graph === null ? null : executedMacsOf(graph),
    bytesFor: (runtime) => files[runtime.formats[0]!] ?? null,
  };
}

/** Measures a peak each time that it is run. */
class PeakSubject implements Subject {
  readonly gflops: number[] = [];
  constructor(
    readonly name: string,
    readonly measure: () => number | null,
  ) {}
  run(): void {
    const peak = this.measure();
    if (peak !== null) this.gflops.push(peak);
  }
}

/**
 * Times models in runtimes: those of one model in turn, round by round, with the peaks that shares are of measured in between.
 * @throws {InvalidInputError} if no runtime can execute a model.
 */
export async function bench(models: readonly BenchModel[], options: BenchOptions): Promise<BenchResult> {
  const {
    runtimes,
    threads,
    warmup,
    rounds,
    measurePeak = () => null,
    measureWasmPeak = () => null,
    memory = false,
    onProgress,
  } = options;
  const hasWasm = runtimes.some(({ name }) => peakOf[name] === 'wasm');
  const rows: BenchResult['rows'][number][] = [];
  const peaks: Record<PeakKind, number[]> = { native: [], wasm: [] };
  const total = models.length * (warmup + rounds);
  for (const [index, model] of models.entries()) {
    const { facts, sessions, subjects } = await load(model, runtimes, threads);
    const native = new PeakSubject('FMA peak', measurePeak);
    const wasm = new PeakSubject('WebAssembly peak', hasWasm ? measureWasmPeak : () => null);
    let timings: Timing[];
    try {
      timings = await interleave([...subjects, native, wasm], {
        warmup,
        rounds,
        settle: threads > 1,
        onRound: (done) => onProgress?.(index * (warmup + rounds) + done, total, model.name),
      });
    } finally {
      for (const session of sessions) await session.dispose();
    }
    peaks.native.push(...native.gflops);
    peaks.wasm.push(...wasm.gflops);
    const medians = { native: medianOrNull(native.gflops), wasm: medianOrNull(wasm.gflops) };
    const measured = facts.map(({ runtime, ...fact }): RowFacts => {
      const peakMemoryBytes = memory ? peakMemoryOf(runtime, model.bytesFor(runtime)!, threads) : null;
      return { ...fact, runtime: runtime.name, peakMemoryBytes };
    });
    rows.push(...rowsOf(measured, timings.slice(0, subjects.length), medians));
  }
  const versions = await Promise.all(
    runtimes.map(async (runtime) => [runtime.name, await runtime.describe()] as const),
  );
  return {
    cpu: cpuName(),
    peakGflops: medianOrNull(peaks.native),
    wasmPeakGflops: medianOrNull(peaks.wasm),
    versions: { node: process.version, ...Object.fromEntries(versions) },
    rows,
  };
}

const medianOrNull = (values: readonly number[]): number | null =>
  values.length === 0 ? null : median([...values].sort((a, b) => a - b));

/** An error of a user's file with what it is about before the message; others as they are. */
const naming = (what: string, error: unknown): unknown =>
  error instanceof InvalidInputError ? new InvalidInputError(`${what}: ${error.message}`, { cause: error }) : error;

async function load(model: BenchModel, runtimes: readonly Runtime[], threads: number) {
  const facts: (Omit<RowFacts, 'runtime' | 'peakMemoryBytes'> & { readonly runtime: Runtime })[] = [];
  const sessions: RuntimeSession[] = [];
  const subjects: Subject[] = [];
  for (const runtime of runtimes) {
    const bytes = model.bytesFor(runtime);
    if (bytes === null) continue;
    const start = performance.now();
    let session: RuntimeSession;
    try {
      session = await runtime.load(bytes, { threads });
    } catch (error) {
      for (const other of sessions) await other.dispose();
      throw naming(`'${model.name}' in ${runtime.name}`, error);
    }
    const loadMs = performance.now() - start;
    sessions.push(session);
    subjects.push({ name: runtime.name, run: session.bind(inputsOf(session)) });
    facts.push({
      name: model.name,
      runtime,
      threads: runtime.name === 'edge' || runtime.name === 'ort' ? threads : 1,
      loadMs,
      macs: model.macs,
      executedMacs: model.executedMacs,
    });
  }
  if (subjects.length === 0) {
    throw new InvalidInputError(
      `'${model.name}': none of the runtimes ${runtimes.map(({ name }) => name).join(', ')} executes this file's format`,
    );
  }
  return { facts, sessions, subjects };
}
