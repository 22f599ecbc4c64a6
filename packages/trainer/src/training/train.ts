import { createRequire } from 'node:module';
import {
  bind,
  type Graph,
  hardGrouping,
  inferShapes,
  initialWeights,
  InvalidInputError,
  learnGroups,
  type LearnGroupsOptions,
  mapSource,
  type Model,
  type Preprocessing,
  readLatencyTable,
  UsageError,
  type WeightSource,
} from '@dgconv/core';
import { readTextFile } from '@dgconv/core/node';
import { type BackendName, useBackend } from '../backends.js';
import { type DataSet, preprocessingOf } from '../data/data-set.js';
import { openDataSet } from '../data/open-data-set.js';
import { alone, broadcastJson, type Communicator, waitForAll } from '../distributed/communicator.js';
import { type Budget, type BudgetOption, budgetOf } from './budget.js';
import { chooseBackend } from './choose-backend.js';
import { fit, type FitResult, type Progress } from './fit.js';
import { defaultRecipe, type Recipe } from './recipe.js';
import { RunDirectory } from './run-directory.js';

/** What to train, on what, and where to leave it. */
export interface TrainOptions {
  /** A network of the zoo or an imported one; one input `[1, H, W, C]`, one output `[1, classes]`. */
  readonly graph: Graph;
  /** Its weights, to go on from; default: new ones. */
  readonly weights?: WeightSource | null;
  /** Convolutions to make learnable first; default: those that the graph has. */
  readonly learn?: Pick<LearnGroupsOptions, 'rule' | 'select' | 'groups' | 'condenseFactor'> | null;
  /** `mnist`, `fashion-mnist`, `idx:FOLDER` or a folder of images by class. */
  readonly data: string;
  readonly budget?: BudgetOption | null;
  /** For a budget in `ms`: the file of times that `dgconv bench --latency-table` wrote for the network. */
  readonly latencyTable?: string | null;
  readonly epochs: number;
  readonly batchSize: number;
  /** Only the first so many training images, and test images. */
  readonly limit?: number | null;
  readonly backend: BackendName | 'auto';
  /** The run directory. */
  readonly out: string;
  /** Go on from the checkpoint in `out`; everything else must be as it was. */
  readonly resume?: boolean;
  readonly seed: number;
  /** What differs from {@link defaultRecipe}. */
  readonly recipe?: Partial<Recipe>;
  /** How the user asked for it, for the run's record. */
  readonly command?: string;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | null;
  /** Processes that train together, each called with the same options; `batchSize` is shared among them. */
  readonly communicator?: Communicator;
}

/** What `dgconv train` says of a run. */
export interface TrainResult extends FitResult {
  readonly out: string;
  readonly epochs: number;
  readonly backend: BackendName;
}

/** What must be as it was when a run is resumed. */
interface RunRequest {
  readonly model: string;
  readonly learn: TrainOptions['learn'] | null;
  readonly data: string;
  readonly budget: BudgetOption | null;
  /** Of a budget in `ms`: what it took from the table, in milliseconds. */
  readonly latencies?: ReturnType<typeof latenciesOf>;
  readonly epochs: number;
  readonly batchSize: number;
  readonly limit: number | null;
  readonly seed: number;
  readonly recipe: Recipe;
}

/**
 * Trains a network and leaves a run directory: `run.json`, `model.safetensors`, `checkpoints/`, `metrics.jsonl`, `gates.jsonl` and
 * TensorBoard events. The same options give the same weights on the same machine.
 * @throws {UsageError} if an option is out of range.
 * @throws {InvalidInputError} if data, network and budget do not fit, training diverges or is stopped.
 * @throws {UnsupportedError} if the backend is not available here, or an op cannot be trained.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  for (const name of ['epochs', 'batchSize', 'limit'] as const) {
    const value = options[name];
    if (value !== null && value !== undefined && (!Number.isInteger(value) || value < 1)) {
      throw new UsageError(`${name} is ${value}: it must be a positive integer`);
    }
  }
  const { communicator = alone } = options;
  if (options.batchSize % communicator.size !== 0) {
    throw new UsageError(
      `batchSize is ${options.batchSize}, shared by ${communicator.size} processes: it must be a multiple of their number`,
    );
  }
  const { graph, weights } = prepare(options);
  const inputShape = imageShape(graph);
  const data = await openDataSet(options.data, inputShape);
  const model = bind({ ...graph, metadata: metadataFor(graph, data) }, weights);
  checkClasses(model.graph, data);
  // A broken gate is found before anything is written.
  for (const node of model.graph.nodes) if (node.op === 'conv2d') hardGrouping(node, model.weights);
  const { latencyTable: file = null } = options;
  const latencies = file === null ? null : { table: readLatencyTable(readTextFile(file), file), name: file };
  const budget = options.budget ? budgetOf(model.graph, options.budget, latencies) : null;
  const recipe = { ...defaultRecipe(options.batchSize), ...options.recipe };
  const backend = await commonBackend(options.backend, model, options.batchSize / communicator.size, communicator);
  await useBackend(backend);
  // A process that cannot take part ends all before anything is written.
  waitForAll(communicator);
  const directory = new RunDirectory(options.out, communicator.rank === 0);
  const preprocessing = model.graph.metadata.preprocessing!;
  const request: RunRequest = {
    model: graph.metadata.name,
    learn: options.learn ?? null,
    data: options.data,
    budget: options.budget ?? null,
    ...(budget?.option.kind === 'ms' && { latencies: latenciesOf(budget) }),
    epochs: options.epochs,
    batchSize: options.batchSize,
    limit: options.limit ?? null,
    seed: options.seed,
    recipe,
  };
  const resume = options.resume ?? false;
  if (!resume) directory.writeJson('run.json', runRecord(request, options, model, preprocessing, backend));
  else if (directory.isWriter) checkSameRequest(directory, request);
  const result = await fit({
    ...request,
    model,
    data,
    preprocessing,
    budget,
    directory,
    resume,
    onProgress: options.onProgress ?? (() => {}),
    signal: options.signal ?? null,
    communicator,
  });
  return { out: options.out, epochs: options.epochs, backend, ...result };
}

/** The engine that was asked for, or the one that is fastest for process 0. */
async function commonBackend(
  asked: TrainOptions['backend'],
  model: Model,
  batchSize: number,
  communicator: Communicator,
): Promise<BackendName> {
  if (asked !== 'auto') return asked;
  return broadcastJson(communicator, communicator.rank === 0 ? await chooseBackend(model, batchSize) : 'cpu');
}

/** The time of what training does not change, and of each layer by its number of groups. */
function latenciesOf({ fixedCost, layers }: Budget) {
  return {
    fixed: fixedCost,
    layers: Object.fromEntries(layers.map(({ id, costs }) => [id, Object.fromEntries(costs)])),
  };
}

/** The graph with its learned convolutions, and weights for it. */
function prepare({ graph, weights, learn, seed }: TrainOptions): { graph: Graph; weights: WeightSource } {
  const learnable = learn ? learnGroups(graph, { ...learn, weights: weights ? 'keep' : 'new', seed }) : graph;
  return { graph: learnable, weights: weights ?? mapSource(initialWeights(learnable, seed)) };
}

function imageShape({ inputs, outputs, metadata }: Graph): [number, number, number] {
  const [input] = inputs;
  if (inputs.length !== 1 || outputs.length !== 1 || input!.shape.length !== 4) {
    throw new InvalidInputError(
      `${metadata.name} has ${inputs.length} inputs and ${outputs.length} outputs: training needs one image in and one row of class scores out`,
    );
  }
  const [, height, width, channels] = input!.shape as [number, number, number, number];
  return [height, width, channels];
}

/** Preprocessing and class names go into the model's file: those that it has, or those of the data. */
function metadataFor({ metadata }: Graph, data: DataSet): Graph['metadata'] {
  return {
    ...metadata,
    preprocessing: metadata.preprocessing ?? preprocessingOf(data),
    classNames: data.classNames,
    producer: `dgconv ${version()}`,
  };
}

function checkClasses(graph: Graph, data: DataSet): void {
  const shape = inferShapes(graph).get(graph.outputs[0]!.value)!;
  if (shape.length !== 2 || shape[1] !== data.classNames.length) {
    throw new InvalidInputError(
      `${graph.metadata.name} puts out [${shape.join(', ')}], ${data.spec} has ${data.classNames.length} classes: it must be [1, ${data.classNames.length}]`,
    );
  }
}

function runRecord(
  request: RunRequest,
  { command, communicator = alone }: TrainOptions,
  { graph }: Model,
  preprocessing: Preprocessing,
  backend: BackendName,
): Record<string, unknown> {
  return {
    formatVersion: '1.0',
    ...request,
    ...(command !== undefined && { command }),
    backend,
    processes: communicator.size,
    versions: { dgconv: version(), node: process.versions.node },
    preprocessing,
    classNames: graph.metadata.classNames,
  };
}

function checkSameRequest(directory: RunDirectory, request: RunRequest): void {
  const before = directory.readJson('run.json') as Record<string, unknown>;
  for (const [name, value] of Object.entries(request)) {
    if (JSON.stringify(before[name]) !== JSON.stringify(value)) {
      throw new InvalidInputError(
        `${directory.path} cannot be resumed: '${name}' was ${JSON.stringify(before[name])}, and is ${JSON.stringify(value)} now.`,
      );
    }
  }
}

function version(): string {
  return (createRequire(import.meta.url)('../../../package.json') as { version: string }).version;
}
