// The module's exports as a class. Of other packages nothing but types is imported here: a browser's workers know no import maps.
import type { EngineErrorCode, EngineOptions, EngineTensor } from './engine.js';
import { placementBytes, skipToPlace } from './placement.js';

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

/** What the module says when it refuses something. */
export class WasmFailure extends Error {
  constructor(
    readonly code: EngineErrorCode,
    message: string,
  ) {
    super(message);
  }
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

/** Copies arrays that lie elsewhere; one may lie in another's place, so that such are read before any is written. */
function copyAll(from: readonly Float32Array[], to: readonly Float32Array[]): void {
  const pairs = from
    .map((values, index) => ({ values, target: to[index]! }))
    .filter(({ values, target }) => values.buffer !== target.buffer || values.byteOffset !== target.byteOffset)
    .map(({ values, target }) => ({ values: values.buffer === target.buffer ? values.slice() : values, target }));
  for (const { values, target } of pairs) target.set(values);
}

/** A network with a WebAssembly instance of its own, so that dropping it gives all memory back. */
export class WasmNetwork {
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];
  readonly plan: string;
  readonly #exports: Exports;
  readonly #session: number;
  readonly #message: number;
  /** Where each input and output lies, for `maxBatch`. */
  readonly #inputs: readonly Float32Array[];
  readonly #outputs: readonly Float32Array[];
  readonly #inputList: number;
  readonly #outputList: number;
  readonly #stepTimes: BigUint64Array;

  /** @throws {WasmFailure} if the file is refused. */
  constructor(module: WebAssembly.Module, bytes: Uint8Array, options: EngineOptions) {
    const instance: { exports?: Exports } = {};
    const linked = new WebAssembly.Instance(
      module,
      imports(() => instance.exports!.memory),
    );
    const exports = linked.exports as unknown as Exports;
    this.#exports = instance.exports = exports;
    exports._initialize();
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
    const sizeOf = ({ shape }: EngineTensor): number =>
      shape.reduce((product, size) => product * size, options.maxBatch);
    const borders = [...this.inputs, ...this.outputs].map((tensor, index) => {
      const block = this.#allocate(4 * sizeOf(tensor) + placementBytes);
      return { pointer: block + skipToPlace(block, index), length: sizeOf(tensor) };
    });
    const list = (tensors: typeof borders): number => {
      const pointers = this.#allocate(4 * tensors.length);
      new Uint32Array(exports.memory.buffer, pointers, tensors.length).set(tensors.map(({ pointer }) => pointer));
      return pointers;
    };
    const inputs = borders.slice(0, this.inputs.length);
    const outputs = borders.slice(this.inputs.length);
    this.#inputList = list(inputs);
    this.#outputList = list(outputs);
    const steps = exports.dgc_session_step_times(session, 0, 0);
    const stepTimes = this.#allocate(8 * steps);
    // From here on nothing is allocated: the memory does not grow, and arrays that lie in it stay valid.
    const { buffer } = exports.memory;
    this.#stepTimes = new BigUint64Array(buffer, stepTimes, steps);
    this.#inputs = inputs.map(({ pointer, length }) => new Float32Array(buffer, pointer, length));
    this.#outputs = outputs.map(({ pointer, length }) => new Float32Array(buffer, pointer, length));
  }

  /** Arrays in the network's memory, for `maxBatch`; what lies at their beginnings is not copied by `run`. */
  buffers(): { readonly inputs: readonly Float32Array[]; readonly outputs: readonly Float32Array[] } {
    return { inputs: this.#inputs, outputs: this.#outputs };
  }

  /** @throws {WasmFailure} if the run fails. */
  run(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void {
    const own = (buffers: readonly Float32Array[], given: readonly Float32Array[]): Float32Array[] =>
      buffers.map((values, index) => values.subarray(0, given[index]!.length));
    copyAll(inputs, own(this.#inputs, inputs));
    this.#check(
      this.#exports.dgc_session_run(
        this.#session,
        batch,
        this.#inputList,
        this.#outputList,
        this.#message,
        messageBytes,
      ),
    );
    copyAll(own(this.#outputs, outputs), outputs);
  }

  profile(isOn: boolean): void {
    this.#exports.dgc_session_profile(this.#session, Number(isOn));
  }

  stepTimes(): number[] {
    const times = this.#stepTimes;
    this.#exports.dgc_session_step_times(this.#session, times.byteOffset, times.length);
    return Array.from(times, Number);
  }

  #allocate(bytes: number): number {
    // Addresses have 32 bits; a larger number would wrap to a small one.
    const pointer = bytes < 2 ** 32 ? this.#exports.malloc(Math.max(bytes, 8)) : 0;
    if (pointer === 0) throw new WasmFailure('out-of-memory', `no memory for ${bytes} bytes`);
    return pointer;
  }

  #check(status: number): void {
    if (status !== 0) throw new WasmFailure(statusCodes[status] ?? 'internal', this.#text(this.#message));
  }

  #text(pointer: number): string {
    const bytes = new Uint8Array(this.#exports.memory.buffer);
    return new TextDecoder().decode(bytes.subarray(pointer, bytes.indexOf(0, pointer)));
  }

  #tensors(count: number, read: (index: number, info: number) => number): EngineTensor[] {
    const info = this.#allocate(infoBytes);
    const tensors = Array.from({ length: count }, (_, index) => {
      this.#check(read(index, info));
      const view = new DataView(this.#exports.memory.buffer, info, infoBytes);
      const rank = view.getInt32(4, true);
      return {
        name: this.#text(view.getUint32(0, true)),
        shape: Array.from({ length: rank }, (_, axis) => view.getInt32(8 + 4 * axis, true)),
      };
    });
    this.#exports.free(info);
    return tensors;
  }
}
