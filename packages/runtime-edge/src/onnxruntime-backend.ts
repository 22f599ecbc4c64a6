import { InvalidInputError, UnsupportedError } from '@dgconv/core';
import {
  type Backend,
  type InferenceSession,
  type InferenceSessionHandler,
  type OnnxValue,
  registerBackend,
  Tensor,
} from 'onnxruntime-common';
import type * as onnxruntime from 'onnxruntime-common';
import { nodeProcess } from './node-process.js';
import { EdgeSession, type SessionOptions, type TensorInfo } from './session.js';

/** What the backend needs of onnxruntime-common, or of a package that exports it again (onnxruntime-node, onnxruntime-web). */
export type OnnxRuntime = Pick<typeof onnxruntime, 'Tensor' | 'registerBackend'>;

type TensorClass = typeof Tensor;

/** How ONNX Runtime's option `executionProviders: [{ name: 'dgconv', maxBatch: 8 }]` reaches our sessions. */
interface ProviderOptions {
  readonly name: string;
  readonly maxBatch?: number;
}

/** Where a session comes from, so that it can be loaded again for a larger batch. */
interface Origin {
  readonly source: string | Uint8Array;
  readonly options: SessionOptions;
}

/** A first dimension of 1 is the batch. */
const metadataOf = (infos: readonly TensorInfo[]): InferenceSession.ValueMetadata[] =>
  infos.map(({ name, shape }) => ({
    name,
    isTensor: true,
    type: 'float32',
    shape: shape.map((size, axis) => (axis === 0 && size === 1 ? 'batch' : size)),
  }));

/** How many elements of a batch a feed of `dims` holds for an input of `shape`; null if the dimensions do not fit. */
function batchOf(dims: readonly number[], shape: readonly number[]): number | null {
  if (dims.length !== shape.length || dims.some((size, axis) => axis > 0 && size !== shape[axis])) return null;
  const batch = (dims[0] ?? 1) / (shape[0] ?? 1);
  return Number.isInteger(batch) && batch > 0 ? batch : null;
}

/** A session of onnxruntime-common over an EdgeSession; tensors are float32, channels last, as the file declares them. */
class EdgeHandler implements InferenceSessionHandler {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
  #session: EdgeSession;
  /** The session for a larger batch, under way. */
  #growth: Promise<void> | null = null;
  #disposed = false;

  constructor(
    session: EdgeSession,
    readonly origin: Origin,
    readonly tensorClass: TensorClass,
  ) {
    this.#session = session;
    this.inputMetadata = metadataOf(session.inputs);
    this.outputMetadata = metadataOf(session.outputs);
    this.inputNames = session.inputs.map(({ name }) => name);
    this.outputNames = session.outputs.map(({ name }) => name);
  }

  async run(
    feeds: Record<string, OnnxValue>,
    fetches: Record<string, OnnxValue | null>,
  ): Promise<Record<string, OnnxValue>> {
    const { values, batch } = this.#valuesOf(feeds);
    await this.#growTo(batch);
    const session = this.#session;
    const fetched = session.outputs.filter(({ name }) => Object.hasOwn(fetches, name));
    const tensors = new Map<string, Tensor>();
    const arrays: Record<string, Float32Array> = {};
    for (const { name, shape } of fetched) {
      const dims = shape.map((size, axis) => (axis === 0 ? size * batch : size));
      const given = fetches[name] as Tensor | null | undefined;
      if (given && (given.type !== 'float32' || given.dims.join() !== dims.join()))
        throw new InvalidInputError(
          `the tensor for the output '${name}' is ${given.type} [${given.dims.join(', ')}], needed is float32 [${dims.join(', ')}]`,
        );
      const tensor =
        given ??
        new this.tensorClass('float32', new Float32Array(dims.reduce((product, size) => product * size, 1)), dims);
      tensors.set(name, tensor);
      arrays[name] = tensor.data as Float32Array;
    }
    await session.runAsync(values, arrays);
    return Object.fromEntries(tensors);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#session.dispose();
  }

  startProfiling(): void {
    throw new UnsupportedError('profiling is EdgeSession.profile: the backend dgconv has none of its own');
  }

  endProfiling(): void {
    this.startProfiling();
  }

  #valuesOf(feeds: Record<string, OnnxValue>): { values: Record<string, Float32Array>; batch: number } {
    let batch: number | null = null;
    const values = this.#session.inputs.map(({ name, shape }): [string, Float32Array] => {
      const feed = feeds[name] as Tensor | undefined;
      if (feed === undefined) throw new InvalidInputError(`the input '${name}' is missing`);
      const { type, dims } = feed;
      if (type !== 'float32') throw new InvalidInputError(`the input '${name}' is of type ${type}, needed is float32`);
      const count = batchOf(dims, shape);
      if (count === null)
        throw new InvalidInputError(
          `the input '${name}' has shape [${dims.join(', ')}], needed is [${['N', ...shape.slice(1)].join(', ')}], channels last`,
        );
      if (batch !== null && count !== batch)
        throw new InvalidInputError(`the input '${name}' holds a batch of ${count}, another input one of ${batch}`);
      batch = count;
      return [name, feed.data as Float32Array];
    });
    return { values: Object.fromEntries(values), batch: batch ?? 1 };
  }

  /** Loads the network anew where a batch is larger than all before; runs under way finish in the session that they have. */
  async #growTo(batch: number): Promise<void> {
    while (batch > this.#session.maxBatch && !this.#disposed) {
      this.#growth ??= this.#grow(batch).finally(() => (this.#growth = null));
      await this.#growth;
    }
  }

  async #grow(maxBatch: number): Promise<void> {
    const larger = await EdgeSession.load(this.origin.source, { ...this.origin.options, maxBatch });
    this.#session.dispose();
    this.#session = larger;
    if (this.#disposed) larger.dispose();
  }
}

function backendFor(tensorClass: TensorClass): Backend {
  return {
    async init() {},
    async createInferenceSessionHandler(source, options) {
      const provider = options?.executionProviders?.find(
        (entry): entry is ProviderOptions => typeof entry === 'object' && entry.name === 'dgconv',
      );
      const sessionOptions = {
        threads: options?.intraOpNumThreads || 1,
        maxBatch: provider?.maxBatch ?? options?.freeDimensionOverrides?.['batch'] ?? 1,
      };
      const session = await EdgeSession.load(source, sessionOptions);
      return new EdgeHandler(session, { source, options: sessionOptions }, tensorClass);
    },
  };
}

/** The registries that have the backend, by their functions. */
const registries = new Set<OnnxRuntime['registerBackend']>();

function registerWith({ Tensor, registerBackend }: OnnxRuntime): void {
  if (registries.has(registerBackend)) return;
  registries.add(registerBackend);
  registerBackend('dgconv', backendFor(Tensor), -1);
}

/**
 * Registers the backend `dgconv` with onnxruntime-common, so that an application that uses ONNX Runtime's interface changes one line:
 * `InferenceSession.create('net.edge', { executionProviders: ['dgconv'] })`. It is used where it is asked for by name only; the threads
 * are `intraOpNumThreads` (default: one), and the first larger batch loads the network again, so bytes that were given stay as they are.
 * Its CommonJS build keeps a registry of its own: the one that `require` gives is served too. A second call does nothing.
 * @param runtimes - other copies that the application uses: `import * as ort from 'onnxruntime-web'`, which brings its own.
 */
export async function registerOnnxRuntimeBackend(...runtimes: readonly OnnxRuntime[]): Promise<void> {
  for (const runtime of [{ Tensor, registerBackend }, ...runtimes]) registerWith(runtime);
  if (nodeProcess === null) return;
  const { createRequire } = nodeProcess.getBuiltinModule('node:module');
  registerWith(createRequire(import.meta.url)('onnxruntime-common') as OnnxRuntime);
}
