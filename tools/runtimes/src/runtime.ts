import type { Layout, Shape } from '@dgconv/core';

/** Every runtime that `run`, `verify`, `bench` and `conformance` know by name. */
export const runtimeNames = ['edge', 'edge-wasm', 'edge-arm64', 'ort', 'litert'] as const;
export type RuntimeName = (typeof runtimeNames)[number];

/** The deployable formats, by file extension. */
export const modelFormats = ['onnx', 'tflite', 'edge'] as const;
export type ModelFormat = (typeof modelFormats)[number];

/** A float32 value at the border of a runtime. */
export interface RuntimeTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Name, shape and dimension order of an input or output; `layout` has a meaning for rank 4 only. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly layout: Layout;
}

export interface LoadOptions {
  /** Threads of the runtime, where it has any; 1 unless said. */
  readonly threads?: number;
  /** Largest batch that will be run; runtimes with fixed shapes refuse anything but their own. */
  readonly maxBatch?: number;
}

/** A loaded model. */
export interface RuntimeSession {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** @throws {InvalidInputError} if an input is missing or its length does not fit its shape. */
  run(feeds: Readonly<Record<string, Float32Array>>): Promise<Record<string, RuntimeTensor>>;
  /** One run with inputs and outputs bound once, for timing: neither side pays for fresh buffers. */
  bind(feeds: Readonly<Record<string, Float32Array>>): () => Promise<void> | void;
  dispose(): Promise<void>;
}

/** One way to execute one or more formats. */
export interface Runtime {
  readonly name: RuntimeName;
  readonly formats: readonly ModelFormat[];
  /** Name and version for tables, such as `ONNX Runtime 1.30.0`. */
  describe(): Promise<string>;
  /** Null if the runtime can be used here; otherwise why not, and how to get it. */
  whyUnavailable(): Promise<string | null>;
  /** @throws {InvalidInputError} if the bytes are no model that this runtime reads. */
  load(bytes: Uint8Array, options?: LoadOptions): Promise<RuntimeSession>;
}
