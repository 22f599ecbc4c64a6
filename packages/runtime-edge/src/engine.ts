import { InvalidInputError, UnsupportedError } from '@dgconv/core';

/** What an engine is asked for. */
export interface EngineOptions {
  readonly threads: number;
  readonly maxBatch: number;
  /** Instruction set to use; empty: the best there is. */
  readonly isa: string;
  /** Bytes that weights and activations may take; 0: no limit. */
  readonly memoryLimit: number;
}

/** A tensor at the border of a network, for batch 1. */
export interface EngineTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A loaded network in one engine. Arrays are in the order of `inputs` and `outputs`; their lengths were checked by the caller. */
export interface EngineSession {
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];
  /** The plan as JSON. */
  readonly plan: string;
  run(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void;
  runAsync(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void>;
  /** Arrays of the session's own for `maxBatch`, the same memory at every call. */
  buffers(): { readonly inputs: readonly Float32Array[]; readonly outputs: readonly Float32Array[] };
  /** Whether the runs that follow measure their steps. */
  profile(isOn: boolean): void;
  /** Nanoseconds of each step of the last profiled run. */
  stepTimes(): number[];
  dispose(): void;
}

/** One way to run networks. */
export interface Engine {
  readonly kind: 'native' | 'wasm';
  /** @param where - what messages call the source, a path or "the .edge file". */
  load(source: string | Uint8Array, options: EngineOptions, where: string): EngineSession;
}

/** What the native code calls its failures. */
export type EngineErrorCode =
  'ok' | 'invalid-file' | 'unsupported' | 'invalid-argument' | 'out-of-memory' | 'io' | 'internal';

/** The engine's failure as an error of this project, the file named. */
export function engineError(code: EngineErrorCode, message: string, where: string): Error {
  switch (code) {
    case 'invalid-file':
      return new InvalidInputError(`${where} is no valid .edge file: ${message}`);
    case 'unsupported':
      return new UnsupportedError(`${where}: ${message}`);
    case 'io':
      return new InvalidInputError(message);
    case 'invalid-argument':
    case 'out-of-memory':
      return new InvalidInputError(`${where}: ${message}`);
    case 'ok':
    case 'internal':
      return new Error(`internal: ${message}`);
  }
}
