import type { EngineOptions } from './engine.js';
import { nodeProcess } from './node-process.js';

/** What a worker is told. Each run carries copies of its inputs. */
export type WorkerOrder =
  | { kind: 'load'; module: WebAssembly.Module; bytes: Uint8Array; options: EngineOptions }
  | { kind: 'run'; id: number; batch: number; inputs: Float32Array<ArrayBuffer>[]; outputSizes: number[] };

/** What a worker answers. */
export type WorkerAnswer =
  | { kind: 'loaded' }
  | { kind: 'refused' }
  | { kind: 'outputs'; id: number; outputs: Float32Array<ArrayBuffer>[] }
  | { kind: 'failed'; id: number };

/** A worker of Node or of a browser. */
interface WorkerDoor {
  post(order: WorkerOrder, transfer: ArrayBuffer[]): void;
  /** Whether it keeps the process alive. */
  hold(isHeld: boolean): void;
  stop(): void;
}

async function startWorker(onAnswer: (answer: WorkerAnswer) => void, onFailure: () => void): Promise<WorkerDoor> {
  if (typeof Worker === 'function') {
    const worker = new Worker(new URL('./wasm-worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => onAnswer(data);
    worker.onerror = onFailure;
    worker.onmessageerror = onFailure;
    return {
      post: (order, transfer) => worker.postMessage(order, transfer),
      hold() {},
      stop: () => worker.terminate(),
    };
  }
  const { Worker: NodeWorker } = nodeProcess!.getBuiltinModule('node:worker_threads');
  const worker = new NodeWorker(new URL('./wasm-worker.js', import.meta.url));
  worker.on('message', onAnswer).on('error', onFailure).on('exit', onFailure).on('messageerror', onFailure);
  return {
    post: (order, transfer) => worker.postMessage(order, transfer),
    hold: (isHeld) => void (isHeld ? worker.ref() : worker.unref()),
    stop: () => void worker.terminate(),
  };
}

interface Pending {
  readonly outputs: readonly Float32Array[];
  readonly settle: (isDone: boolean) => void;
}

const headerBytes = 16;

/**
 * The same network on a thread of its own, started by the first run, so that whoever never asks for one pays nothing. The
 * file is not copied before that: should it have changed in the meantime, its checksum does not fit, and there is no thread.
 */
export class WasmThread {
  readonly #module: WebAssembly.Module;
  readonly #options: EngineOptions;
  readonly #header: Uint8Array;
  #bytes: Uint8Array | null;
  /** Null: there is none and there will be none. */
  #door: Promise<WorkerDoor | null> | null = null;
  readonly #pending = new Map<number, Pending>();
  #runs = 0;
  #disposed = false;

  /** @param bytes - the `.edge` file, which was loaded before. */
  constructor(module: WebAssembly.Module, bytes: Uint8Array, options: EngineOptions) {
    this.#module = module;
    this.#options = options;
    this.#bytes = bytes;
    this.#header = bytes.slice(0, headerBytes);
  }

  /** Whether the other thread ran the network; if not, nothing was written and it is for the caller to do. */
  async run(batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<boolean> {
    const id = this.#runs++;
    const done = new Promise<boolean>((settle) => this.#pending.set(id, { outputs, settle }));
    const copies = inputs.map((values) => new Float32Array(values));
    const door = await (this.#door ??= this.#start());
    if (door === null) this.#settle(id, false);
    else if (this.#pending.has(id)) {
      door.hold(true);
      const outputSizes = outputs.map(({ length }) => length);
      door.post(
        { kind: 'run', id, batch, inputs: copies, outputSizes },
        copies.map(({ buffer }) => buffer),
      );
    }
    return done;
  }

  /** Gives the thread back once the runs under way are done. */
  dispose(): void {
    this.#disposed = true;
    this.#bytes = null;
    this.#rest();
  }

  async #start(): Promise<WorkerDoor | null> {
    const bytes = this.#bytes;
    this.#bytes = null;
    if (bytes === null || !this.#header.every((value, index) => bytes[index] === value)) return null;
    return new Promise((resolve) => {
      const giveUp = (): void => {
        resolve(null);
        this.#fail();
        opened.then(
          (door) => door.stop(),
          () => undefined,
        );
      };
      const opened = startWorker((answer) => {
        if (answer.kind === 'loaded') void opened.then(resolve);
        else if (answer.kind === 'refused') giveUp();
        else this.#answer(answer);
      }, giveUp);
      opened.then(
        (door) => door.post({ kind: 'load', module: this.#module, bytes, options: this.#options }, []),
        giveUp,
      );
    });
  }

  #answer(answer: WorkerAnswer & { id: number }): void {
    if (answer.kind === 'outputs') {
      const given = this.#pending.get(answer.id)?.outputs;
      answer.outputs.forEach((values, index) => given?.[index]!.set(values));
    }
    this.#settle(answer.id, answer.kind === 'outputs');
  }

  /** The thread is gone: the runs that it was given are the caller's now. */
  #fail(): void {
    this.#door = Promise.resolve(null);
    for (const id of [...this.#pending.keys()]) this.#settle(id, false);
  }

  #settle(id: number, isDone: boolean): void {
    this.#pending.get(id)?.settle(isDone);
    this.#pending.delete(id);
    this.#rest();
  }

  /** With nothing under way, the thread keeps no process alive; after `dispose` it ends. */
  #rest(): void {
    if (this.#pending.size > 0) return;
    void this.#door?.then((door) => {
      if (this.#pending.size > 0) return;
      if (this.#disposed) door?.stop();
      else door?.hold(false);
    });
  }
}
