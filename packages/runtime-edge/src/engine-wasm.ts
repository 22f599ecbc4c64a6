import { InvalidInputError } from '@dgconv/core';
import { type Engine, engineError, type EngineOptions, type EngineSession, type EngineTensor } from './engine.js';
import { nodeProcess } from './node-process.js';
import { WasmFailure, WasmNetwork } from './wasm-network.js';
import { WasmThread } from './wasm-thread.js';

/** Which module: plain SIMD gives the same bits everywhere, relaxed SIMD is mostly faster and rounds as the machine likes. */
export type WasmVariant = 'simd' | 'relaxed-simd';

const files: { readonly [V in WasmVariant]: URL } = {
  simd: new URL('../wasm/dgconv_edge.wasm', import.meta.url),
  'relaxed-simd': new URL('../wasm/dgconv_edge_relaxed.wasm', import.meta.url),
};

const modules = new Map<WasmVariant, Promise<WebAssembly.Module>>();

async function compile(variant: WasmVariant): Promise<WebAssembly.Module> {
  const url = files[variant];
  if (nodeProcess === null || url.protocol !== 'file:') return WebAssembly.compileStreaming(fetch(url));
  return WebAssembly.compile(await nodeProcess.getBuiltinModule('node:fs/promises').readFile(url));
}

/**
 * The engine in WebAssembly, one thread.
 * @throws {InvalidInputError} if the module cannot be had or the runtime lacks its instructions.
 */
export async function wasmEngine(variant: WasmVariant): Promise<Engine> {
  let module: WebAssembly.Module;
  try {
    if (!modules.has(variant)) modules.set(variant, compile(variant));
    module = await modules.get(variant)!;
  } catch (error) {
    modules.delete(variant);
    throw new InvalidInputError(
      `the WebAssembly engine (${variant}) cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  return {
    kind: 'wasm',
    load(source, options, where) {
      if (typeof source === 'string') throw new Error('internal: the WebAssembly engine loads bytes');
      return new WasmSession(module, source, options, where);
    },
  };
}

/** A network on this thread, and on another one from the first asynchronous run on. */
class WasmSession implements EngineSession {
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];
  readonly plan: string;
  #network: WasmNetwork | null;
  readonly #thread: WasmThread;
  readonly #where: string;

  constructor(module: WebAssembly.Module, bytes: Uint8Array, options: EngineOptions, where: string) {
    this.#where = where;
    this.#network = this.#translated(() => new WasmNetwork(module, bytes, options));
    this.#thread = new WasmThread(module, bytes, options);
    ({ inputs: this.inputs, outputs: this.outputs, plan: this.plan } = this.#network);
  }

  run(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
    this.#run(this.#network!, batch, inputs, outputs);
  }

  async runAsync(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    const network = this.#network!;
    // Without another thread, or if it fails, this one runs the network, and says what is wrong.
    if (!(await this.#thread.run(batch, inputs, outputs))) this.#run(network, batch, inputs, outputs);
  }

  buffers(): ReturnType<WasmNetwork['buffers']> {
    return this.#network!.buffers();
  }

  profile(isOn: boolean): void {
    this.#network!.profile(isOn);
  }

  stepTimes(): number[] {
    return this.#network!.stepTimes();
  }

  dispose(): void {
    this.#network = null;
    this.#thread.dispose();
  }

  #run(network: WasmNetwork, batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
    this.#translated(() => network.run(batch, inputs, outputs));
  }

  #translated<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw error instanceof WasmFailure ? engineError(error.code, error.message, this.#where) : error;
    }
  }
}
