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
import { EdgeSession, type TensorInfo } from './session.js';

type TensorClass = typeof Tensor;

/** How ONNX Runtime's option `executionProviders: [{ name: 'dgconv', maxBatch: 8 }]` reaches our sessions. */
interface ProviderOptions {
  readonly name: string;
  readonly maxBatch?: number;
}

const metadataOf = (infos: readonly TensorInfo[]): InferenceSession.ValueMetadata[] =>
  infos.map(({ name, shape }) => ({ name, isTensor: true, type: 'float32', shape: ['batch', ...shape.slice(1)] }));

/** A session of onnxruntime-common over an EdgeSession; tensors are float32, channels last, as the file declares them. */
class EdgeHandler implements InferenceSessionHandler {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];

  constructor(
    readonly session: EdgeSession,
    readonly tensorClass: TensorClass,
  ) {
    this.inputMetadata = metadataOf(session.inputs);
    this.outputMetadata = metadataOf(session.outputs);
    this.inputNames = session.inputs.map(({ name }) => name);
    this.outputNames = session.outputs.map(({ name }) => name);
  }

  async run(
    feeds: Record<string, OnnxValue>,
    fetches: Record<string, OnnxValue | null>,
  ): Promise<Record<string, OnnxValue>> {
    let batch = 1;
    const values: Record<string, Float32Array> = {};
    for (const { name, shape } of this.session.inputs) {
      const feed = feeds[name];
      if (feed === undefined) throw new InvalidInputError(`the input '${name}' is missing`);
      const tensor = feed as Tensor;
      if (tensor.type !== 'float32' || !(tensor.data instanceof Float32Array))
        throw new InvalidInputError(`the input '${name}' is of type ${tensor.type}, needed is float32`);
      const { dims } = tensor;
      if (dims.length !== shape.length || dims.some((size, axis) => axis > 0 && size !== shape[axis]))
        throw new InvalidInputError(
          `the input '${name}' has shape [${dims.join(', ')}], needed is [N, ${shape.slice(1).join(', ')}], channels last`,
        );
      batch = (dims[0] ?? 1) / (shape[0] ?? 1);
      values[name] = tensor.data;
    }
    const outputs = await this.session.runAsync(values);
    const results: Record<string, OnnxValue> = {};
    for (const { name, shape } of this.session.outputs) {
      if (!(name in fetches)) continue;
      const dims = shape.map((size, axis) => (axis === 0 ? size * batch : size));
      results[name] = new this.tensorClass('float32', outputs[name]!, dims);
    }
    return results;
  }

  async dispose(): Promise<void> {
    this.session.dispose();
  }

  startProfiling(): void {
    throw new UnsupportedError('profiling is EdgeSession.profile: the backend dgconv has none of its own');
  }

  endProfiling(): void {
    this.startProfiling();
  }
}

function backendFor(tensorClass: TensorClass): Backend {
  return {
    async init() {},
    async createInferenceSessionHandler(source, options) {
      const provider = options?.executionProviders?.find(
        (entry): entry is ProviderOptions => typeof entry === 'object' && entry.name === 'dgconv',
      );
      const session = await EdgeSession.load(source, {
        threads: options?.intraOpNumThreads || 1,
        maxBatch: provider?.maxBatch ?? 1,
      });
      return new EdgeHandler(session, tensorClass);
    },
  };
}

let registration: Promise<void> | undefined;

/**
 * Registers the backend `dgconv` with onnxruntime-common, so that an application that uses ONNX Runtime's interface changes one line:
 * `InferenceSession.create('net.edge', { executionProviders: ['dgconv'] })`. It is used where it is asked for by name only.
 * Its CommonJS build keeps a registry of its own: the one that `require` gives is served too. A second call does nothing.
 */
export function registerOnnxRuntimeBackend(): Promise<void> {
  return (registration ??= register());
}

async function register(): Promise<void> {
  registerBackend('dgconv', backendFor(Tensor), -1);
  if (typeof process === 'undefined' || process.versions?.node === undefined) return;
  const { createRequire } = await import('node:module');
  const common = createRequire(import.meta.url)('onnxruntime-common') as Pick<
    typeof onnxruntime,
    'Tensor' | 'registerBackend'
  >;
  if (common.Tensor !== Tensor) common.registerBackend('dgconv', backendFor(common.Tensor), -1);
}
