import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Buffers, checkStatus, outputBuffers, Schema, type Operations } from './operations.js';
import { instantiateWasm, type WasmEngine } from './wasm-memory.js';

/** The native training kernels, as a Node addon or as WebAssembly. */
export interface NativeModule {
  readonly engine: 'addon' | 'wasm';
  /** `avx512`, `avx2` or `baseline`. */
  readonly instructionSet: string;
  /** Memory for a tensor; contents undefined. */
  allocate(elements: number): Float32Array;
  /** Runs one operation; `outputBuffers` says which of the buffers it writes. */
  run<Name extends keyof Operations>(operation: Name, params: Operations[Name], buffers: Buffers): void;
  /** Threads that share the work from now on; results do not depend on it. @returns what was granted. */
  setThreads(threads: number): number;
  /** Restricts to a lesser instruction set. @returns false if there is no such. */
  useInstructionSet(name: string): boolean;
}

interface Addon {
  readonly schema: string;
  run(instructionSet: number, operation: number, params: Float64Array, buffers: Buffers): number;
  allocate(elements: number): Float32Array;
  setThreads(threads: number): number;
  /** @returns its number, or -1 if this machine does not have it. */
  findInstructionSet(name: string): number;
  instructionSetName(instructionSet: number): string;
}

const fileOf = (name: string) => fileURLToPath(new URL(`../../native/${name}`, import.meta.url));

/** The addon, if it was built for this machine. */
export function loadAddon(): NativeModule | undefined {
  const file = fileOf('dgconv-train.node');
  if (!existsSync(file)) return undefined;
  const addon = createRequire(import.meta.url)(file) as Addon;
  const schema = new Schema(addon.schema);
  addon.setThreads(availableParallelism());
  let instructionSet = addon.findInstructionSet('best');
  return {
    engine: 'addon',
    get instructionSet() {
      return addon.instructionSetName(instructionSet);
    },
    allocate: (elements) => addon.allocate(elements),
    run(operation, params, buffers) {
      const { code, values } = schema.encode(operation, params);
      checkStatus(operation, addon.run(instructionSet, code, values, buffers), params);
    },
    setThreads: (threads) => addon.setThreads(threads),
    useInstructionSet(name) {
      const found = addon.findInstructionSet(name);
      if (found >= 0) instructionSet = found;
      return found >= 0;
    },
  };
}

/** The WebAssembly module, if it was built. */
export async function loadWasm(): Promise<NativeModule | undefined> {
  const file = fileOf('dgconv-train.wasm');
  if (!existsSync(file)) return undefined;
  const engine: WasmEngine = await instantiateWasm(readFileSync(file));
  const schema = new Schema(engine.schema);
  return {
    engine: 'wasm',
    instructionSet: 'baseline',
    allocate: (elements) => new Float32Array(elements),
    run(operation, params, buffers) {
      const { code, values } = schema.encode(operation, params);
      checkStatus(operation, engine.run(code, values, buffers, outputBuffers[operation]), params);
    },
    setThreads: () => 1,
    useInstructionSet: (name) => name === 'baseline',
  };
}

/**
 * The fastest form of the kernels that there is here.
 * @throws if neither was built.
 */
export async function loadNativeModule(): Promise<NativeModule> {
  const module = loadAddon() ?? (await loadWasm());
  if (!module) throw new Error('its kernels are not built (npm run build makes them)');
  return module;
}
