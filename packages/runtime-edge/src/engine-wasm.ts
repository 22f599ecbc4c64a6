import { InvalidInputError } from '@dgconv/core';
import {
  type Engine,
  engineError,
  type EngineErrorCode,
  type EngineOptions,
  type EngineSession,
  type EngineTensor,
} from './engine.js';

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(bytes: number): number;
  free(pointer: number): void;
  dgc_session_load(
    bytes: number,
    size: number,
    options: number,
    session: number,
    message: number,
    room: number,
  ): number;
  dgc_session_destroy(session: number): void;
  dgc_session_input_count(session: number): number;
  dgc_session_output_count(session: number): number;
  dgc_session_input(session: number, index: number, info: number): number;
  dgc_session_output(session: number, index: number, info: number): number;
  dgc_session_run(
    session: number,
    batch: number,
    inputs: number,
    outputs: number,
    message: number,
    room: number,
  ): number;
  dgc_session_plan(session: number): number;
  dgc_session_profile(session: number, isOn: number): void;
  dgc_session_step_times(session: number, times: number, count: number): number;
}

/** Which module: plain SIMD gives the same bits everywhere, relaxed SIMD is faster and rounds as the machine likes. */
export type WasmVariant = 'simd' | 'relaxed-simd';

const files: { readonly [V in WasmVariant]: URL } = {
  simd: new URL('../wasm/dgconv_edge.wasm', import.meta.url),
  'relaxed-simd': new URL('../wasm/dgconv_edge_relaxed.wasm', import.meta.url),
};
const statusCodes: readonly EngineErrorCode[] = [
  'ok',
  'invalid-file',
  'unsupported',
  'invalid-argument',
  'out-of-memory',
  'io',
];
const messageBytes = 512;
const infoBytes = 48;
const optionsBytes = 24;

const modules = new Map<WasmVariant, Promise<WebAssembly.Module>>();

async function compile(variant: WasmVariant): Promise<WebAssembly.Module> {
  const url = files[variant];
  if (url.protocol !== 'file:') return WebAssembly.compileStreaming(fetch(url));
  const { readFile } = await import('node:fs/promises');
  return WebAssembly.compile(await readFile(url));
}

/** What libc imports for streams that nothing here writes to, and the clock of profiled runs. */
function imports(memory: () => WebAssembly.Memory): WebAssembly.Imports {
  const unsupported = (): number => 52;
  return {
    wasi_snapshot_preview1: {
      clock_time_get(_id: number, _precision: bigint, pointer: number): number {
        new DataView(memory().buffer).setBigUint64(pointer, BigInt(Math.round(performance.now() * 1e6)), true);
        return 0;
      },
      fd_close: unsupported,
      fd_seek: unsupported,
      fd_write: unsupported,
    },
  };
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
      const instance: { exports?: Exports } = {};
      const linked = new WebAssembly.Instance(
        module,
        imports(() => instance.exports!.memory),
      );
      instance.exports = linked.exports as unknown as Exports;
      instance.exports._initialize();
      return new WasmSession(instance.exports, source, options, where);
    },
  };
}

/** A network with a WebAssembly instance of its own, so that disposing of it gives all memory back. */
class WasmSession implements EngineSession {
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];
  readonly plan: string;
  #exports: Exports | null;
  readonly #session: number;
  readonly #message: number;
  readonly #where: string;
  /** Where each input and output lies, with room for `maxBatch`. */
  readonly #inputPointers: readonly number[];
  readonly #outputPointers: readonly number[];
  readonly #inputList: number;
  readonly #outputList: number;

  constructor(exports: Exports, bytes: Uint8Array, options: EngineOptions, where: string) {
    this.#exports = exports;
    this.#where = where;
    this.#message = this.#allocate(messageBytes);
    const file = this.#allocate(bytes.length);
    new Uint8Array(exports.memory.buffer).set(bytes, file);
    const optionsPointer = this.#allocate(optionsBytes);
    const sessionPointer = this.#allocate(4);
    const isa = this.#allocate(options.isa.length + 1);
    const heap = new Uint8Array(exports.memory.buffer);
    for (let k = 0; k <= options.isa.length; k++)
      heap[isa + k] = k < options.isa.length ? options.isa.charCodeAt(k) : 0;
    const view = new DataView(exports.memory.buffer);
    view.setInt32(optionsPointer, options.threads, true);
    view.setInt32(optionsPointer + 4, options.maxBatch, true);
    view.setUint32(optionsPointer + 8, isa, true);
    view.setBigUint64(optionsPointer + 16, BigInt(options.memoryLimit), true);
    this.#check(
      exports.dgc_session_load(file, bytes.length, optionsPointer, sessionPointer, this.#message, messageBytes),
    );
    this.#session = new DataView(exports.memory.buffer).getUint32(sessionPointer, true);
    for (const pointer of [file, optionsPointer, sessionPointer, isa]) exports.free(pointer);
    const session = this.#session;
    this.inputs = this.#tensors(exports.dgc_session_input_count(session), (index, info) =>
      exports.dgc_session_input(session, index, info),
    );
    this.outputs = this.#tensors(exports.dgc_session_output_count(session), (index, info) =>
      exports.dgc_session_output(session, index, info),
    );
    this.plan = this.#text(exports.dgc_session_plan(session));
    const room = ({ shape }: EngineTensor): number =>
      this.#allocate(4 * options.maxBatch * shape.reduce((product, size) => product * size, 1));
    this.#inputPointers = this.inputs.map(room);
    this.#outputPointers = this.outputs.map(room);
    this.#inputList = this.#list(this.#inputPointers);
    this.#outputList = this.#list(this.#outputPointers);
  }

  run(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
    const exports = this.#exports!;
    inputs.forEach((values, index) =>
      new Float32Array(exports.memory.buffer, this.#inputPointers[index], values.length).set(values),
    );
    this.#check(
      exports.dgc_session_run(this.#session, batch, this.#inputList, this.#outputList, this.#message, messageBytes),
    );
    outputs.forEach((values, index) =>
      values.set(new Float32Array(exports.memory.buffer, this.#outputPointers[index], values.length)),
    );
  }

  async runAsync(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    this.run(batch, inputs, outputs);
  }

  profile(isOn: boolean): void {
    this.#exports!.dgc_session_profile(this.#session, Number(isOn));
  }

  stepTimes(): number[] {
    const exports = this.#exports!;
    const count = exports.dgc_session_step_times(this.#session, 0, 0);
    const pointer = this.#allocate(8 * count + 8);
    exports.dgc_session_step_times(this.#session, pointer, count);
    const times = Array.from(new BigUint64Array(exports.memory.buffer, pointer, count), Number);
    exports.free(pointer);
    return times;
  }

  dispose(): void {
    this.#exports = null;
  }

  #allocate(bytes: number): number {
    const pointer = this.#exports!.malloc(Math.max(bytes, 8));
    if (pointer === 0) throw engineError('out-of-memory', `no memory for ${bytes} bytes`, this.#where);
    return pointer;
  }

  #check(status: number): void {
    if (status !== 0) throw engineError(statusCodes[status] ?? 'internal', this.#text(this.#message), this.#where);
  }

  #text(pointer: number): string {
    const bytes = new Uint8Array(this.#exports!.memory.buffer);
    return new TextDecoder().decode(bytes.subarray(pointer, bytes.indexOf(0, pointer)));
  }

  #list(pointers: readonly number[]): number {
    const list = this.#allocate(4 * pointers.length);
    new Uint32Array(this.#exports!.memory.buffer, list, pointers.length).set(pointers);
    return list;
  }

  #tensors(count: number, read: (index: number, info: number) => number): EngineTensor[] {
    const info = this.#allocate(infoBytes);
    const tensors = Array.from({ length: count }, (_, index) => {
      this.#check(read(index, info));
      const view = new DataView(this.#exports!.memory.buffer, info, infoBytes);
      const rank = view.getInt32(4, true);
      return {
        name: this.#text(view.getUint32(0, true)),
        shape: Array.from({ length: rank }, (_, axis) => view.getInt32(8 + 4 * axis, true)),
      };
    });
    this.#exports!.free(info);
    return tensors;
  }
}
