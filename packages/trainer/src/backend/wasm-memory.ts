import type { Buffers } from './operations.js';

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize?(): void;
  run(operation: number, params: number, paramCount: number, pairs: number, bufferCount: number): number;
  allocate(bytes: number): number;
  release(address: number): void;
  schema(): number;
}

/** The kernels as a WebAssembly module, which copies tensors into its memory and results out. */
export interface WasmEngine {
  readonly schema: string;
  run(
    operation: number,
    params: Float64Array,
    buffers: Buffers,
    outputs: readonly [first: number, end?: number],
  ): number;
}

/** Compiles and starts the module. */
export async function instantiateWasm(bytes: Uint8Array<ArrayBuffer>): Promise<WasmEngine> {
  const module = await WebAssembly.compile(bytes);
  // The C library asks the system for nothing but a way to end the process, which these kernels never take.
  const refuse = (): never => {
    throw new Error('internal: the WebAssembly kernels stopped');
  };
  const imports: WebAssembly.Imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) (imports[from] ??= {})[name] = refuse;
  const instance = await WebAssembly.instantiate(module, imports);
  const wasm = instance.exports as unknown as Exports;
  wasm._initialize?.();
  const text = new Uint8Array(wasm.memory.buffer, wasm.schema());
  return {
    schema: new TextDecoder().decode(text.subarray(0, text.indexOf(0))),
    run: (operation, params, buffers, outputs) => runInMemory(wasm, operation, params, buffers, outputs),
  };
}

function runInMemory(
  wasm: Exports,
  operation: number,
  params: Float64Array,
  buffers: Buffers,
  [firstOutput, endOutput = buffers.length]: readonly [first: number, end?: number],
): number {
  const addresses: number[] = [];
  const allocate = (byteLength: number) => {
    const address = wasm.allocate(Math.max(byteLength, 64)) >>> 0;
    if (address === 0) throw new Error('The WebAssembly kernels ran out of memory: use smaller batches.');
    addresses.push(address);
    return address;
  };
  try {
    const paramsAt = allocate(params.byteLength);
    const pairsAt = allocate(buffers.length * 8);
    const places = buffers.map(({ byteLength }) => allocate(byteLength));
    // Views are made after the last allocation: it may have moved the memory.
    new Float64Array(wasm.memory.buffer, paramsAt, params.length).set(params);
    const pairs = new Uint32Array(wasm.memory.buffer, pairsAt, buffers.length * 2);
    buffers.forEach((buffer, index) => {
      pairs[2 * index] = places[index]!;
      pairs[2 * index + 1] = buffer.length;
      if (index < firstOutput || index >= endOutput) viewOf(wasm, buffer, places[index]!).set(buffer);
    });
    const status = wasm.run(operation, paramsAt, params.length, pairsAt, buffers.length);
    if (status !== 0) return status;
    for (let index = firstOutput; index < endOutput; index++) {
      buffers[index]!.set(viewOf(wasm, buffers[index]!, places[index]!));
    }
    return status;
  } finally {
    for (const address of addresses) wasm.release(address);
  }
}

function viewOf({ memory }: Exports, like: Float32Array | Int32Array, address: number): Float32Array | Int32Array {
  return like instanceof Float32Array
    ? new Float32Array(memory.buffer, address, like.length)
    : new Int32Array(memory.buffer, address, like.length);
}
