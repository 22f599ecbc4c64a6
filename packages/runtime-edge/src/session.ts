import { InvalidInputError, UsageError } from '@dgconv/core';
import { describeValue, type EdgeSource, openEdgeSource } from './edge-source.js';
import type { Engine, EngineOptions, EngineSession, EngineTensor } from './engine.js';
import { nativeEngine } from './engine-native.js';
import { wasmEngine, type WasmVariant } from './engine-wasm.js';
import { type EdgePlan, planOf, type StepTime } from './plan.js';

/** A tensor at the border of a network. */
export interface TensorInfo {
  readonly name: string;
  /** For batch 1, channels last: `[1, H, W, C]`; batch n takes n times as many values. */
  readonly shape: readonly number[];
  readonly layout: 'NHWC';
  readonly dtype: 'float32';
}

/** How a network is loaded. */
export interface SessionOptions {
  /** Threads that a run uses, counting its caller; default 1. WebAssembly always uses one. */
  readonly threads?: number;
  /** `auto` (default): the native engine where there is one, else WebAssembly. */
  readonly engine?: 'auto' | 'native' | 'wasm';
  /** The largest batch that `run` may be given; default 1. */
  readonly maxBatch?: number;
  /** WebAssembly instructions: `relaxed-simd` is mostly faster, but its rounding differs between machines; default `simd`. */
  readonly wasm?: WasmVariant;
  /** Forces an instruction set, for tests; default: the environment variable DGCONV_ISA, else the best there is. */
  readonly isa?: string;
  /** Bytes that weights and activations may take; default: no limit. */
  readonly memoryLimit?: number;
}

/** Values by the name of the input or output. */
export type Tensors = Readonly<Record<string, Float32Array>>;

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${name} is ${String(value)}: it must be an integer from ${least} to ${most}`);
}

function engineOptionsOf({ threads = 1, maxBatch = 1, isa = '', memoryLimit = 0 }: SessionOptions): EngineOptions {
  checkInteger('threads', threads, 1, 256);
  checkInteger('maxBatch', maxBatch, 1, 65_536);
  checkInteger('memoryLimit', memoryLimit, 0, Number.MAX_SAFE_INTEGER);
  if (typeof isa !== 'string') throw new UsageError(`isa is ${String(isa)}: it must be a text, such as 'avx2'`);
  return { threads, maxBatch, isa, memoryLimit };
}

async function chooseEngine({ engine = 'auto', wasm = 'simd' }: SessionOptions): Promise<Engine> {
  if (engine !== 'auto' && engine !== 'native' && engine !== 'wasm')
    throw new UsageError(`engine is '${String(engine)}': it must be 'auto', 'native' or 'wasm'`);
  if (wasm !== 'simd' && wasm !== 'relaxed-simd')
    throw new UsageError(`wasm is '${String(wasm)}': it must be 'simd' or 'relaxed-simd'`);
  const native = engine === 'wasm' ? null : nativeEngine();
  if (native !== null) return native;
  if (engine === 'native')
    throw new InvalidInputError('there is no native engine here: build it with a C++ compiler, or use WebAssembly');
  return wasmEngine(wasm);
}

/**
 * A network of a `.edge` file, ready to run.
 *
 * ```ts
 * const session = await EdgeSession.load('net.edge', { threads: 2 });
 * const { scores } = session.run({ image });
 * session.dispose();
 * ```
 */
export class EdgeSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly engine: 'native' | 'wasm';
  readonly maxBatch: number;
  #session: EngineSession | null;

  private constructor(session: EngineSession, engine: 'native' | 'wasm', maxBatch: number) {
    const info = ({ name, shape }: EngineTensor): TensorInfo => ({ name, shape, layout: 'NHWC', dtype: 'float32' });
    this.inputs = session.inputs.map(info);
    this.outputs = session.outputs.map(info);
    this.engine = engine;
    this.maxBatch = maxBatch;
    this.#session = session;
  }

  /**
   * Loads a file by its path, by its URL (in a browser also a relative one) or from its bytes.
   * @throws {UsageError} if an option is out of range, or the source is something else.
   * @throws {InvalidInputError} if the file cannot be read or is invalid, or the network cannot be run with `maxBatch`.
   * @throws {UnsupportedError} if the file needs a newer runtime.
   */
  static async load(source: EdgeSource, options: SessionOptions = {}): Promise<EdgeSession> {
    const requested = engineOptionsOf(options);
    const engine = await chooseEngine(options);
    const engineOptions = engine.kind === 'wasm' ? { ...requested, threads: 1, isa: '' } : requested;
    const { input, where } = await openEdgeSource(source, engine.kind === 'native');
    return new EdgeSession(engine.load(input, engineOptions, where), engine.kind, requested.maxBatch);
  }

  /**
   * Runs the network on `feeds` (batch n: n inputs behind one another).
   * @param outputs - arrays to write to and to give back; missing ones are made. They overlap neither the feeds nor each other.
   * @throws {InvalidInputError} if a name or a length does not fit, arrays overlap, or the session was disposed of.
   */
  run(feeds: Tensors, outputs: Tensors = {}): Record<string, Float32Array> {
    const session = this.#alive();
    const call = this.#bind(feeds, outputs);
    session.run(call.batch, call.inputs, call.outputs);
    return call.results();
  }

  /**
   * Like {@link run}, off the calling thread; WebAssembly has a worker for it, where there are workers, from the first such run on.
   * The arrays must be left alone until it is done.
   */
  async runAsync(feeds: Tensors, outputs: Tensors = {}): Promise<Record<string, Float32Array>> {
    const session = this.#alive();
    const call = this.#bind(feeds, outputs);
    await session.runAsync(call.batch, call.inputs, call.outputs);
    return call.results();
  }

  /**
   * The session's own arrays for the inputs and outputs of a batch, which it reads and writes fastest: they begin at cache lines and, in
   * WebAssembly, lie in the engine's memory, so that `run` copies nothing. Every call gives the same memory, runs with other arrays may
   * write to it, and it ends with the session.
   * @throws {UsageError} if `batch` is no integer from 1 to `maxBatch`.
   * @throws {InvalidInputError} if the session was disposed of.
   */
  buffers(batch = 1): { readonly inputs: Tensors; readonly outputs: Tensors } {
    const own = this.#alive().buffers();
    checkInteger('batch', batch, 1, this.maxBatch);
    const arrays = (infos: readonly TensorInfo[], values: readonly Float32Array[]): Tensors =>
      Object.fromEntries(
        infos.map((info, index) => [info.name, values[index]!.subarray(0, elements(info) * batch)] as const),
      );
    return { inputs: arrays(this.inputs, own.inputs), outputs: arrays(this.outputs, own.outputs) };
  }

  /** What the engine made of the network: its steps with the kernels that it chose, and its memory. */
  plan(): EdgePlan {
    return planOf(this.#alive().plan);
  }

  /**
   * Runs once and gives the time of each step, in the order of `plan().steps`.
   * @throws {InvalidInputError} as {@link run} does.
   */
  profile(feeds: Tensors, outputs: Tensors = {}): StepTime[] {
    const session = this.#alive();
    const call = this.#bind(feeds, outputs);
    session.profile(true);
    try {
      session.run(call.batch, call.inputs, call.outputs);
      const times = session.stepTimes();
      return this.plan().steps.map(({ node, op, kernel }, index) => ({
        id: node,
        op,
        kernel,
        ms: times[index]! / 1e6,
      }));
    } finally {
      session.profile(false);
    }
  }

  /** Gives the memory back; a second call does nothing. Asynchronous runs under way are finished first. */
  dispose(): void {
    this.#session?.dispose();
    this.#session = null;
  }

  #alive(): EngineSession {
    if (this.#session === null) throw new InvalidInputError('the session was disposed of: it cannot run any more');
    return this.#session;
  }

  #bind(feeds: Tensors, given: Tensors) {
    checkNames(feeds, this.inputs, 'input');
    checkNames(given, this.outputs, 'output');
    let batch = 0;
    const inputs = this.inputs.map((info) => {
      const values = own(feeds, info.name);
      if (values === undefined) throw new InvalidInputError(`the input '${info.name}' is missing`);
      const size = elements(info);
      checkArray(values, info.name);
      const count = values.length / size;
      if (!Number.isInteger(count) || count < 1 || count > this.maxBatch)
        throw new InvalidInputError(
          `the input '${info.name}' has ${values.length} values, needed are ${size} for each of 1 to ${this.maxBatch} (maxBatch) elements of a batch`,
        );
      if (batch !== 0 && count !== batch)
        throw new InvalidInputError(
          `the input '${info.name}' holds a batch of ${count}, another input one of ${batch}`,
        );
      batch = count;
      return values;
    });
    batch ||= 1;
    const outputs = this.outputs.map((info) => {
      const size = elements(info) * batch;
      const values = own(given, info.name) ?? new Float32Array(size);
      checkArray(values, info.name);
      if (values.length !== size)
        throw new InvalidInputError(
          `the array for the output '${info.name}' has ${values.length} values, needed are ${size}`,
        );
      return values;
    });
    outputs.forEach((values, index) => {
      const name = this.outputs[index]!.name;
      const input = inputs.findIndex((other) => overlap(values, other));
      if (input >= 0)
        throw new InvalidInputError(
          `the array for the output '${name}' overlaps the input '${this.inputs[input]!.name}'`,
        );
      const output = outputs.findIndex((other, at) => at < index && overlap(values, other));
      if (output >= 0)
        throw new InvalidInputError(
          `the array for the output '${name}' overlaps that for '${this.outputs[output]!.name}'`,
        );
    });
    const results = (): Record<string, Float32Array> =>
      Object.fromEntries(this.outputs.map(({ name }, index) => [name, outputs[index]!]));
    return { batch, inputs, outputs, results };
  }
}

/** A property that is the object's own: a network may call its input `constructor`. */
const own = (tensors: Tensors, name: string): Float32Array | undefined =>
  Object.hasOwn(tensors, name) ? tensors[name] : undefined;

const overlap = (a: Float32Array, b: Float32Array): boolean =>
  a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;

const elements = ({ shape }: TensorInfo): number => shape.reduce((product, size) => product * size, 1);

function checkNames(tensors: Tensors, infos: readonly TensorInfo[], what: string): void {
  if (typeof tensors !== 'object' || tensors === null)
    throw new InvalidInputError(`the ${what}s are ${describeValue(tensors)}: they must be Float32Arrays by name`);
  for (const name of Object.keys(tensors))
    if (!infos.some((info) => info.name === name))
      throw new InvalidInputError(
        `there is no ${what} '${name}': the network has ${infos.map((info) => `'${info.name}'`).join(', ')}`,
      );
}

function checkArray(values: Float32Array, name: string): void {
  if (Object.prototype.toString.call(values) !== '[object Float32Array]')
    throw new InvalidInputError(`the values of '${name}' are no Float32Array`);
}
